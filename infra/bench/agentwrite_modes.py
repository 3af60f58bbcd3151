"""Compares AgentWrite's modes serial, parallel and direct, with a model that runs on this machine.

The unchanged stages `plan` and `write` run with the committed parameters, once for each mode and seed, over
the same English instructions that state a length (chosen by hash). The prompt of a paragraph must show the
plan and the text so far: without the text, serial and parallel send the same prompt. Measured on kept texts:

    S_l         length score against the stated length (LongWriter, section 2)
    redundancy  share of a paragraph's 5-grams that also occur in other paragraphs, mean over paragraphs
    loops       share of texts in which more than `score.max_repeated_share` of the 5-grams are repeats
    tokens      prompt and completion tokens of all calls, also those for rejected texts

The stages reject texts that repeat themselves, so redundancy and loops are low in kept texts; `--unchecked`
keeps every first answer. The instructions are few and the model is small: the differences between seeds show
how reliable the numbers are.

Run: `python infra/bench/agentwrite_modes.py`; prints a table, and writes it as JSON to `--out`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, get_args

from dvc.repo import Repo

from longwriter import params as parameters
from longwriter.evaluation import scores as scoring
from longwriter.exclusions import decontamination
from longwriter.instructions import screening
from longwriter.io import files
from longwriter.params import Params
from longwriter.params.agentwrite import PlanRule
from longwriter.records import Draft, Instruction, Rejection
from longwriter.sources import files as sources
from longwriter.stages import plan, write
from longwriter.text.basics.counting import count_words, repeated_share, tokens
from longwriter.tracking.runs import StageRun

ROOT = Path(__file__).resolve().parents[2]
MODES = ("serial", "parallel", "direct")
_STAGES = {"plan": plan.work, "write": write.work}
UNCHECKED = {
    "plan": {"max_length_error": None, "min_coverage": 0.0},
    "write": {
        "max_attempts": 1, "min_paragraph_words": 1, "max_length_ratio": None, "max_repeated_share": 1.0,
    },
}  # fmt: skip


def chosen(source: Path, number: int, low: int, high: int) -> list[Instruction]:
    """Return the instructions of `source` that state `low` to `high` words, the first `number` by hash."""
    limits = screening.ScreeningLimits(["en"], 10**6, high, {}, {}, decontamination.index([]))
    rows = [row for chunk in sources.chunks(str(source), "*") for row in sources.rows(chunk)]
    fitting = [
        row.instruction
        for row in screening.screen(rows, limits)[0]
        if (row.instruction.required_words or 0) >= low
    ]
    return sorted(fitting, key=lambda row: row.instruction_id)[:number]


def params_of(model: Path, mode: str, seed: int, options: argparse.Namespace) -> Params:
    """Return the committed parameters for one mode and seed, with the model folder `model`."""
    values = parameters.read(ROOT / "params.yaml")
    if options.unchecked:
        for section, loose in UNCHECKED.items():
            values[section] |= loose
    values["llm"] |= {"engine": "llama.cpp", "model": str(model), "base_url": None, "context_tokens": 2048}
    values["plan"]["gate"] |= {"min_rows": 1, "min_kept_share": 0.0, "warn": list(get_args(PlanRule))}
    values["write"] |= {"mode": mode, "prompt": options.prompt}
    for sampling in (
        values["plan"]["sampling"], values["write"]["sampling"], values["write"]["direct_sampling"]
    ):  # fmt: skip
        sampling["seed"] = seed
    checked = parameters.check(values, "params.yaml")
    plan, write = checked.plan, checked.write
    judge = plan.judge.model_copy(update={"prompt": str(ROOT / plan.judge.prompt)})
    return checked.model_copy(
        update={
            "plan": plan.model_copy(update={"prompt": str(ROOT / plan.prompt), "judge": judge}),
            "write": write.model_copy(update={"prompt": str(ROOT / write.prompt)}),
        }
    )


def written(
    params: Params, instructions: list[Instruction]
) -> tuple[list[Draft], Counter[str], dict[str, float]]:
    """Return (drafts, reasons of rejection, usage) of both stages, run in the current folder.

    An instruction whose plan was rejected counts among the reasons.
    """
    (files.DATA / "instructions").mkdir(parents=True, exist_ok=True)
    files.write_jsonl(files.DATA / "instructions" / "instructions.jsonl", instructions)
    reasons: Counter[str] = Counter()
    usage: Counter[str] = Counter()
    for name, work in _STAGES.items():
        with files.published(files.DATA / name) as folder:
            summary = work(params, folder, StageRun("run", "fingerprint"))
        rejected = files.read_jsonl(files.DATA / name / "rejected.jsonl", Rejection)
        reasons.update(f"{name}: {row.reason}" for row in rejected)
        usage.update({key: int(value) for key, value in summary.execution.items()})
    drafts = files.read_jsonl(files.DATA / "write" / "drafts.jsonl", Draft)
    return drafts, reasons, dict(usage)


def grams(text: str) -> set[tuple[str, ...]]:
    """Return the 5-grams of a text."""
    words = tokens(text)
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def redundancy(text: str) -> float | None:
    """Return the mean share of a paragraph's 5-grams that the others have too; None for one paragraph."""
    parts = [part for part in map(grams, re.split(r"\n\s*\n", text)) if part]
    if len(parts) < 2:
        return None
    shares = [
        len(part & set().union(*(other for j, other in enumerate(parts) if j != i))) / len(part)
        for i, part in enumerate(parts)
    ]
    return statistics.mean(shares)


def mean(values: list[float]) -> float | None:
    """Return the mean; None if there are no values."""
    return statistics.mean(values) if values else None


def measured(params: Params, seed: int, rows: list[Instruction]) -> dict[str, Any]:
    """Return the numbers of one mode with one seed."""
    drafts, reasons, usage = written(params, rows)
    texts = [("\n\n".join(draft.paragraphs), draft.plan.instruction.required_words or 1) for draft in drafts]
    redundancies = [share for text, _ in texts if (share := redundancy(text)) is not None]
    loops = [repeated_share(text) > params.score.max_repeated_share for text, _ in texts]
    return {
        "mode": params.write.mode,
        "seed": seed,
        "n": len(rows),
        "kept": len(texts),
        "length_score": mean([scoring.length_score(required, count_words(text)) for text, required in texts]),
        "words": mean([float(count_words(text)) for text, _ in texts]),
        "redundancy": mean(redundancies),
        "redundancy_n": len(redundancies),
        "loops": mean([float(loop) for loop in loops]),
        "rejected": dict(reasons),
        "calls": usage.get("calls_sent", 0) + usage.get("calls_replayed", 0),
        "prompt_tokens": usage.get("prompt_tokens", 0),
        "completion_tokens": usage.get("completion_tokens", 0),
    }


def over_seeds(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over seeds of each number; None where a seed kept nothing is left out."""
    numbers = {
        key: mean([row[key] for row in rows if row[key] is not None])
        for key in rows[0]
        if key not in ("mode", "seed", "rejected")
    }
    rejected: Counter[str] = Counter()
    for row in rows:
        rejected.update(row["rejected"])
    return {"mode": rows[0]["mode"], "seed": "mean", **numbers, "rejected": dict(rejected)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text."""

    def shown(value: float | None, form: str) -> str:
        return "-".rjust(int(form.split(".")[0])) if value is None else format(value, form)

    lines = ["mode      seed   kept/n    S_l  words  redundancy  loops  calls  tokens in/out  rejected"]
    for row in rows:
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(row["rejected"].items()))
        lines.append(
            f"{row['mode']:<9} {row['seed']!s:<5} {row['kept']:>5.1f}/{row['n']:.0f} "
            f"{shown(row['length_score'], '6.1f')} {shown(row['words'], '6.0f')} "
            f"{shown(row['redundancy'], '11.1%')} {shown(row['loops'], '6.0%')} {row['calls']:>6.0f} "
            f"{row['prompt_tokens']:>8,.0f}/{row['completion_tokens']:,.0f}  {why}"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure each mode with each seed; print and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--model", type=Path, default=Path("data/base_model/weights"), help="folder with GGUF"
    )
    parser.add_argument(
        "--source",
        type=Path,
        default=ROOT / "src/longwriter/seeds/instructions/en.jsonl",
        help="instructions",
    )
    parser.add_argument("--number", type=int, default=12, help="instructions")
    parser.add_argument("--words", type=int, nargs=2, default=[150, 400], help="lengths that they may state")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--modes", nargs="*", choices=MODES, default=MODES)
    parser.add_argument("--prompt", default="src/longwriter/prompts/write.txt", help="of a paragraph")
    parser.add_argument("--unchecked", action="store_true", help="no check and no second try for a paragraph")
    parser.add_argument("--out", type=Path, default=Path(".lw/bench/agentwrite_modes.json"))
    options = parser.parse_args()
    model, out = options.model.resolve(), options.out.resolve()
    instructions = chosen(options.source, options.number, *options.words)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # the stages work in the current folder
        Repo.init(no_scm=True).close()  # the gate behind `plan` takes digests from DVC
        for mode in options.modes:
            seed_rows = [
                measured(params_of(model, mode, seed, options), seed, instructions) for seed in options.seeds
            ]
            rows += [*seed_rows, over_seeds(seed_rows)]
        os.chdir("/")
    sys.stdout.write(table(rows))
    out.parent.mkdir(parents=True, exist_ok=True)
    settings = {
        "unchecked": options.unchecked,
        "prompt": options.prompt,
        "seeds": options.seeds,
        "prompts": [i.prompt for i in instructions],
    }
    out.write_text(json.dumps({**settings, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
