"""Trains the two models that help the rules of refusals, and writes their weights into the package.

Reads the labelled examples, the tuned half of the golden set, and plain texts with label false (half of the
plain paragraphs get the request of an example, so that the request alone decides nothing). Each row with a
request is read twice, with it and without, because the request is not always known. The same rows give the
same weights on the same machine; the file of weights names the rows by their hash.

Run: `python infra/bench/train_refusals.py [--folds]`; with `--folds` it writes nothing, but prints precision and
recall of rules and model together for annotators that the models did not see, with and without the request,
and the plain paragraphs that took no part. Takes about six minutes of CPU time (with `--folds` eleven); needs
scikit-learn.
"""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from refusal_rules import FILES, GOLDEN, Row, read
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from tabulate import tabulate

from longwriter.talk import classifier
from longwriter.talk.refusals import BARE, LONGEST_READ, VETO, refused_by_rules

Vector = NDArray[np.float32]

WEIGHTS = Path(__file__).parents[2] / "src/longwriter/talk/refusals.safetensors"
TRAINING = (GOLDEN / "refusal_meta_examples.jsonl", FILES[0], GOLDEN / "plain_texts.jsonl")
_SEED = 5
_FOLDS = 4
_PLAIN_WEIGHT = 4  # of a plain text, against 1 of a hard case
_NETWORKS, _UNITS, _EPOCHS, _DECAY = 3, 48, 8, 3e-3
_MISSED = 0.01  # share of the refusals that `may_refuse` may lose on held-out rows
_PARAGRAPHS = frozenset({"sherlock", "alice", "calltoarms", "constitution"})  # plain texts without a request
_BATCH = 256  # parts whose meaning is read at once


def rows() -> list[Row]:
    """Return the labelled rows about refusals and the plain texts; the split `held` takes no part in training."""
    hard = [row for file in TRAINING[:2] for row in read(file) if row["question"] == "refusal"]
    requests = [row["context"] for row in hard if row["context"]]
    rng = random.Random(_SEED)
    plain = read(TRAINING[2])
    for row in plain:
        row["label"], row["kind"] = False, "plain"
        if row["source"] in _PARAGRAPHS and rng.random() < 0.5:
            row["context"] = rng.choice(requests)
    return hard + plain


def digest() -> str:
    """Return the hash of the training files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in TRAINING)).hexdigest()


def features(texts: Sequence[Row]) -> tuple[Vector, Vector]:
    """Return the features of each row with its request, and without it."""
    read_parts = [classifier.parts(row["text"].strip(), row["context"]) for row in texts]
    different = sorted({part for parts in read_parts for part in parts}, key=lambda part: (len(part), part))
    vectors = {
        part: vector
        for start in range(0, len(different), _BATCH)
        for part, vector in zip(
            different[start : start + _BATCH],
            classifier.meanings_of(different[start : start + _BATCH]),
            strict=True,
        )
    }
    with_request = np.array([classifier.features([vectors[part] for part in parts]) for parts in read_parts])
    without = with_request.copy()
    size = len(vectors[""])
    without[:, size : 3 * size] = 0
    return with_request, without


def wording(texts: Sequence[Row]) -> csr_matrix:
    """Return a line for each row with equal values in the buckets of its `runs`, of length 1 in all."""
    buckets = [classifier.runs(row["text"]) for row in texts]
    values = [np.full(len(bucket), len(bucket) ** -0.5, np.float32) for bucket in buckets]
    ends = np.cumsum([0, *map(len, buckets)])
    shape = (len(texts), classifier.BUCKETS)
    return csr_matrix((np.concatenate(values), np.concatenate(buckets), ends), shape=shape)


def fit_wording(texts: Sequence[Row], lines: csr_matrix) -> LogisticRegression:
    """Return the linear model of the rows' labels by their wording."""
    weights = [_PLAIN_WEIGHT if row["kind"] == "plain" else 1 for row in texts]
    model = LogisticRegression(C=10, solver="liblinear", dual=True, tol=0.05, max_iter=40, random_state=_SEED)
    return model.fit(lines, [row["label"] for row in texts], sample_weight=weights)


def fit_meaning(texts: Sequence[Row], with_request: Vector, without: Vector) -> dict[str, Vector]:
    """Return the weights of the networks side by side, as one network that gives their mean."""
    asked = np.array([bool(row["context"]) for row in texts])
    labels = np.array([row["label"] for row in texts])
    copies = np.array([_PLAIN_WEIGHT if row["kind"] == "plain" else 1 for row in texts])
    both = np.concatenate([with_request, without[asked]])
    # a row without a request counts as often as the two readings of a row with one
    times = np.concatenate([copies * np.where(asked, 1, 2), copies[asked]])
    order = np.repeat(np.arange(len(both)), times)
    target = np.concatenate([labels, labels[asked]])[order]
    networks = [
        MLPClassifier(
            (_UNITS,),
            alpha=_DECAY,
            max_iter=_EPOCHS,
            batch_size=64,
            n_iter_no_change=_EPOCHS,
            random_state=seed,
        ).fit(both[order], target)
        for seed in range(1, _NETWORKS + 1)
    ]
    return {
        "hidden": np.concatenate([network.coefs_[0] for network in networks], axis=1),
        "hidden_bias": np.concatenate([network.intercepts_[0] for network in networks]),
        "output": np.concatenate([network.coefs_[1][:, 0] for network in networks]) / _NETWORKS,
        "output_bias": np.array([np.mean([network.intercepts_[1][0] for network in networks])]),
    }


def scores(weights: dict[str, Vector], lines: Vector) -> Vector:
    """Return the network's part of `classifier.refusal_score` for each line of features."""
    hidden = np.maximum(lines @ weights["hidden"] + weights["hidden_bias"], 0)
    return np.asarray(hidden @ weights["output"] + weights["output_bias"], np.float32)


def folds(texts: Sequence[Row]) -> NDArray[np.int64]:
    """Return the fold of each row: rows of one annotator (`kind`) stay together, plain texts take turns.

    The tuned half has a fold of its own annotator's; `held` rows are in the last fold, which no other sees.
    """
    kinds = sorted({row["kind"] for row in texts if row["split"] == "examples"})
    fold = [
        kinds.index(row["kind"]) % _FOLDS
        if row["split"] == "examples"
        else _FOLDS - 1
        if row["split"] == "tuned"
        else _FOLDS
        if row["split"] == "held"
        else place % _FOLDS
        for place, row in enumerate(texts)
    ]
    return np.array(fold)


def held_out(texts: list[Row]) -> tuple[Vector, Vector, Vector]:
    """Return for each row, by models that saw none of its fold: wording, score with and without the request."""
    lines, (with_request, without), fold = wording(texts), features(texts), folds(texts)
    found = np.zeros((3, len(texts)), np.float32)
    for held in range(_FOLDS):
        seen = np.flatnonzero((fold != held) & (fold < _FOLDS))
        place = np.flatnonzero((fold == held) | ((fold == _FOLDS) & (held == _FOLDS - 1)))
        known = [texts[row] for row in seen]
        linear = fit_wording(known, lines[seen])
        found[0, place] = lines[place] @ linear.coef_[0] + linear.intercept_[0]
        weights = fit_meaning(known, with_request[seen], without[seen])
        wording_part = classifier.WORDING_SHARE * found[0, place]
        found[1, place] = scores(weights, with_request[place]) + wording_part
        found[2, place] = scores(weights, without[place]) + wording_part
    return found[0], found[1], found[2]


def floor(texts: Sequence[Row], wordings: Vector) -> float:
    """Return the score of wording that all but `_MISSED` of the refusals reach."""
    return float(np.quantile(wordings[[row["label"] for row in texts]], _MISSED))


def report(texts: list[Row]) -> None:
    """Print precision and recall on held-out annotators, and the share of plain paragraphs refused."""
    wordings, with_request, without = held_out(texts)
    least = floor(texts, wordings)
    sys.stdout.write(f"may_refuse: wording >= {least:.3f}\n\n")
    short = np.array([len(row["text"]) <= LONGEST_READ for row in texts])
    bare = np.array([len(row["text"]) <= BARE for row in texts])
    may = (wordings >= least) & short
    plain = np.array([row["split"] == "held" for row in texts])
    sys.stdout.write(f"plain paragraphs that the network reads: {may[plain].mean():.3f}\n\n")
    sets = {
        f"{split}, {language}": [
            place for place, row in enumerate(texts) if (row["split"], row["language"]) == (split, language)
        ]
        for split in ("examples", "tuned", "held")
        for language in ("en", "zh")
    }
    for title, score in (("with request", with_request), ("without request", without)):
        rule = np.array(
            [refused_by_rules(row["text"], row["context"] if score is with_request else "") for row in texts]
        )
        lines: list[list[str]] = [["rules", *(_shares(texts, rule, places) for places in sets.values())]]
        for limit in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0):
            both = np.where(rule, bare | ~short | (score >= VETO), may & (score >= limit))
            lines.append([f">= {limit}", *(_shares(texts, both, places) for places in sets.values())])
        sys.stdout.write(tabulate(lines, [title, *sets], tablefmt="github") + "\n\n")


def _shares(texts: Sequence[Row], chosen: NDArray[np.bool_], places: Sequence[int]) -> str:
    """Return precision and recall with their intervals, or how many plain texts are refused."""
    labels = np.array([texts[place]["label"] for place in places])
    predicted = chosen[places]
    hits = int((labels & predicted).sum())
    if not labels.any():
        return f"{int(predicted.sum())} of {len(places)}"
    return f"{_share(hits, int(predicted.sum()))}, {_share(hits, int(labels.sum()))}"


def _share(part: int, whole: int) -> str:
    """Return a share with its Wilson interval."""
    interval = binomtest(part, max(1, whole)).proportion_ci(method="wilson")
    return f"{part / max(1, whole):.3f} ({interval.low:.3f}-{interval.high:.3f})"


def write(texts: list[Row]) -> None:
    """Train on all rows that take part, and write the weights."""
    lines = wording(texts)
    fold = folds(texts)
    wordings = np.zeros(len(texts), np.float32)
    for held in range(_FOLDS):
        seen, place = np.flatnonzero(fold != held), np.flatnonzero(fold == held)
        linear = fit_wording([texts[row] for row in seen], lines[seen])
        wordings[place] = lines[place] @ linear.coef_[0] + linear.intercept_[0]
    linear = fit_wording(texts, lines)
    weights = fit_meaning(texts, *features(texts))
    weights["wording"] = linear.coef_[0]
    weights["wording_bias"] = linear.intercept_
    weights["wording_floor"] = np.array([floor(texts, wordings)])
    small = {name: np.ascontiguousarray(values, np.float16) for name, values in weights.items()}
    save_file(small, WEIGHTS, metadata={"training_rows_sha256": digest()})


if __name__ == "__main__":
    everything = rows()
    if "--folds" in sys.argv[1:]:
        report(everything)
    else:
        write([row for row in everything if row["split"] != "held"])
