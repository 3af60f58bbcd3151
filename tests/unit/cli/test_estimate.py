"""`longwriter estimate`: the numbers, and what they assume."""

import json
from hashlib import md5
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from longwriter import params
from longwriter.cli import profile
from longwriter.io import files
from longwriter.models import servers
from longwriter.records import Plan, PlanStep
from tests.unit.builders import instruction
from tests.unit.cli.checkout import PARAMS, set_params, store

PAPER = yaml.safe_load(profile.applied("paper"))


def estimated(run, *words):
    code, out, err = run("estimate", "--json", *words)
    assert (code, err) == (0, "")
    found = json.loads(out)
    return {row["stage"]: row for row in found["stages"]}, found


def test_an_estimate_counts_a_plan_a_text_and_a_paragraph_a_step(checkout, run):
    stages, found = estimated(run)
    assert stages["plan"]["calls"] == round(3 * 1.1)
    assert stages["write"]["calls"] == round(3 * 3 * 1.1)  # 240 words in steps of 60 to 100
    assert stages["write"]["completion_tokens"] == round(3 * 240 * 1.33 * 1.1)
    assert stages["write"]["cost_usd"] == found["total"]["cost_usd"] == 0
    assert not [stage for stage in stages if stage.endswith(".judge")]
    assert "3 instructions: chosen from seeds now" in found["assumptions"]


def test_an_estimate_uses_existing_plans_unless_they_are_of_other_params(checkout, run):
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
    Repo.init(no_scm=True).close()
    stages = {
        name: {"cmd": name, "params": ["write.mode"], "outs": [str(path)]} for name, path in outputs.items()
    }
    stages["plan"]["metrics"] = ["data/plan/metrics.json"]
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    stages, _ = estimated(run)
    assert (stages["plan"]["calls"], stages["write"]["calls"]) == (2 + 1, round(2 * 1.1))

    def lock(mode):
        entries = {
            name: {
                "cmd": name,
                "params": {"params.yaml": {"write.mode": mode}},
                "outs": [{"path": str(path), "hash": "md5", "md5": md5(path.read_bytes()).hexdigest()}],
            }
            for name, path in outputs.items()
        }
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": entries}))

    lock("parallel")
    assert estimated(run)[0]["write"]["calls"] == round(2 * 1.1)
    lock("serial")
    assert "3 instructions: chosen from seeds now" in estimated(run)[1]["assumptions"]
    lock("parallel")
    files.write_jsonl(outputs["instructions"], rows[:1])
    assert "3 instructions: chosen from seeds now" in estimated(run)[1]["assumptions"]


def test_hours_follow_the_speed_that_the_cache_has_timed(checkout, run):
    store(("a", "weights@old", "01-01", 1.0, 7), ("b", "weights@new", "02-01", 2.0, 20))
    timed, found = estimated(run)
    assert [line for line in found["assumptions"] if line.startswith("weights@new: 10.0 tokens a second")]
    files.REPLAY.unlink()
    assumed, _ = estimated(run, "--tokens-per-second", "10")
    assert timed["write"]["hours"] == pytest.approx(assumed["write"]["hours"])
    assert estimated(run, "--tokens-per-second", "5")[0]["write"]["hours"] == pytest.approx(
        2 * timed["write"]["hours"]
    )


def test_a_converted_model_is_timed_by_the_answers_of_its_own_conversion(checkout, run, tmp_path):
    set_params(PARAMS, llm={"model": "base", "precision": "Q8_0"})
    for name in ("model.gguf", "model.safetensors"):
        (tmp_path / "base").mkdir(exist_ok=True)
        (tmp_path / "base" / name).write_bytes(name.encode())
    assert "base: 25.0 tokens a second per request, assumed" in "\n".join(estimated(run)[1]["assumptions"])
    llm = params.load().llm
    store(("a", f"{servers.stored_as(llm)}x", "01-01", 2.0, 20), ("b", "base@x", "02-01", 1.0, 7))
    assert f"{servers.stored_as(llm)}x: 10.0 tokens a second" in "\n".join(estimated(run)[1]["assumptions"])


def test_a_priced_model_costs_what_the_table_says_and_a_judge_is_counted(checkout, run):
    set_params(PAPER, llm={"model": "gpt-4o"}, generate={"benchmarks": ["small"]})
    stages, found = estimated(run)
    write = stages["write"]
    assert write["cost_usd"] == pytest.approx(
        (write["prompt_tokens"] * 2.5 + write["completion_tokens"] * 10) / 1e6, rel=1e-3
    )
    benchmark = len(Path(PAPER["generate"]["folder"], "small.jsonl").read_text().splitlines())
    assert stages["preferences.judge"]["calls"] == round(3 * 4 * 1.1)  # 4 samples
    assert stages["fitness"]["calls"] == round(3 * (4 + 4 + 2) * 1.1)  # 3 texts: repeats, copies, attacks
    assert stages["score"]["calls"] == round(3 * benchmark * 1.1)  # 3 models
    assert found["total"]["cost_usd"] == pytest.approx(sum(row["cost_usd"] for row in stages.values()))
    set_params(PAPER, llm={"model": "gpt-4o"}, generate={"benchmarks": ["small"]}, pairwise={"pairs": "all"})
    compared = estimated(run)[0]
    assert compared["fitness"]["calls"] == round(3 * (10 + 5 * 2) * 1.1)  # 5 copies, in both orders


def test_the_judge_of_prompts_without_a_length_is_asked_about_each_of_them(checkout, run):
    rows = [{"prompt": f"Tell me all about the town of {name}, please."} for name in ("Bergen", "Malaga")]
    with Path("seeds", "a.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    set_params(PARAMS, instructions={"unstated": "judge", "judge": PAPER["instructions"]["judge"]})
    stages, found = estimated(run)
    judge = stages["instructions.judge"]
    assert (judge["model"], judge["calls"], stages["plan"]["calls"]) == (
        "gpt-4o-2024-05-13",
        round(2 * 1.1),
        round(5 * 1.1),
    )
    assert judge["completion_tokens"] == round(2 * 40 * 1.1)
    assert found["total"]["cost_usd"] == pytest.approx(judge["cost_usd"]) and judge["cost_usd"] > 0
    assert (
        "instructions.judge: asked about the 2 instructions without a length, as if it accepted all of them; "
        "for each one that it refuses, it is asked about another one"
    ) in found["assumptions"]


def test_fewer_instructions_than_the_gate_asks_for_are_announced(checkout, run):
    gate = PARAMS["instructions"]["gate"]
    set_params({**PARAMS, "instructions": {**PARAMS["instructions"], "gate": {**gate, "min_rows": 4}}})
    assert [line for line in estimated(run)[1]["assumptions"] if "min_rows is 4:" in line]
    set_params({**PARAMS, "instructions": {**PARAMS["instructions"], "gate": {**gate, "min_rows": 3}}})
    assert not [line for line in estimated(run)[1]["assumptions"] if "min_rows" in line]


def test_a_benchmark_that_cannot_be_fetched_is_left_out_and_named(checkout, run):
    files = {"own": {"source": "http://127.0.0.1:9/own.jsonl", "sha256": "0" * 64}}
    set_params(PAPER, llm={"model": "gpt-4o"}, generate={"benchmarks": ["own"]}, benchmarks={"files": files})
    stages, found = estimated(run)
    assert "own: its file cannot be fetched now, so it is left out" in found["assumptions"]
    assert stages["preferences.judge"]["calls"] == round(3 * 4 * 1.1)


def test_a_model_without_a_price_and_limits_that_are_exceeded_are_reported(checkout, run):
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
    set_params(PARAMS, write={"mode": mode, "prompt": "src/longwriter/prompts/write.txt"})
    calls = {stage: row["calls"] for stage, row in estimated(run)[0].items()}
    assert calls == ({"plan": 0, "write": 3} if mode == "direct" else {"plan": 3, "write": 10})
    code, out, _ = run("estimate")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:4]] == ["stage", "plan", "write", "total"]
