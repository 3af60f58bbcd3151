"""Select the writing instructions from the sources. The sources may get new rows later.

Reads   instructions.source (and instructions.hub), the rules, data/benchmarks/in_instructions.json,
        the list of withdrawn rows
Writes  data/instructions/: instructions.jsonl, rejected.jsonl, funnel.json, funnel.png, verdict.json,
        calls.jsonl.zst, summary.json, metrics.json
Source  LongWriter (arXiv:2408.07055), section 3.2: how LongWriter-6k was selected from chats
Run     dvc repro instructions; exits with 3 if the gate stops
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from longwriter.execution import runner
from longwriter.gates.suite import verdicts
from longwriter.instructions import candidates, funnel, funnel_plot, intent, screening, selection
from longwriter.io import files, progress
from longwriter.llm.asking import ask_until_usable
from longwriter.llm.client import LLM, Answer
from longwriter.models import servers as serving
from longwriter.params import InstructionsParams, JudgeParams, Params
from longwriter.records import Instruction
from longwriter.text.basics.prompts import Refused
from longwriter.tracking import versioning

FOLDER = files.DATA / "instructions"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Screen and select rows; write the selected rows, and the rejected rows with their reasons."""
    return asyncio.run(_work(params, folder))


async def _work(params: Params, folder: Path) -> runner.Summary:
    own = params.instructions
    benchmark = files.read_json(files.DATA / "benchmarks" / "in_instructions.json")
    limits = candidates.screening_limits(own, benchmark)
    with (
        (folder / "rejected.jsonl").open("wb") as rejected,
        candidates.screen_sources(candidates.source_chunks(own), limits, rejected) as pool,
    ):
        pool.check_malformed(own.max_malformed_share, own.source)
        result = await _select(pool, own, folder / "calls.jsonl.zst")
        selected = _write(pool, result, folder / "instructions.jsonl", rejected, limits.withdrawn)
    counts = enumerate(np.bincount(result.decisions.codes))
    later_reasons = Counter({selection.REASONS[code]: int(n) for code, n in counts if code})
    reasons = +(pool.reasons + later_reasons)
    steps = funnel.funnel(pool.rows(), reasons)
    files.write_json(folder / "funnel.json", [step._asdict() for step in steps])
    funnel_plot.draw(steps, "Instructions", folder / "funnel.png")
    numbers = {
        "stated_length": float(sum(row.required_words is not None for row in selected)),
        "types": float(len({row.type for row in selected})),
    }
    gate_numbers, artifacts = _pass_gate(selected, own, benchmark, folder)
    artifacts += [FOLDER / "funnel.json", FOLDER / "funnel.png"]
    return runner.Summary(
        pool.rows(), len(selected), dict(reasons), {**numbers, **gate_numbers}, result.usage, artifacts
    )


def _pass_gate(
    selected: list[Instruction], params: InstructionsParams, benchmark: list[str], folder: Path
) -> tuple[dict[str, float], list[Path]]:
    """Write the verdict, or stop; return the gate's numbers and its artifacts."""
    from longwriter.gates import instructions as instruction_gate
    from longwriter.gates.suite import (
        gx,  # imported here, because the processes that screen rows do not need it
    )

    docs = verdicts.DOCS / "instructions"
    findings = gx.run(instruction_gate.gate(selected, params, benchmark), docs)
    digests = {str(FOLDER / "instructions.jsonl"): versioning.digest(folder / "instructions.jsonl")}
    numbers = verdicts.settle("instructions", findings, digests, len(selected), folder / "verdict.json")
    return numbers, [docs, FOLDER / "verdict.json"]


class _Selection(NamedTuple):
    """The decisions on all candidates, the judge's calls by candidate, and their tokens and cost."""

    decisions: candidates.Decisions
    call_ids: dict[int, list[str]]
    usage: dict[str, float]


async def _select(pool: candidates.Candidates, params: InstructionsParams, calls_file: Path) -> _Selection:
    """Decide on each candidate.

    The judge sees only prompts that would be selected. When it refuses one, another prompt takes its place,
    so the selection is repeated until the judge has seen every prompt in it.
    """
    decisions = candidates.decide(pool, params)
    codes = decisions.codes
    call_ids: dict[int, list[str]] = {}
    async with _judge_of(params, calls_file) as judge:
        while True:
            selected = candidates.select(pool, codes, params)
            unseen = [
                int(place) for place in selected if decisions.unstated[place] and int(place) not in call_ids
            ]
            if judge is None or not unseen:
                break
            answers = await judge.each([pool[place].prompt for place in unseen])
            for place, (long, ids) in zip(unseen, answers, strict=True):
                call_ids[place] = ids
                codes[place] = (
                    0 if long else selection.REASON_CODE["unjudged" if long is None else "not_long"]
                )
        usage = judge.llm.usage() if judge else {}
    over_limit = codes == 0
    over_limit[selected] = False
    codes[over_limit] = selection.REASON_CODE["over_limit"]
    return _Selection(decisions, call_ids, usage)


def _write(
    pool: candidates.Candidates,
    result: _Selection,
    file: Path,
    rejected: IO[bytes],
    withdrawn: Set[str],
) -> list[Instruction]:
    """Write the selected instructions by id, and the rejections in the order of the sources; return the instructions.

    A rejection does not show the prompt of a withdrawn row, or of a row that is nearly the same.
    """
    decisions = result.decisions
    selected = []
    for place, code in enumerate(decisions.codes):
        item = pool[place]
        if not code:
            selected.append(item)
            continue
        reason = selection.REASONS[code]
        detail, texts = item.origin, {item.instruction_id}
        if reason == "contaminated":
            detail += f": {pool.benchmark_hits[place]}"
        elif reason == "near_duplicate":
            other = pool[int(decisions.nearest[place])]
            similarity = decisions.similarity[place]
            detail += f": {similarity:.0%} of {other.instruction_id} ({other.origin})"
            texts.add(other.instruction_id)
        shown = "" if texts & withdrawn else item.prompt
        row = screening.rejection(item.instruction_id, reason, detail, shown, result.call_ids.get(place, ()))
        rejected.write(f"{row.model_dump_json()}\n".encode())
    selected.sort(key=lambda item: item.instruction_id)
    files.write_jsonl(file, selected)
    return selected


class Judge(NamedTuple):
    """The model that judges prompts without a stated length: does the prompt ask for a long text?"""

    llm: LLM
    template: str
    params: JudgeParams

    async def each(self, prompts: Sequence[str]) -> list[tuple[bool | None, list[str]]]:
        """Return (whether it asks for a long text, ids of the calls) for each prompt; None = no readable answer."""
        return await progress.each(prompts, self._judge, "instructions", self.llm.note)

    async def _judge(self, prompt: str) -> tuple[bool | None, list[str]]:
        """Return what `each` returns, for one prompt."""

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
async def _judge_of(own: InstructionsParams, calls: Path) -> AsyncIterator[Judge | None]:
    """Yield the judge, or None and an empty call log if prompts without a length are not judged."""
    judge = own.judge
    if own.unstated != "judge" or judge.llm is None:
        with files.zstd_lines(calls):
            yield None
        return
    async with serving.model(judge.llm, judge.sampling, calls, "instructions.judge.sampling") as llm:
        yield Judge(llm, files.template(judge.prompt), judge)


if __name__ == "__main__":
    runner.main("instructions", work)
