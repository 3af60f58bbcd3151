"""The result of a stage in four forms: metrics.json, headline.json, summary.json, and the closing line of its log.

`metrics.json` depends only on what the stage read, so that equal runs write equal files. What varies
between executions (seconds, replayed calls, tokens, cost) is in `summary.json`; no stage depends on it.
`headline.json` has the few numbers of `metrics.json` that all stages share, for `dvc metrics show`: it prints a
column for each name in any stage's file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from longwriter.amounts import amount

Value = float | dict[str, int] | None

_HEADLINE = {
    "rows_in": ("in", 0), "rows_kept": ("kept", 0), "words_mean": ("words", 0), "length_score_mean": ("S_l", 1),
    "quality_score_mean": ("S_q", 1), "ended_share": ("ended", 2), "loop_share": ("loops", 2),
    "refusal_share": ("refused", 2), "test_loss": ("loss", 3),
}  # fmt: skip
"""Name in `metrics.json` → name in `headline.json`, and digits after the point."""
_CALLS = {"calls_replayed": "replayed", "calls_retried": "retried"}
_TOKENS = ("prompt_tokens", "completion_tokens")
_OF_LLM = {"calls_sent", *_CALLS, *_TOKENS, "calls_uncounted", "cached_tokens", "cost_usd"}


@dataclass
class Summary:
    """The result of a stage: counts of rows, further numbers, and files for MLflow.

    For every stage, rows in = rows kept + rows rejected.
    """

    rows_in: int
    rows_kept: int
    rejected: dict[str, int] = field(default_factory=dict)
    numbers: dict[str, float] = field(default_factory=dict)
    """Deterministic numbers; they become `metrics.json`, and a few of them `headline.json`."""
    execution: dict[str, float] = field(default_factory=dict)
    """Numbers of this execution only, such as `LLM.usage()`; they go to `summary.json` and MLflow."""
    artifacts: list[Path] = field(default_factory=list)
    seconds: float = 0.0
    """Duration of the work; the runner sets it."""
    offered: int | None = None
    """Number of rows that the stage tried to keep, if it left out others on purpose; None = `rows_in`."""
    min_kept_share: float = 0.0
    """Smallest share of the offered rows that must be kept. A stage that keeps no row fails in any case."""

    def shortage(self, stage: str) -> str | None:
        """Return a message that too few rows are kept, or None if there are enough."""
        offered = self.rows_in if self.offered is None else self.offered
        if self.rows_kept and self.rows_kept >= self.min_kept_share * offered:
            return None
        bound = f", {stage}.min_kept_share is {self.min_kept_share:g}" if self.min_kept_share else ""
        return (
            f"{self.rows_kept:,} of {offered:,} rows are kept{bound}; rejected: {self._reasons() or 'none'}"
        )

    def _reasons(self) -> str:
        by_count = sorted(self.rejected.items(), key=lambda item: -item[1])
        return ", ".join(f"{reason} {count:,}" for reason, count in by_count)

    def metrics(self) -> dict[str, float]:
        """Return the content of `metrics.json`: the deterministic numbers, flat."""
        counts = {f"rejected_{reason}": float(n) for reason, n in sorted(self.rejected.items())}
        return {"rows_in": self.rows_in, "rows_kept": self.rows_kept, **counts, **self.numbers}

    def headline(self) -> dict[str, float]:
        """Return the content of `headline.json`: the numbers of `metrics.json` that are shown first, rounded."""
        numbers = self.metrics()
        return {
            short: round(numbers[name], digits) if digits else round(numbers[name])
            for name, (short, digits) in _HEADLINE.items()
            if name in numbers
        }

    def content(self) -> dict[str, Value]:
        """Return the content of `summary.json`; `cost_usd` is null if the price of a model is unknown."""
        cost: dict[str, Value] = {"cost_usd": None} if "calls_sent" in self.execution else {}
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.rows_kept,
            "rejected": dict(sorted(self.rejected.items())),
            "seconds": round(self.seconds, 1),
            **cost,
            **self.execution,
        }

    def line(self, stage: str) -> str:
        """Return the closing line of a stage."""
        total = sum(self.rejected.values())
        reasons = self._reasons()
        counts = f"{stage}: {self.rows_in:,} in, {self.rows_kept:,} kept, {total:,} rejected"
        extra = "".join(f", {part}" for part in (*self._llm(), *self._others()))
        return f"{counts}{f' ({reasons})' if reasons else ''} in {_duration(self.seconds)}{extra}"

    def _llm(self) -> list[str]:
        """Return calls, tokens and cost as words; empty if no LLM was called."""
        if "calls_sent" not in self.execution:
            return []
        calls = [
            amount(int(self.execution.get("calls_sent", 0)), "call"),
            *(f"{self.execution.get(key, 0):,.0f} {word}" for key, word in _CALLS.items()),
        ]
        tokens = sum(self.execution.get(key, 0) for key in _TOKENS)
        cost = self.execution.get("cost_usd")
        price = "cost unknown (the model has no price)" if cost is None else f"${cost:,.2f}"
        uncounted = self.execution.get("calls_uncounted", 0)
        unknown = [f"tokens of {amount(int(uncounted), 'call')} unknown"] if uncounted else []
        return [*calls, f"{_short(tokens)} tokens", price, *unknown]

    def _others(self) -> list[str]:
        return [f"{name} {_number(value)}" for name, value in self.execution.items() if name not in _OF_LLM]


def _duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, depending on its size."""
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"


def _number(value: float) -> str:
    """Return a number with three significant digits, a whole number with all its digits."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3g}"


def _short(number: float) -> str:
    """Return a count in millions (12.4M); below one million, the whole number."""
    return f"{number / 1e6:,.1f}M" if number >= 1e6 else f"{number:,.0f}"
