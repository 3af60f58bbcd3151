"""Make training examples from drafts: filters, measured lengths, general chats, split by hash, data card.

Reads   data/write/drafts.jsonl, wordings of length requests, general chats, long texts of others,
        the prompts of the benchmarks, the list of withdrawn rows, and for the data card the rejections of
        earlier stages and the licences of the sources
Writes  data/dataset/: train.jsonl, test.jsonl, rejected.jsonl, benchmark_prompts.json (those that are in these
        rows: the gate stops them), lengths.csv, words.csv, funnel.csv, datacard.md, metrics.json
Run     dvc repro dataset
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from longwriter.amounts import amount
from longwriter.dataset import datacard, filters, licences
from longwriter.dataset import examples as dataset
from longwriter.evaluation.scores import length_score
from longwriter.exclusions import decontamination, withdrawn
from longwriter.execution import runner
from longwriter.io import files
from longwriter.params import DatasetParams, Params
from longwriter.records import ChatRow, Draft, Example, GeneralRow, Language, Rejection
from longwriter.text import histogram, inert
from longwriter.tracking import versioning

log = logging.getLogger(__name__)

FOLDER = files.DATA / "dataset"


def work(params: Params, folder: Path, run: runner.StageRun) -> runner.Summary:
    """Make a training row or a rejection from each draft and each imported row."""
    own = params.dataset
    drafts = files.read_jsonl(files.DATA / "write" / "drafts.jsonl", Draft)
    results = _results(params, drafts)
    withdrawals = withdrawn.read()
    examples = (row for row in results if isinstance(row, Example))
    remaining, withdrawals_here = dataset.without_withdrawn(examples, withdrawals)
    long, duplicates = dataset.without_duplicates(remaining)
    rejected = [*(row for row in results if isinstance(row, Rejection)), *withdrawals_here, *duplicates]
    malformed = [f"{row.row_id}: {row.detail}" for row in rejected if row.reason == "malformed"]
    max_share = params.instructions.max_malformed_share
    files.check_malformed(
        len(malformed), len(results), max_share, own.extra_source, next(iter(malformed), None)
    )
    general, rejected_chats = dataset.without_withdrawn(_general(params), withdrawals)
    all_rows, not_mixed_in = dataset.mix_general(long, general, own.general_share)
    rejected_chats += not_mixed_in
    rejected += rejected_chats
    rows = sorted(all_rows, key=lambda row: row.sample_id)
    test = [row for row in rows if dataset.is_test(row, own.test_share)]
    train = [row for row in rows if not dataset.is_test(row, own.test_share)]
    if own.test_share and rows and not test:
        log.warning(none_held_out(len(rows), own.test_share))
    for name, records in (("train.jsonl", train), ("test.jsonl", test), ("rejected.jsonl", rejected)):
        files.write_jsonl(folder / name, records)
    _write_benchmark_prompts(folder, rows)
    reasons = Counter(row.reason for row in rejected)
    counts = _filter_counts(len(results), reasons)
    sources = [
        (_instruction_source(params), counts[0].rows_in),
        (own.extra_source, len(results) - len(drafts)),
        (own.general_source, len(general)),
    ]
    _write_card(folder, train, test, counts, sources)
    numbers = {
        "train_rows": float(len(train)),
        "test_rows": float(len(test)),
        "general_rows": float(len(rows) - len(long)),
        "imported_rows": float(sum(row.kind == "imported" for row in long)),
        "words_mean": round(sum(row.words for row in long) / max(1, len(long)), 3),
        **_write_lengths(folder, drafts, long),
    }
    artifacts = [FOLDER / "datacard.md", FOLDER / "funnel.csv"]
    return runner.Summary(
        len(results) + len(rejected_chats), len(long), dict(reasons), numbers, artifacts=artifacts
    )


def none_held_out(rows: int, test_share: float) -> str:
    """Return the warning that no row is held out; it can happen by chance, because a hash decides for each row."""
    return (
        f"dataset: none of {amount(rows, 'row')} is held out, so SFT will show no held-out loss: raise "
        f"dataset.test_share ({test_share:g}), or use more instructions"
    )


def _instruction_source(params: Params) -> str:
    """Return the source of the instructions, as the data card names it."""
    own = params.instructions
    return f"{own.source} and hub:{own.hub}" if own.hub else own.source


def _results(params: Params, drafts: list[Draft]) -> list[Example | Rejection]:
    """Return the training row, or the rejection, of each draft and of each row of `extra_source`."""
    own = params.dataset
    languages = params.instructions.languages
    limits = filters.Limits(**{name: getattr(own, name) for name in filters.Limits._fields})
    wordings = _wordings(own, languages)
    from_drafts = [
        dataset.example_of(row, limits, wordings[row.plan.instruction.language] if wordings else None)
        for row in drafts
    ]
    paths = sorted(path for path in Path(own.extra_source).glob("**/*.jsonl") if path.is_file())
    extra = (item for path in paths for item in files.scan_jsonl(path, ChatRow))
    return [*from_drafts, *(dataset.imported_example(*item, languages, limits, wordings) for item in extra)]


def _wordings(own: DatasetParams, languages: list[Language]) -> dict[Language, list[str]] | None:
    """Return the templates of length requests by language; None if prompts are not changed."""
    if not own.relabel_length:
        return None
    return {
        language: files.template(f"{own.length_prompts}/{language}.txt").splitlines()
        for language in languages
    }


def _general(params: Params) -> list[Example]:
    source = Path(params.dataset.general_source)
    paths = sorted(source.glob("*.jsonl"))
    rows = [row for path in paths for row in files.read_jsonl(path, GeneralRow)]
    return [dataset.general_example(row) for row in rows if row.language in params.instructions.languages]


def _filter_counts(rows: int, reasons: Counter[str]) -> list[datacard.FilterCount]:
    """Return the funnel from the source of the instructions to the long rows."""
    steps = files.read_json(files.DATA / "instructions" / "funnel.json")
    by_step = {step["name"]: step["rows_in"] - step["rows_out"] for step in steps}
    before = [("instructions", steps[0]["rows_in"], by_step)]
    for stage in ("plan", "write"):
        metrics = files.read_json(files.DATA / stage / "metrics.json", dict[str, float])
        before.append((stage, int(metrics["rows_in"]), datacard.refusals(metrics)))
    order = ("malformed", "roles", "language", *filters.FILTERS, "withdrawn", "duplicate")
    return datacard.filter_counts([*before, ("dataset", rows, {name: reasons[name] for name in order})])


def _write_card(
    folder: Path,
    train: list[Example],
    test: list[Example],
    counts: list[datacard.FilterCount],
    sources: list[tuple[str, int]],
) -> None:
    """Write the data card, the funnel and the histogram of lengths."""
    text = datacard.card(
        train=train,
        test=test,
        sources=[datacard.Source(name, rows, licences.licence_of(Path(name))) for name, rows in sources],
        filters=counts,
        digests={name: versioning.digest(folder / name) for name in ("train.jsonl", "test.jsonl")},
    )
    (folder / "datacard.md").write_text(text, encoding="utf-8")
    lines = "".join(f"{inert.csv_cell(f'{item.stage}: {item.filter}')},{item.rows_out}\n" for item in counts)
    (folder / "funnel.csv").write_text("filter,rows\n" + lines, encoding="utf-8")
    words = [row.words for row in (*train, *test) if row.kind != "general"]
    text = histogram.histogram_csv("words,rows\n", words, histogram.WORD_BINS)
    (folder / "words.csv").write_text(text, encoding="utf-8")


def _write_benchmark_prompts(folder: Path, rows: list[Example]) -> None:
    """Write the benchmark prompts that a row repeats; usually none."""
    prompts = files.read_json(files.DATA / "benchmarks" / "prompts.json", list[str])
    questions = (turn.content for row in rows for turn in row.messages if turn.role == "user")
    files.write_json(folder / "benchmark_prompts.json", decontamination.matches(prompts, questions))


def _write_lengths(folder: Path, drafts: list[Draft], long: list[Example]) -> dict[str, float]:
    """Write stated and written lengths; return the mean S_l and the number of its rows."""
    stated = {row.plan.instruction.instruction_id: row.plan.instruction.required_words for row in drafts}
    pairs = ((stated.get(row.instruction_id), row.words) for row in long if row.instruction_id)
    lengths = sorted((required, words) for required, words in pairs if required)
    lines = "".join(f"{required},{words}\n" for required, words in lengths)
    (folder / "lengths.csv").write_text("stated_words,words\n" + lines, encoding="utf-8")
    scores = [length_score(required, words) for required, words in lengths]
    return {
        "stated_length_score_mean": round(sum(scores) / max(1, len(scores)), 3),
        "stated_length_score_n": float(len(scores)),
    }


if __name__ == "__main__":
    runner.main("dataset", work)
