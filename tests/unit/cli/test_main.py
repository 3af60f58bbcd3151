"""The command line as a person meets it: what it prints, what it refuses, and with which exit code."""

import io
import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path

import pytest
import yaml
import zstandard

from longwriter.cli import main as cli
from longwriter.cli import profiles
from longwriter.io import files
from longwriter.llm.replay import ReplayCache, Row
from longwriter.records import Plan, PlanStep
from tests.unit.builders import instruction

ROOT = Path.cwd()
PARAMS = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
PAPER = yaml.safe_load(profiles.applied("paper"))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with params.yaml, the prompts, the benchmarks and three instructions of one length."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / "infra").symlink_to(ROOT / "infra")
    (tmp_path / "seeds").mkdir()
    rows = [
        {"prompt": f"Write a tale number {n}", "type": "T", "length": 240, "language": "en"} for n in "abc"
    ]
    (tmp_path / "seeds" / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    set_params(PARAMS)
    return tmp_path


def set_params(values, **sections):
    changed = {**values, "instructions": {**values["instructions"], "source": "seeds"}}
    for name, over in sections.items():
        changed[name] = {**changed[name], **over}
    Path("params.yaml").write_text(yaml.safe_dump(changed, allow_unicode=True))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run `longwriter WORDS`; return its exit code, output and errors."""

    def runs(*words, typed=""):
        monkeypatch.setattr(sys, "argv", ["longwriter", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return ended.value.code or 0, told.out, told.err

    return runs


def estimated(run, *words):
    code, out, err = run("estimate", "--json", *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    return {row["stage"]: row for row in found["stages"]}, found


def store(*rows):
    """Put (key, model, day of 2026 on which it was stored, seconds, completion tokens) into the cache."""
    cache = ReplayCache(cli.REPLAY)
    body = zstandard.compress(b"{}" + os.urandom(400))
    cache.put_many([Row(key, body, model, seconds, 10, count) for key, model, _, seconds, count in rows])
    cache.close()
    with sqlite3.connect(cli.REPLAY) as db:
        for key, _, day, _, _ in rows:
            time = f"2026-{day}T10:00:00.000Z"
            db.execute("UPDATE answers SET stored_at = ? WHERE request_hash = ?", (time, key))
    db.close()


def kept():
    with sqlite3.connect(cli.REPLAY) as db:
        found = sorted(row[0] for row in db.execute("SELECT request_hash FROM answers"))
    db.close()
    return found


def three_answers():
    store(
        ("a", "gpt-4o", "01-02", 2.0, 100),
        ("b", "gpt-4o", "03-04", 2.0, 100),
        ("c", "weights@12", "01-05", 1.0, 30),
    )


def test_help_imports_neither_mlflow_nor_torch():
    code = (
        "import sys; sys.argv = ['longwriter', '--help']\n"
        "from longwriter.cli import main as cli\n"
        "try:\n    cli.main()\n"
        "except SystemExit as ended:\n    assert ended.code == 0\n"
        "heavy = {'mlflow', 'torch', 'transformers', 'great_expectations', 'dvc', 'openai'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("profile", "cache", "estimate", "lineage"))


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
    assert not cli.REPLAY.exists()


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
    assert out.startswith(f"removed {3 - len(left)} answers")
    assert "an audit ends there" in out


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
def test_what_cannot_be_pruned_is_told_in_one_line(checkout, run, words, told):
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
        assert f"the replay cache is in use: stage write is running in process {stage.pid}" in err
        stage.communicate("\n")
    assert run("cache", "prune", "--model", "gpt-4o", "--yes")[0] == 0
    assert kept() == ["c"]


def test_an_estimate_counts_a_plan_a_text_and_a_paragraph_a_step(checkout, run):
    stages, found = estimated(run)
    assert stages["plan"]["calls"] == round(3 * 1.1)
    assert stages["write"]["calls"] == round(3 * 3 * 1.1)  # 240 words in steps of 60 to 100
    assert stages["write"]["completion_tokens"] == round(3 * 240 * 1.33 * 1.1)
    assert stages["write"]["cost_usd"] == found["total"]["cost_usd"] == 0
    assert "judge" not in stages
    assert "3 instructions: chosen from seeds now" in found["assumptions"]


def test_an_estimate_takes_the_plans_that_are_there_unless_they_are_of_other_params(checkout, run):
    files.DATA.joinpath("instructions").mkdir(parents=True)
    files.DATA.joinpath("plan").mkdir()
    rows = [instruction(f"Write {n}", 240) for n in "ab"]
    plans = [
        Plan(instruction=row, steps=[PlanStep(main_point="A thing", word_count=90)], call_ids=[])
        for row in rows
    ]
    outputs = {
        "instructions": files.DATA / "instructions" / "instructions.jsonl",
        "plan": files.DATA / "plan" / "plans.jsonl",
    }
    files.write_jsonl(outputs["instructions"], rows)
    files.write_jsonl(outputs["plan"], plans)
    files.write_json(files.DATA / "plan" / "metrics.json", {"rows_in": 2, "reasked_short": 1.0})
    stages, _ = estimated(run)
    assert (stages["plan"]["calls"], stages["write"]["calls"]) == (2 + 1, round(2 * 1.1))

    def lock(**params):
        Path("dvc.lock").write_text(
            yaml.safe_dump(
                {
                    "stages": {
                        name: {
                            "outs": [{"path": str(path), "md5": md5(path.read_bytes()).hexdigest()}],
                            "params": {"params.yaml": params},
                        }
                        for name, path in outputs.items()
                    }
                }
            )
        )

    lock(**{"write.mode": "serial"})
    assert estimated(run)[0]["write"]["calls"] == round(2 * 1.1)
    lock(**{"write.mode": "parallel"})
    assert "3 instructions: chosen from seeds now" in estimated(run)[1]["assumptions"]
    lock()
    files.write_jsonl(outputs["instructions"], rows[:1])
    assert "3 instructions: chosen from seeds now" in estimated(run)[1]["assumptions"]


def test_hours_follow_the_speed_that_the_cache_has_timed(checkout, run):
    store(("a", "weights@old", "01-01", 1.0, 7), ("b", "weights@new", "02-01", 2.0, 20))
    timed, found = estimated(run)
    assert [line for line in found["assumptions"] if line.startswith("weights@new: 10.0 tokens a second")]
    cli.REPLAY.unlink()
    assumed, _ = estimated(run, "--tokens-per-second", "10")
    assert timed["write"]["hours"] == pytest.approx(assumed["write"]["hours"])
    assert estimated(run, "--tokens-per-second", "5")[0]["write"]["hours"] == pytest.approx(
        2 * timed["write"]["hours"]
    )


def test_a_priced_model_costs_what_the_table_says_and_a_judge_is_counted(checkout, run):
    set_params(PAPER, llm={"model": "gpt-4o"})
    stages, found = estimated(run)
    write = stages["write"]
    assert write["cost_usd"] == pytest.approx(
        (write["prompt_tokens"] * 2.5 + write["completion_tokens"] * 10) / 1e6, rel=1e-3
    )
    benchmark = len(Path(PAPER["generate"]["folder"], "small.jsonl").read_text().splitlines())
    assert stages["judge"]["calls"] == round((3 * 4 + 3 * benchmark) * 1.1)  # 4 samples; 3 models
    assert found["total"]["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in stages.values()))


def test_a_model_without_a_price_and_limits_that_are_passed_are_told(checkout, run):
    set_params(PAPER, llm={"model": "nobody/knows", "context_tokens": 300})
    stages, found = estimated(run)
    assert stages["plan"]["cost_usd"] is found["total"]["cost_usd_cached"] is None
    assert "nobody/knows has no price in infra/prices.yaml: add it there" in found["assumptions"]
    assert any("context_tokens is 300" in line for line in found["assumptions"])
    assert "unknown" in run("estimate")[1]
    set_params(PAPER, llm={"model": "gpt-4o", "max_cost_usd": 0.0001})
    assert any("plan stops at max_cost_usd" in line for line in estimated(run)[1]["assumptions"])


@pytest.mark.parametrize("mode", ["serial", "parallel", "direct"])
def test_the_table_has_a_row_a_stage_and_the_total_in_every_mode(checkout, run, mode):
    set_params(PARAMS, write={"mode": mode})
    calls = {stage: row["calls"] for stage, row in estimated(run)[0].items()}
    assert calls == ({"plan": 0, "write": 3} if mode == "direct" else {"plan": 3, "write": 10})
    code, out, _ = run("estimate")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:4]] == ["stage", "plan", "write", "total"]


def test_an_estimate_outside_a_checkout_is_told_in_one_line(tmp_path, run, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("estimate")
    assert (code, out) == (2, "")
    assert err == "BadParams: params.yaml is missing: run from the top of the checkout\n"
