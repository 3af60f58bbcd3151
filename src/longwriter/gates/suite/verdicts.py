"""The verdict of a gate: a stage writes it or stops, and later stages check it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from longwriter.errors import GateStopped
from longwriter.io import files
from longwriter.tracking import versioning

DOCS = files.LOCAL / "data_docs"
_NAMED = 5  # failing rows that a message names


_GATES = {
    "instructions": "instructions.gate",
    "plan": "plan.gate",
    "validate": "validate",
    "preferences": "preferences",
}
"""Section of params.yaml with the bounds of a gate, by stage; its list `warn` names expectations that only warn."""
KEYS: dict[str, dict[str, tuple[str, ...]]] = {
    "instructions": {
        "enough_rows": ("instructions.gate.min_rows",),
        "known_language": ("instructions.languages",),
        "prompt_in_bounds": ("instructions.gate.min_prompt_words", "instructions.gate.max_prompt_words"),
        "length_in_reach": ("instructions.max_required_words",),
        "types_balanced": ("instructions.gate.max_type_share",),
    },
    "plan": {
        "enough_rows": ("plan.gate.min_rows",),
        "enough_kept": ("plan.gate.min_kept_share",),
        "steps_in_bounds": ("plan.min_steps", "plan.max_steps"),
        "step_words_in_bounds": ("plan.min_step_words", "plan.max_step_words"),
        "sum_is_near": ("plan.gate.max_length_error",),
    },
    "validate": {
        "enough_rows": ("validate.min_rows",),
        "length_in_bounds": ("validate.min_words", "validate.max_words"),
        "no_loop": ("validate.max_repeated_share",),
        "asked_length_is_written": ("validate.max_length_error",),
        "distinct_openings": ("validate.min_distinct_share",),
    },
    "preferences": {
        "enough_pairs": ("preferences.min_pairs",),
        "both_sides_have_pairs": ("preferences.test_share",),
        "chosen_is_ahead": ("preferences.min_gap",),
        "no_loop": ("score.max_repeated_share",),
        "lengths_alike": ("preferences.max_words_ratio",),
    },
}
"""Keys of params.yaml that hold the bounds of an expectation, by stage and expectation; others have no key."""


class Finding(NamedTuple):
    """The result of one expectation; `rows` are the ids of all failing rows.

    An expectation about a share of the rows may pass although some fail it. `observed` is the value that was measured; `bound` says what is allowed, for messages.
    """

    name: str
    critical: bool
    passed: bool
    observed: Any
    bound: str
    rows: list[str]

    def sentence(self) -> str:
        """Return name, observed value, bound and the first failing rows in one line."""
        more = f" and {len(self.rows) - _NAMED:,} more" if len(self.rows) > _NAMED else ""
        rows = f"; failing rows: {', '.join(self.rows[:_NAMED])}{more}" if self.rows else ""
        observed = round(self.observed, 6) if isinstance(self.observed, float) else self.observed
        return f"{self.name}: observed {observed}, bound {self.bound}{rows}"


class Verdict(BaseModel):
    """What later stages read of a verdict; `data` is {path: DVC's digest} of what the gate has checked."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    passed: bool
    data: dict[str, str]


def read(verdict_file: Path) -> Verdict:
    """Return the verdict that `settle` wrote.

    Raises:
        BadRecord: there is none, or the file is not what `settle` wrote.
    """
    return files.read_record(verdict_file, Verdict)


def settle(
    stage: str, findings: list[Finding], digests: dict[str, str], rows: int, verdict_file: Path
) -> dict[str, float]:
    """Write the verdict, or raise an error that stops the stage.

    Args:
        stage: The stage of the gate; its Data Docs are in DOCS / stage.
        findings: The findings, one for each expectation of the gate.
        digests: {path: DVC's digest} of the data that the gate has checked.
        rows: Number of rows of the data.
        verdict_file: The file of the verdict, which later stages read.

    Returns:
        The number of expectations, and the number of warnings.

    Raises:
        GateStopped: a critical expectation failed.
    """
    failures = [finding for finding in findings if not finding.passed]
    critical = [finding for finding in failures if finding.critical]
    expectations = [finding._asdict() for finding in findings]
    verdict = {"passed": not critical, "data": digests, "rows": rows, "expectations": expectations}
    if not critical:
        files.write_json(verdict_file, verdict)
        return {"expectations": float(len(findings)), "warnings": float(len(failures))}
    stopped_file = files.LOCAL / "stopped" / stage / "verdict.json"
    stopped_file.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(stopped_file, verdict)
    raise GateStopped(
        f"{len(critical)} of {len(findings)} expectations stop the data set ({rows:,} rows): "
        + " | ".join(finding.sentence() for finding in critical)
        + f". All failing rows: {stopped_file}; Data Docs: {DOCS / stage / 'index.html'}. "
        + _advice(stage, [finding.name for finding in critical]),
        artifacts=(stopped_file, DOCS / stage),
    )


def _advice(stage: str, names: Sequence[str]) -> str:
    """Return the keys of params.yaml that decide on these expectations, as a sentence."""
    keys = [key for name in names for key in KEYS.get(stage, {}).get(name, ())]
    bounds = f"their bounds are {', '.join(keys)}; " if keys else ""
    section = _GATES.get(stage, stage)
    return f"In params.yaml {bounds}{section}.warn lists expectations that only warn"


def check_verdict(verdict_file: Path, data: Sequence[Path], stage: str) -> None:
    """Check that the rows now in `data` are the rows that a gate has passed.

    Args:
        verdict_file: The verdict that `settle` wrote.
        data: The files that the gate checked.
        stage: Name of the stage that writes the verdict, for the error.

    Raises:
        BadRecord: there is no verdict.
        GateStopped: the gate has checked other rows, or has stopped these.
    """
    verdict = read(verdict_file)
    digests = versioning.digests(data)
    if not verdict.passed or verdict.data != digests:
        raise GateStopped(
            f"{verdict_file} does not pass the rows in {', '.join(digests)}: run `dvc repro {stage}`"
        )


def check_examples() -> None:
    """Check that the gate `validate` has passed the data set; see `check_verdict`."""
    data = [files.DATA / "dataset" / name for name in ("train.jsonl", "test.jsonl")]
    check_verdict(files.DATA / "validate" / "verdict.json", data, "validate")


def check_pairs() -> None:
    """Check that the gate of `preferences` has passed the pairs; see `check_verdict`."""
    folder = files.DATA / "preferences"
    check_verdict(folder / "verdict.json", [folder / "train.jsonl", folder / "test.jsonl"], "preferences")
