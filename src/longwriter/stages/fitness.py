"""Test whether the scores of the benchmark's judge are evidence, before anybody reads them.

Reads   data/dataset/train.jsonl and test.jsonl (texts to degrade and to attack), the votes in fitness.votes,
        the judge's prompt templates
Writes  data/fitness/: fitness.json (measures, and whether the judge is evidence), calls.jsonl.zst, metrics.json
Run     dvc repro fitness
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from longwriter.execution import runner
from longwriter.fitness import copies, fitness, pairs, votes
from longwriter.fitness.fitness import Limits
from longwriter.io import files
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import Question
from longwriter.pairwise.questions import asking
from longwriter.params import Params
from longwriter.records import Example, JudgeFitness, Vote

_NO_JUDGE = JudgeFitness(judge=None, is_evidence=False, reasons=["there is no judge"], lines=[])


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Let the judge score degraded, attacked and repeated texts, and texts that people voted on."""
    calls = folder / "calls.jsonl.zst"
    if not params.score.judges:
        with files.zstd_lines(calls):
            files.write_json(folder / "fitness.json", _NO_JUDGE.model_dump())
        return runner.Summary(1, 1, {}, {"is_evidence": 0.0})
    own = params.fitness
    limits = Limits(
        confidence=params.report.confidence,
        min_ranked_right=own.min_ranked_right,
        max_attacked_gain=own.max_attacked_gain,
        min_repeat_agreement=own.min_repeat_agreement,
        max_attacked_wins=own.max_attacked_wins,
    )
    originals = copies.originals(_examples(), own.texts)
    cases = fitness.cases(originals, own.repeats)
    people = _votes(Path(own.votes))
    voted_texts = votes.texts(people)
    questions = [*(case.question for case in cases), *(Question(*text) for text in voted_texts)]
    marks, usage = asyncio.run(judge_texts(params.score, questions, calls, "fitness", "score"))
    measures = fitness.measure(cases, marks[: len(cases)], limits)
    agreement = None
    if people:
        by_text = dict(zip(voted_texts, marks[len(cases) :], strict=True))
        agreement = votes.agreement(people, by_text, limits.confidence)
    verdict = fitness.verdict(measures, agreement, limits)
    numbers = {"is_evidence": float(verdict.is_evidence), **fitness.numbers(measures, agreement)}
    if params.pairwise.pairs != "none":
        log = folder / "pairs.jsonl.zst"
        pair_cases = pairs.cases(originals)
        questions_of_pairs = [case.pair for case in pair_cases]
        results, pair_usage = asyncio.run(
            asking.compare(params.score, params.pairwise.prompt, questions_of_pairs, log, "fitness pairs")
        )
        files.join_call_logs([calls, log], calls)
        usage = {name: value + pair_usage.get(name, 0.0) for name, value in usage.items()}
        compared = pairs.measure(pair_cases, results, limits.confidence)
        verdict = verdict.model_copy(update={"pairs": pairs.verdict(compared, limits)})
        numbers |= pairs.numbers(compared)
    files.write_json(folder / "fitness.json", verdict.model_dump())
    return runner.Summary(1, 1, {}, numbers, usage)


def _examples() -> list[Example]:
    return [
        row
        for name in ("train.jsonl", "test.jsonl")
        for row in files.read_jsonl(files.DATA / "dataset" / name, Example)
    ]


def _votes(folder: Path) -> list[Vote]:
    return [row for path in sorted(folder.glob("*.jsonl")) for row in files.read_jsonl(path, Vote)]


if __name__ == "__main__":
    runner.main("fitness", work)
