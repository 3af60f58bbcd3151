"""Trains the two models that help the rules of talk about the task, and writes their weights into the package.

Reads the labelled examples, talk of a 135M model, short examples, and plain texts with label false. A passage that talks has
one or more sentences that do, and nobody has marked them: the first models learn from passages of one
sentence, and the next ones from the sentence of each passage that the models before them rate highest. The
tuned halves take no part: they set the thresholds. The same rows give the same weights on the same machine; the
file of weights names the rows by their hash.

Run: `python infra/bench/train_talk.py [--report]`; with `--report` it writes nothing, but says for some
thresholds how good models and rules together are on the tuned halves, and how many plain paragraphs that took
no part are refused, with the weights in the package. Takes about three minutes of CPU time; needs scikit-learn.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from refusal_rules import FILES, GOLDEN, HEADERS, Row, read, table
from safetensors.numpy import save_file
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from tabulate import tabulate

from longwriter.talk import classifier, talk_model
from longwriter.talk.poison import meta_talk

Vector = NDArray[np.float32]
Places = NDArray[np.int64]

WEIGHTS = Path(__file__).parents[2] / "src/longwriter/talk/talk.safetensors"
LABELLED = tuple(
    GOLDEN / f"{name}.jsonl" for name in ("refusal_meta_examples", "small_model_talk", "talk_examples")
)
PLAIN = GOLDEN / "plain_texts.jsonl"
TRAINING = (*LABELLED, PLAIN)
TUNED = (FILES[0], GOLDEN / "new_passages_tuned.jsonl")
_PLAIN = frozenset({"sherlock", "alice", "calltoarms", "constitution", "sentence", "small"})
_SEED, _ROUNDS = 5, 3
_NETWORKS, _UNITS, _EPOCHS, _DECAY = 2, 48, 8, 3e-3
_TRUE_SHARE = 0.4  # of the weight of all sentences goes to those that talk
_SHORT_TIMES = 3  # each short example counts as so many: they are few, and no two are alike
_MISSED = 0.01  # share of the talk that is lost because no meaning is read
_BATCH = 256  # sentences whose meaning is read at once


class Models(NamedTuple):
    """The linear model of the wording, and the weights of the network of the meaning."""

    wording: LogisticRegression
    network: dict[str, Vector]


class Sentences(NamedTuple):
    """All sentences of the rows: the row of each, its wording and its meaning."""

    row: Places
    wording: csr_matrix
    meaning: Vector


def rows() -> list[Row]:
    """Return the rows that train: labelled passages, and plain texts that nobody labelled as talk or as unclear."""
    times = (1, 1, _SHORT_TIMES)
    labelled = [
        row
        for file, repeats in zip(LABELLED, times, strict=True)
        for row in repeats * read(file)
        if row["question"] == "meta"
    ]
    known = {row["text"] for row in labelled}
    plain = [
        {**row, "label": False}
        for row in read(PLAIN)
        if row["split"] == "plain" and row["source"] in _PLAIN and row["text"] not in known
    ]
    return [row for row in labelled if row["split"] == "examples"] + plain


def digest() -> str:
    """Return the hash of the training files."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in TRAINING)).hexdigest()


def read_sentences(texts: Sequence[Row]) -> Sentences:
    """Return the sentences of all rows with their features."""
    pairs = [(place, part) for place, row in enumerate(texts) for part in talk_model.parts(row["text"])]
    different = sorted({part for _, part in pairs}, key=lambda part: (len(part), part))
    number = {part: place for place, part in enumerate(different)}
    meanings = np.concatenate(
        [
            classifier.meanings_of(different[start : start + _BATCH])
            for start in range(0, len(different), _BATCH)
        ]
    )
    order = np.array([number[part] for _, part in pairs])
    return Sentences(np.array([place for place, _ in pairs]), wording(different)[order], meanings[order])


def wording(parts: Sequence[str]) -> csr_matrix:
    """Return a line for each sentence with equal values in the buckets of its `runs`, of length 1 in all."""
    buckets = [classifier.runs(part) for part in parts]
    values = [np.full(len(bucket), max(1, len(bucket)) ** -0.5, np.float32) for bucket in buckets]
    ends = np.cumsum([0, *map(len, buckets)])
    return csr_matrix(
        (np.concatenate(values), np.concatenate(buckets), ends), shape=(len(parts), classifier.BUCKETS)
    )


def fit(texts: Sequence[Row], every: Sentences) -> Models:
    """Return the models that the sentences of all rows teach, after `_ROUNDS` rounds."""
    label = np.array([row["label"] for row in texts])[every.row]
    talk = label & (np.bincount(every.row, minlength=len(texts))[every.row] == 1)
    for _ in range(_ROUNDS):
        models = _fit_once(every, np.flatnonzero(talk | ~label), talk)
        score = scores(models, every)
        best = np.full(len(texts), -np.inf)
        np.maximum.at(best, every.row, score)
        talk = label & (score >= best[every.row])
    return models


def _fit_once(every: Sentences, places: Places, talk: NDArray[np.bool_]) -> Models:
    target = talk[places]
    ratio = _TRUE_SHARE / (1 - _TRUE_SHARE) * np.sum(~target) / np.sum(target)
    linear = LogisticRegression(
        C=10, solver="liblinear", dual=True, tol=0.05, max_iter=40, random_state=_SEED
    )
    linear.fit(every.wording[places], target, sample_weight=np.where(target, ratio, 1))
    order = np.repeat(places, np.where(target, max(1, round(ratio)), 1))
    networks = [
        MLPClassifier(
            (_UNITS,),
            alpha=_DECAY,
            max_iter=_EPOCHS,
            batch_size=128,
            n_iter_no_change=_EPOCHS,
            random_state=seed,
        ).fit(talk_model.SCALE * every.meaning[order], talk[order])
        for seed in range(1, _NETWORKS + 1)
    ]
    network = {
        "hidden": np.concatenate([network.coefs_[0] for network in networks], axis=1),
        "hidden_bias": np.concatenate([network.intercepts_[0] for network in networks]),
        "output": np.concatenate([network.coefs_[1][:, 0] for network in networks]) / _NETWORKS,
        "output_bias": np.array([np.mean([network.intercepts_[1][0] for network in networks])]),
    }
    return Models(linear, network)


def wordings(models: Models, every: Sentences) -> Vector:
    """Return the score of each sentence's wording."""
    return np.asarray(every.wording @ models.wording.coef_[0] + models.wording.intercept_[0], np.float32)


def scores(models: Models, every: Sentences) -> Vector:
    """Return the score of each sentence."""
    weights = models.network
    hidden = np.maximum(talk_model.SCALE * every.meaning @ weights["hidden"] + weights["hidden_bias"], 0)
    network = hidden @ weights["output"] + weights["output_bias"]
    return np.asarray(network + talk_model.WORDING_SHARE * wordings(models, every), np.float32)


def floor(models: Models) -> float:
    """Return the score of wording that some sentence of all but `_MISSED` of the tuned halves' talk reaches."""
    talk = [row for file in TUNED for row in read(file) if row["question"] == "meta" and row["label"]]
    every = read_sentences(talk)
    best = np.full(len(talk), -np.inf, np.float32)
    np.maximum.at(best, every.row, wordings(models, every))
    return float(np.quantile(best, _MISSED))


def write() -> None:
    """Train on all rows, and write the weights."""
    texts = rows()
    every = read_sentences(texts)
    models = fit(texts, every)
    weights = {
        **models.network,
        "wording": models.wording.coef_[0],
        "wording_bias": models.wording.intercept_,
        "wording_floor": np.array([floor(models)]),
    }
    small = {name: np.ascontiguousarray(values, np.float16) for name, values in weights.items()}
    save_file(small, WEIGHTS, metadata={"training_rows_sha256": digest()})


def report() -> None:
    """Print how good models and rules together are on the tuned halves, and the plain paragraphs that they refuse."""
    plain = [row for row in read(PLAIN) if row["split"] == "held"]
    lines: list[list[object]] = []
    for threshold in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0):
        talk_model.THRESHOLD = threshold
        counts = Counter(row["source"] for row in plain if meta_talk(row["text"], row["context"]))
        lines += [[threshold, *line[1:], dict(counts)] for line in table(TUNED) if line[1] == "meta"]
    headers = ["threshold", *HEADERS[1:], f"refused of {len(plain)} plain paragraphs"]
    sys.stdout.write(tabulate(lines, headers, tablefmt="github") + "\n")


if __name__ == "__main__":
    report() if "--report" in sys.argv[1:] else write()
