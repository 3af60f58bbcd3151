"""Measures a classifier of n-grams beside the rules of refusals and of talk about the task.

Logistic regression over n-grams of characters and of words, trained on the examples and the tuned half of the
golden set. No stage uses it: it shows what a trained classifier reaches with these examples, and the table
has the same columns as that of `refusal_rules.py`.

Run: `python infra/bench/refusal_classifier.py [THRESHOLD [FILE ...]]`; a text with a probability of at least
THRESHOLD (0.8) matches; the default file is the untouched half. Takes a minute; needs scikit-learn, which
MLflow brings along.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from refusal_rules import FILES, GOLDEN, HEADERS, Row, read, table
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union
from tabulate import tabulate

TRAINING = (GOLDEN / "refusal_meta_examples.jsonl", FILES[0])
_WORD = r"[\w'\u2019]+|[^\w\s]"


def trained(rows: list[Row]) -> Callable[[Row], float]:
    """Return a function that gives the probability of label true for a row, trained on `rows`."""
    features = make_union(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 6), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char", ngram_range=(1, 4), min_df=2, sublinear_tf=True),
        TfidfVectorizer(token_pattern=_WORD, ngram_range=(1, 3), min_df=2, sublinear_tf=True),
    )
    model = make_pipeline(features, LogisticRegression(C=20, max_iter=2000))
    model.fit([row["text"] for row in rows], [row["label"] for row in rows])
    return lambda row: float(model.predict_proba([row["text"]])[0, 1])


def main(threshold: float, files: list[Path]) -> None:
    """Train one classifier for each question, and print the table."""
    rows = [row for file in TRAINING for row in read(file)]
    probability = {
        question: trained([row for row in rows if row["question"] == question])
        for question in ("refusal", "meta")
    }
    lines = table(files, lambda row: probability[row["question"]](row) >= threshold)
    sys.stdout.write(tabulate(list(lines), HEADERS, tablefmt="github") + "\n")


if __name__ == "__main__":
    main(float(sys.argv[1]) if sys.argv[1:] else 0.8, [Path(name) for name in sys.argv[2:]] or [FILES[1]])
