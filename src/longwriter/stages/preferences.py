"""Score the samples, pair the best sample of each instruction with a random other sample, check the pairs.

Reads   data/sample/generations.jsonl, the judge's prompt template
Writes  data/preferences/: train.jsonl, test.jsonl, rejected.jsonl, calls.jsonl.zst, verdict.json,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 4.2
Run     dvc repro preferences; exits with 3 if the gate stops
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

from longwriter.gates import pairs as pair_gate
from longwriter.gates.suite import gx, verdicts
from longwriter.io import files
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import Question
from longwriter.params import Params
from longwriter.preferences import pairs as preferences
from longwriter.preferences.pairs import Candidate
from longwriter.records import Generation, Judgement, PreferencePair, Rejection, Unscored
from longwriter.stages import runner
from longwriter.tracking import versioning

FOLDER = files.DATA / "preferences"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Make a pair or a rejection for each instruction; write the verdict, or stop."""
    section = params.preferences
    max_repeated_share = params.score.max_repeated_share
    samples = files.read_jsonl(files.DATA / "sample" / "generations.jsonl", Generation)
    qualities, usage = _judged(params, samples, folder / "calls.jsonl.zst")
    candidates: dict[str, list[Candidate | Unscored]] = defaultdict(list)
    for sample, quality in zip(samples, qualities, strict=True):
        candidate = preferences.candidate(sample, quality, section.quality_weight, max_repeated_share)
        candidates[sample.prompt_id].append(candidate)
    results = [
        preferences.pair_of(prompt_id, candidates[prompt_id], min_gap=section.min_gap, seed=section.seed)
        for prompt_id in sorted(candidates)
    ]
    pairs = [row for row in results if isinstance(row, PreferencePair)]
    rejected = [row for row in results if isinstance(row, Rejection)]
    test = [row for row in pairs if preferences.is_test(row, section.test_share)]
    train = [row for row in pairs if not preferences.is_test(row, section.test_share)]
    for name, rows in (("train.jsonl", train), ("test.jsonl", test), ("rejected.jsonl", rejected)):
        files.write_jsonl(folder / name, rows)
    docs = verdicts.DOCS / "preferences"
    findings = gx.run(pair_gate.gate(train, test, section, max_repeated_share), docs)
    data = {str(FOLDER / name): versioning.digest(folder / name) for name in ("train.jsonl", "test.jsonl")}
    gate = verdicts.settle("preferences", findings, data, len(pairs), folder / "verdict.json")
    numbers = {
        **preferences.pair_numbers(train, test),
        **preferences.sample_numbers([sample for group in candidates.values() for sample in group]),
        **gate,
    }
    reasons = Counter(row.reason for row in rejected)
    artifacts = [docs, FOLDER / "verdict.json"]
    return runner.Summary(len(candidates), len(pairs), dict(reasons), numbers, usage, artifacts)


def _judged(
    params: Params, samples: list[Generation], calls: Path
) -> tuple[list[Judgement | Unscored] | list[None], dict[str, float]]:
    """Return the quality of each sample; if quality has no weight, return None for each and call no judge."""
    if params.preferences.quality_weight == 0:
        with files.zstd_lines(calls):
            return [None for _ in samples], {}
    texts = [Question(sample.prompt, sample.text) for sample in samples]
    return asyncio.run(judge_texts(params.judge, texts, calls, "preferences", "judge"))


if __name__ == "__main__":
    runner.main("preferences", work)
