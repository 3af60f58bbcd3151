"""From drafts to training examples: filters, relabelled lengths, general chats, split by hash.

Reads   data/write/drafts.jsonl, wordings of length requests, the general chat set
Writes  data/dataset/: train.jsonl, test.jsonl, rejected.jsonl, lengths.csv, metrics.json
Run     dvc repro dataset
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from longwriter import runner
from longwriter.core import dataset
from longwriter.core.scoring import length_score
from longwriter.edges import files
from longwriter.params import DatasetParams, Params
from longwriter.records import Draft, Example, GeneralRow, Rejection


def work(params: Params, folder: Path) -> runner.Summary:
    """Turn every draft into a row, or say why not."""
    p = params.dataset
    drafts = files.read_jsonl(files.DATA / "write" / "drafts.jsonl", Draft)
    results = [_example(p, draft) for draft in drafts]
    seen: set[str] = set()
    long: list[Example] = []
    rejected = [row for row in results if isinstance(row, Rejection)]
    for row in (row for row in results if isinstance(row, Example)):
        if row.sample_id in seen:
            rejected.append(
                Rejection(row_id=row.sample_id, stage="dataset", reason="duplicate", detail="same messages")
            )
        else:
            seen.add(row.sample_id)
            long.append(row)
    rows = dataset.mix_general(long, _general(params), p.general_share)
    split = {True: [], False: []}  # type: dict[bool, list[Example]]
    for row in sorted(rows, key=lambda row: row.sample_id):
        split[dataset.is_test(row, p.test_share)].append(row)
    files.write_jsonl(folder / "train.jsonl", split[False])
    files.write_jsonl(folder / "test.jsonl", split[True])
    files.write_jsonl(folder / "rejected.jsonl", rejected)
    stated = {row.plan.instruction.instruction_id: row.plan.instruction.required_words for row in drafts}
    asked = ((stated[row.instruction_id], row.words) for row in long if row.instruction_id)
    lengths = sorted((required, words) for required, words in asked if required)
    lines = "".join(f"{required},{words}\n" for required, words in lengths)
    (folder / "lengths.csv").write_text("stated_words,words\n" + lines, encoding="utf-8")
    scores = [length_score(required, words) for required, words in lengths]
    numbers = {
        "train_rows": float(len(split[False])),
        "test_rows": float(len(split[True])),
        "general_rows": float(len(rows) - len(long)),
        "words_mean": round(sum(row.words for row in long) / max(1, len(long)), 3),
        "stated_length_score_mean": round(sum(scores) / max(1, len(scores)), 3),
        "stated_length_score_n": float(len(scores)),
    }
    reasons = Counter(row.reason for row in rejected)
    return runner.Summary(len(drafts), len(long), dict(reasons), numbers)


def _example(p: DatasetParams, draft: Draft) -> Example | Rejection:
    language = draft.plan.instruction.language
    wordings = files.template(f"{p.length_prompts}/{language}.txt").splitlines()
    return dataset.example_of(
        draft,
        min_words=p.min_words,
        max_repeated_share=p.max_repeated_share,
        wordings=wordings if p.relabel_length else None,
    )


def _general(params: Params) -> list[Example]:
    source = Path(params.dataset.general_source)
    paths = sorted(source.glob("*.jsonl"))
    rows = [row for path in paths for row in files.read_jsonl(path, GeneralRow)]
    return [dataset.general_example(row) for row in rows if row.language in params.instructions.languages]


if __name__ == "__main__":
    runner.main("dataset", work)
