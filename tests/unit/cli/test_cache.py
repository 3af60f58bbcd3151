"""`longwriter cache`: what it shows, what it removes, and when it refuses."""

import sqlite3
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from longwriter.amounts import amount
from longwriter.io import files
from tests.unit.cli.checkout import store


def kept():
    with sqlite3.connect(files.REPLAY) as db:
        found = sorted(row[0] for row in db.execute("SELECT request_hash FROM answers"))
    db.close()
    return found


def three_answers():
    store(
        ("a", "gpt-4o", "01-02", 2.0, 100),
        ("b", "gpt-4o", "03-04", 2.0, 100),
        ("c", "weights@12", "01-05", 1.0, 30),
    )


def test_the_cache_is_shown_by_model_with_its_oldest_and_newest_answer(checkout, run):
    three_answers()
    code, out, _ = run("cache")
    assert code == 0
    assert "3 answers" in out
    assert [line.split() for line in out.splitlines() if "gpt-4o" in line] == [
        ["2", "0.0", "2026-01-02", "10:00", "2026-03-04", "10:00", "gpt-4o"]
    ]
    assert "calls.jsonl.zst" in out


def test_a_checkout_without_a_cache_has_no_answers_and_gets_no_cache(checkout, run):
    code, out, _ = run("cache")
    assert (code, "0 answers" in out) == (0, True)
    assert not files.REPLAY.exists()


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--model", "gpt-4o"], ["c"]),
        (["--older-than", "0d"], []),
        (["--older-than", "AGE"], ["b"]),
        (["--older-than", "AGE", "--model", "weights@12"], ["a", "b"]),
        (["--older-than", "9999w"], ["a", "b", "c"]),
    ],
)
def test_answers_are_removed_by_age_and_by_model(checkout, run, words, left):
    three_answers()
    days = (datetime.now(UTC) - datetime(2026, 2, 1, tzinfo=UTC)).days
    code, out, _ = run("cache", "prune", "--yes", *(f"{days}d" if word == "AGE" else word for word in words))
    assert (code, kept()) == (0, left)
    assert out.startswith(f"removed {amount(3 - len(left), 'answer')}, freed ")
    assert "are kept, for audits" in out


@pytest.mark.parametrize(
    ("typed", "code", "left"), [("y\n", 0, ["c"]), ("n\n", 1, ["a", "b", "c"]), ("", 1, list("abc"))]
)
def test_without_yes_it_asks_first(checkout, run, typed, code, left):
    three_answers()
    ended, out, _ = run("cache", "prune", "--model", "gpt-4o", typed=typed)
    assert (ended, kept()) == (code, left)
    assert "Remove the answers of gpt-4o?" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "say what to remove"),
        (["--older-than", "soon"], "such as 12h, 90d or 4w"),
        (["--model", "gpt-5"], "holds no answer of gpt-5; it has gpt-4o, weights@12"),
    ],
)
def test_a_prune_that_is_not_allowed_is_an_error_in_one_line(checkout, run, words, told):
    three_answers()
    code, out, err = run("cache", "prune", "--yes", *words)
    assert (code, out, kept()) == (2, "", ["a", "b", "c"])
    assert told in err
    assert len(err.splitlines()) == 1


def test_nothing_is_pruned_while_a_stage_is_running(checkout, run):
    three_answers()
    holder = (
        "from pathlib import Path; from longwriter.io import process\n"
        "with process.only_one('write', Path('.lw/locks')):\n    print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stage:
        assert stage.stdout.readline() == "held\n"
        code, _, err = run("cache", "prune", "--model", "gpt-4o", "--yes")
        assert (code, kept()) == (2, ["a", "b", "c"])
        assert f"nothing was removed: stage write is running in process {stage.pid}" in err
        stage.communicate("\n")
    assert run("cache", "prune", "--model", "gpt-4o", "--yes")[0] == 0
    assert kept() == ["c"]
