"""Score the samples, pair the best sample of each instruction with a random other sample, check the pairs.

Continuations of one text (`sample.steps`) are paired in the same way, with each other.

Reads   data/sample/generations.jsonl, the judge's prompt template, general pairs, the prompts of the benchmarks
Writes  data/preferences/: train.jsonl, test.jsonl, rejected.jsonl, calls.jsonl.zst, verdict.json,
        metrics.json
Source  LongWriter (arXiv:2408.07055), section 4.2
Run     dvc repro preferences; exits with 3 if the gate stops
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path

from longwriter.dataset import licences
from longwriter.exclusions import decontamination
from longwriter.execution import runner
from longwriter.gates import pairs as pair_gate
from longwriter.gates.suite import gx, verdicts
from longwriter.io import files
from longwriter.judge.judge import judge_texts
from longwriter.judge.judgements import Question
from longwriter.params import Params
from longwriter.preferences import general as general_pairs
from longwriter.preferences import pairs as preferences
from longwriter.preferences.pairs import Candidate
from longwriter.records import Generation, Judgement, PairRow, PreferencePair, Rejection, Unscored
from longwriter.tracking import versioning

FOLDER = files.DATA / "preferences"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Make a pair or a rejection for each instruction and for each continued text; then pass the gate, or stop."""
    section = params.preferences
    max_repeated_share = params.score.max_repeated_share
    samples = files.read_jsonl(files.DATA / "sample" / "generations.jsonl", Generation)
    qualities, usage = _qualities(params, samples, folder / "calls.jsonl.zst")
    candidates: dict[tuple[str, str], list[Candidate | Unscored]] = defaultdict(list)
    for sample, quality in zip(samples, qualities, strict=True):
        candidate = preferences.candidate(sample, quality, section.quality_weight, max_repeated_share)
        candidates[sample.prompt_id, sample.prefix].append(candidate)
    results = [
        preferences.pair_of(
            key[0],
            candidates[key],
            min_gap=section.min_gap,
            max_ratio=section.max_pair_ratio,
            seed=section.seed,
        )
        for key in sorted(candidates)
    ]
    pairs = [row for row in results if isinstance(row, PreferencePair)]
    train, test = preferences.split(pairs, section.test_share)
    general, rejected_pairs = _general(params, len(train))
    train += general
    rejected = [*(row for row in results if isinstance(row, Rejection)), *rejected_pairs]
    for name, rows in (("train.jsonl", train), ("test.jsonl", test), ("rejected.jsonl", rejected)):
        files.write_jsonl(folder / name, rows)
    docs = verdicts.DOCS / "preferences"
    findings = gx.run(pair_gate.gate(train, test, section, max_repeated_share), docs)
    data = {str(FOLDER / name): versioning.digest(folder / name) for name in ("train.jsonl", "test.jsonl")}
    rows_kept = len(pairs) + len(general)
    gate = verdicts.settle("preferences", findings, data, rows_kept, folder / "verdict.json")
    numbers = {
        **preferences.pair_numbers(train, test),
        **preferences.sample_numbers([sample for group in candidates.values() for sample in group]),
        **gate,
    }
    reasons = Counter(row.reason for row in rejected)
    artifacts = [docs, FOLDER / "verdict.json"]
    rows_in = len(candidates) + len(general) + len(rejected_pairs)
    return runner.Summary(rows_in, rows_kept, dict(reasons), numbers, usage, artifacts)


def _general(params: Params, pairs: int) -> tuple[list[PreferencePair], list[Rejection]]:
    """Return the general pairs to mix with `pairs` training pairs, and the rows of the source that were refused.

    Raises:
        UserError: too many rows of the source are malformed.
    """
    section = params.preferences
    number = general_pairs.number(pairs, section.general_share)
    if not number:
        return [], []
    source = Path(section.general_source)
    paths = sorted(path for path in source.glob("**/*.jsonl") if path.is_file())
    rows = [item for path in paths for item in files.scan_jsonl(path, PairRow)]
    malformed = [f"{where}: {row}" for where, row in rows if isinstance(row, str)]
    max_share = params.instructions.max_malformed_share
    files.check_malformed(
        len(malformed), len(rows), max_share, section.general_source, next(iter(malformed), None)
    )
    prompts = files.read_json(files.DATA / "benchmarks" / "prompts.json", list[str])
    rules = general_pairs.Rules(
        decontamination.index(prompts),
        params.score.max_repeated_share,
        section.max_pair_ratio,
        licences.licence_of(source),
    )
    return general_pairs.mixed(rows, number, rules, section.seed)


def _qualities(
    params: Params, samples: list[Generation], calls: Path
) -> tuple[list[Judgement | Unscored] | list[None], dict[str, float]]:
    """Return the quality of each sample; if quality has no weight, return None for each and call no judge."""
    if params.preferences.quality_weight == 0:
        with files.zstd_lines(calls):
            return [None for _ in samples], {}
    texts = [Question(sample.prompt, sample.text) for sample in samples]
    judge = params.preferences.judge
    return asyncio.run(judge_texts(judge, texts, calls, "preferences", "preferences.judge"))


if __name__ == "__main__":
    runner.main("preferences", work)
