"""`longwriter clean`: parts beside the files in .lw, which tests/unit/retention/test_leftovers.py tests."""

from datetime import UTC, datetime

from tests.unit.cli.checkout import store
from tests.unit.cli.test_cache import kept


def test_old_answers_are_listed_and_only_removed_if_that_is_confirmed(checkout, run):
    store(("a", "gpt-4o", "01-02", 2.0, 100), ("b", "gpt-4o", "03-04", 2.0, 100))
    days = (datetime.now(UTC) - datetime(2026, 2, 1, tzinfo=UTC)).days
    code, out, _ = run("clean", "answers", "--older-than", f"{days}d")
    assert (code, kept()) == (0, ["a", "b"])
    assert "1 stored answers" in out
    assert "can be removed: the same command with --yes" in out
    code, out, _ = run("clean", "answers", "--older-than", f"{days}d", "--yes")
    assert (code, kept()) == (0, ["b"])
    assert "0.00 GB in 1 places removed" in out


def test_a_part_that_does_not_exist_is_refused_with_those_that_do(checkout, run):
    code, _, err = run("clean", "everything")
    assert code == 2
    assert "everything: allowed are files, answers, prompts, data, remote" in err
