"""Choose the writing instructions of this night from sources that can grow.

Reads   instructions.source (and instructions.hub), the rules, every benchmark in generate.folder
Writes  data/instructions/: instructions.jsonl, rejected.jsonl, funnel.json, funnel.png, verdict.json,
        calls.jsonl.zst, summary.json, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.2: how LongWriter-6k was chosen from chats
Run     dvc repro instructions; a stopped gate leaves with exit code 3
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from longwriter.gates import verdicts
from longwriter.instructions import benchmarks, choosing, funnel, funnel_plot, intent
from longwriter.instructions import candidates as sifting
from longwriter.instructions import selection as winnow
from longwriter.io import files, progress
from longwriter.llm.asking import ask_until_usable
from longwriter.llm.client import LLM, Answer
from longwriter.models import servers as serving
from longwriter.params import InstructionsParams, JudgeParams, Params
from longwriter.records import Instruction, Rejection
from longwriter.stages import runner
from longwriter.text.prompts import Refused
from longwriter.tracking import versioning

FOLDER = files.DATA / "instructions"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Take every row of the sources through the funnel; write the chosen, and of the others why not."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    p = params.instructions
    benchmark = benchmarks.prompts(params.generate.folder)
    limits = choosing.bar(p, benchmark)
    with (
        (folder / "rejected.jsonl").open("wb") as out,
        sifting.sifted(choosing.chunks(p), limits, out) as found,
    ):
        sifting.check_malformed(found, p.max_malformed_share, p.source)
        winnowed = await _winnow(found, p, params.judge, folder / "calls.jsonl.zst")
        chosen = _write(found, winnowed, folder / "instructions.jsonl", out)
    rows = len(found) + found.reasons.total()
    counts = enumerate(np.bincount(winnowed.fates.fates))
    reasons = +(found.reasons + Counter({winnow.REASONS[fate]: int(n) for fate, n in counts if fate}))
    steps = funnel.funnel(rows, reasons)
    files.write_json(folder / "funnel.json", [step._asdict() for step in steps])
    funnel_plot.draw(steps, "Instructions", folder / "funnel.png")
    numbers = {
        "stated_length": float(sum(row.required_words is not None for row in chosen)),
        "types": float(len({row.type for row in chosen})),
    }
    gate, shown = _pass_gate(chosen, p, benchmark, folder)
    shown += [FOLDER / "funnel.json", FOLDER / "funnel.png"]
    return runner.Summary(rows, len(chosen), dict(reasons), {**numbers, **gate}, winnowed.usage, shown)


def _pass_gate(
    chosen: list[Instruction], p: InstructionsParams, benchmark: list[str], folder: Path
) -> tuple[dict[str, float], list[Path]]:
    """Write the verdict, or stop; return the gate's numbers, and its files to show."""
    from longwriter.gates import gx  # imported here, so that the processes that screen rows do without it
    from longwriter.gates import instructions as instruction_gate

    docs = verdicts.DOCS / "instructions"
    findings = gx.run(instruction_gate.gate(chosen, p, benchmark), docs)
    data = {str(FOLDER / "instructions.jsonl"): versioning.digest(folder / "instructions.jsonl")}
    numbers = verdicts.settle("instructions", findings, data, len(chosen), folder / "verdict.json")
    return numbers, [docs, FOLDER / "verdict.json"]


class _Winnowed(NamedTuple):
    """The fates of the candidates, the judge's calls by candidate, and what they took."""

    fates: choosing.Fates
    calls: dict[int, list[str]]
    usage: dict[str, float]


async def _winnow(
    found: sifting.Candidates, p: InstructionsParams, judge: JudgeParams, calls_file: Path
) -> _Winnowed:
    """Decide on the candidates; the judge is asked about those alone that would be chosen."""
    decided = choosing.fates_of(found, p)
    fates = decided.fates
    calls: dict[int, list[str]] = {}
    async with _judge_of(p, judge, calls_file) as ask:
        while True:
            chosen = choosing.choice(found, fates, p)
            new = [int(at) for at in chosen if decided.unstated[at] and int(at) not in calls]
            if ask is None or not new:
                break
            said = await ask.each([found[at].prompt for at in new])
            for at, (long, call_ids) in zip(new, said, strict=True):
                calls[at] = call_ids
                fates[at] = 0 if long else winnow.FATE["unjudged" if long is None else "not_long"]
        usage = ask.llm.usage() if ask else {}
    over = fates == 0
    over[chosen] = False
    fates[over] = winnow.FATE["over_limit"]
    return _Winnowed(decided, calls, usage)


def _write(
    found: sifting.Candidates, winnowed: _Winnowed, file: Path, rejected: IO[bytes]
) -> list[Instruction]:
    """Write the chosen by id and the others in the source's order; return the chosen."""
    chosen = []
    for at, fate in enumerate(winnowed.fates.fates):
        item = found[at]
        if not fate:
            chosen.append(item)
            continue
        reason = winnow.REASONS[fate]
        detail = item.origin
        if reason == "contaminated":
            detail += f": {found.hits[at]}"
        elif reason == "near_duplicate":
            other = found[int(winnowed.fates.repeats[at])]
            detail += f": {winnowed.fates.shares[at]:.0%} of {other.instruction_id} ({other.origin})"
        row = Rejection(
            row_id=item.instruction_id, stage="instructions", reason=reason, detail=detail,
            call_ids=winnowed.calls.get(at, []),
        )  # fmt: skip
        rejected.write(f"{row.model_dump_json()}\n".encode())
    chosen.sort(key=lambda item: item.instruction_id)
    files.write_jsonl(file, chosen)
    return chosen


class Judge(NamedTuple):
    """The model that judges whether a prompt that states no length asks for a long text."""

    llm: LLM
    template: str
    params: JudgeParams

    async def each(self, prompts: Sequence[str]) -> list[tuple[bool | None, list[str]]]:
        """Return (whether it asks for a long text, None without a readable answer; call ids) for each prompt."""
        return await progress.each(prompts, self._judge, "instructions", self.llm.note)

    async def _judge(self, prompt: str) -> tuple[bool | None, list[str]]:
        async def read(answer: Answer) -> bool | Refused:
            is_long = intent.wants_long(answer.text)
            return Refused("unreadable", answer.text) if is_long is None else is_long

        outcome = await ask_until_usable(
            self.llm,
            intent.intent_prompt(self.template, prompt),
            self.params.sampling,
            read,
            max_attempts=self.params.max_attempts,
            schema=intent.intent_schema(),
        )
        is_long = None if isinstance(outcome.result, Refused) else outcome.result
        return is_long, outcome.call_ids


@asynccontextmanager
async def _judge_of(p: InstructionsParams, judge: JudgeParams, calls: Path) -> AsyncIterator[Judge | None]:
    """Yield the judge; None where lengths that are not stated are no question. The call log is there anyway."""
    if p.unstated != "judge" or judge.llm is None:
        with files.zstd_lines(calls):
            yield None
        return
    async with serving.model(judge.llm, judge.sampling, calls) as llm:
        yield Judge(llm, files.template(p.judge_prompt), judge)


if __name__ == "__main__":
    runner.main("instructions", work)
