"""`longwriter init`: a preview of a source, and the keys that it needs."""

import json
import re
from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.cli.init import beyond_plans
from tests.unit.cli.checkout import PARAMS

SUBJECTS = ["rivers", "bridges", "lanterns", "orchards", "glaciers", "clocks", "markets", "violins"]


def write_source():
    """Write a JSON array of nine rows: eight that are chosen, and one that repeats the first."""
    prompts = [f"Write an essay of {200 + 10 * n} words about {name}." for n, name in enumerate(SUBJECTS)]
    Path("mine.json").write_text(json.dumps([{"prompt": prompt} for prompt in [*prompts, prompts[0]]]))


def values():
    return yaml.safe_load(Path("params.yaml").read_text())


def test_a_source_is_previewed_and_nothing_is_written(checkout, run):
    write_source()
    before = Path("params.yaml").read_text()
    code, out, err = run("init", "mine.json")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0] == "mine.json: JSON array; instruction from: prompt"
    assert lines[1] == '  mine.json:1: "Write an essay of 200 words about rivers."'
    assert lines[4:7] == [
        "         9  rows",
        "         8  no exact duplicate (rejected: duplicate 1)",
        "         8  chosen; 8 of them state a length",
    ]
    assert lines[-1] == "Nothing is written yet: run it again with --apply"
    assert Path("params.yaml").read_text() == before
    assert not Path("data").exists()


def test_values_that_are_there_already_lead_to_the_next_step(checkout, run):
    write_source()
    assert run("init", "mine.json", "--apply")[0] == 0
    _, out, _ = run("init", "mine.json")
    assert out.splitlines()[-1].startswith(
        "params.yaml has these values already. Next: `longwriter estimate`"
    )
    assert "Nothing is written" not in out


def test_lengths_that_no_plan_has_are_counted_with_their_keys(checkout, run):
    prompts = [
        f"Write {words} words about {name}."
        for words, name in zip((100, 179, 180, 500), SUBJECTS, strict=False)
    ]
    Path("mine.json").write_text(json.dumps(prompts))
    code, out, err = run("init", "mine.json")
    assert code == 0, err
    counts = [line.strip() for line in out.splitlines() if "of these ask" in line]
    assert counts == [
        "2  of these ask for fewer than 180 words, the shortest plan: lower plan.min_steps or plan.min_step_words"
    ]
    plan = params.load().plan  # 3 to 5 steps of 60 to 100 words
    assert beyond_plans([180, 500], plan) == []
    assert "1  of these ask for more than 500 words" in beyond_plans([501], plan)[0]


def test_a_source_that_does_not_exist_is_named(checkout, run):
    code, out, err = run("init", "nowhere.csv")
    assert (code, out) == (2, "")
    assert err == ("UserError: nowhere.csv: no such file or folder; name the one with your instructions\n")


@pytest.mark.parametrize(
    ("words", "chosen", "least"), [((), 8, 4), (("--limit", "6", "--min-share", "0.9"), 6, 6)]
)
def test_the_minimum_rows_of_every_gate_follow_the_source(checkout, run, words, chosen, least):
    write_source()
    code, out, err = run("init", "mine.json", "--apply", *words)
    assert code == 0, err
    assert "longwriter estimate" in out
    new = values()
    assert (new["instructions"]["source"], new["instructions"]["limit"]) == ("mine.json", chosen)
    gates = (new["instructions"]["gate"], new["plan"]["gate"], new["validate"])
    assert [gate["min_rows"] for gate in gates] == [least] * 3
    assert new["preferences"]["min_pairs"] == 2
    assert new["write"] == PARAMS["write"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "gone.json"),
        ('[{"prompt": "Hi."}]', "no row of gone.json would be chosen"),
        ("[{", "gone.json"),
    ],
)
def test_a_source_without_a_usable_row_changes_nothing(checkout, run, content, message):
    if content is not None:
        Path("gone.json").write_text(content)
    before = Path("params.yaml").read_text()
    code, _, err = run("init", "gone.json", "--apply")
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert Path("params.yaml").read_text() == before


def test_the_key_that_rejects_a_row_is_named(checkout, run):
    prompts = ["Write an essay of 9,000 words about rivers.", "Write an essay of 200 words about clocks."]
    Path("mine.json").write_text(json.dumps([{"prompt": prompt} for prompt in prompts]))
    code, out, err = run("init", "mine.json")
    assert code == 0, err
    assert out.splitlines()[6] == (
        "            too_long_for_writer: instructions.max_required_words (the prompt asks for more words)"
    )


def test_a_smaller_number_of_pairs_stays(checkout, run):
    write_source()
    Path("params.yaml").write_text(re.sub(r"min_pairs: \d+", "min_pairs: 1", Path("params.yaml").read_text()))
    code, _, err = run("init", "mine.json", "--apply")
    assert code == 0, err
    assert values()["preferences"]["min_pairs"] == 1
