import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from longwriter import params as parameters
from longwriter.agentwrite.plans import planning
from longwriter.errors import EndpointUnavailable, NoAnswer
from longwriter.io import files
from longwriter.records import Plan, Rejection
from longwriter.stages import plan
from longwriter.tracking.runs import StageRun
from tests.chat_server.server import chat_server_thread
from tests.unit.agentwrite.scripted_llm import ScriptedLLM
from tests.unit.builders import instruction

GOOD = json.dumps({"steps": [{"main_point": "The lighthouse at dusk", "word_count": 80}]})
LINE = "Paragraph 1 - Main Point: The lighthouse at dusk - Word Count: 80 words"
YES, NO = '{"missing": "", "covered": true}', '{"missing": "the storm", "covered": false}'
TEXTS = planning.Templates(
    "{instruction}", {"lines": "(lines)", "json": "(json)"}, "Judge {instruction} {plan}"
)


def params(base_url="http://127.0.0.1:9/v1", **changes):
    """Return the committed parameters, for an external endpoint, with changes (`plan__max_attempts=3`)."""
    values = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    values["llm"] |= {"engine": "external", "base_url": base_url, "model": "scripted"}
    values["plan"]["gate"] |= {"min_rows": 1, "min_kept_share": 0.0}
    if changes.get("write__mode") != "direct":
        values["plan"]["judge"]["llm"] = {**values["llm"], "model": "judge"}
    for dotted, value in changes.items():
        section, _, key = dotted.partition("__")
        values[section][key] = value
    return parameters.check(values, "here")


PARAMS = params(plan__max_attempts=3, plan__min_steps=1)
DIRECT = params(write__mode="direct")


def with_judge(url):
    """Return parameters with a judge at the same server."""
    values = PARAMS.model_dump(by_alias=True)
    for section in (values["llm"], values["plan"]["judge"]["llm"]):
        section["base_url"] = url
    values["write"]["mode"] = "serial"
    values["plan"] |= {"max_attempts": 4}
    return parameters.check(values, "here")


def planned(says, judge=None, form="json_schema", row=None):
    llm, reasked = ScriptedLLM(says, form), Counter()
    row = row or instruction("Write a story.")
    if judge is not None:
        judge = planning.CoverageJudge(judge, TEXTS.coverage, PARAMS.plan.judge)
    result = asyncio.run(planning.plan_one(llm, judge, PARAMS.plan, TEXTS, row, reasked))
    return result, llm, reasked


def test_a_good_first_answer_is_the_plan():
    row, llm, reasked = planned(lambda prompt, attempt: GOOD)
    assert isinstance(row, Plan)
    assert [step.main_point for step in row.steps] == ["The lighthouse at dusk"]
    assert row.call_ids == llm.call_ids
    assert llm.calls == [("Write a story.", 0, True, False)]
    assert not reasked


@pytest.mark.parametrize(
    ("form", "answer", "call"),
    [
        ("lines", LINE, ("Write a story.\n\n(lines)", 0, False, False)),
        ("json_object", f"```json\n{GOOD}\n```", ("Write a story.\n\n(json)", 0, False, True)),
    ],
)
def test_each_format_is_requested_and_read_in_its_own_way(form, answer, call):
    row, llm, _ = planned(lambda prompt, attempt: answer, form=form)
    assert isinstance(row, Plan)
    assert llm.calls == [call]


def test_a_bad_plan_is_requested_again_with_a_new_attempt_and_counted():
    answers = ["I'm sorry, I can't help with that.", (GOOD, "length"), GOOD]
    row, llm, reasked = planned(lambda prompt, attempt: answers[attempt])
    assert isinstance(row, Plan)
    assert row.call_ids == llm.call_ids
    assert [attempt for _, attempt, _, _ in llm.calls] == [0, 1, 2]
    assert reasked == {"refusal": 1, "cut_off": 1}


def test_after_all_attempts_the_last_reason_stays():
    answers = ["x", "x", "I'm sorry, I can't help with that."]
    row, llm, reasked = planned(lambda prompt, attempt: answers[attempt])
    assert isinstance(row, Rejection)
    assert (row.stage, row.reason, row.row_id) == (
        "plan",
        "refusal",
        instruction("Write a story.").instruction_id,
    )
    assert row.call_ids == llm.call_ids
    assert reasked == {"unparsable_plan": 2}


def test_a_request_that_gets_no_answer_rejects_its_row_and_keeps_the_calls_before_it():
    said = ["x", NoAnswer("too long", "request_refused")]
    row, llm, _ = planned(lambda prompt, attempt: said[attempt])
    assert (row.reason, row.detail, row.call_ids) == ("request_refused", "too long", llm.call_ids[:1])


def test_an_endpoint_that_is_down_stops_the_stage():
    with pytest.raises(EndpointUnavailable):
        planned(lambda prompt, attempt: EndpointUnavailable("down"))


def test_a_plan_of_another_length_is_refused():
    row, _, _ = planned(lambda prompt, attempt: GOOD, row=instruction("Write 200 words.", required_words=200))
    assert row.reason == "too_few_steps"
    row, _, _ = planned(lambda prompt, attempt: GOOD, row=instruction("Write 50 words.", required_words=50))
    assert row.reason == "wrong_total"


def test_a_judge_that_misses_something_has_the_plan_made_again():
    judge = ScriptedLLM(lambda prompt, attempt: YES if "dawn" in prompt else NO)
    answers = [GOOD, GOOD.replace("dusk", "dawn")]
    row, llm, reasked = planned(lambda prompt, attempt: answers[attempt], judge)
    assert isinstance(row, Plan)
    assert row.call_ids == [llm.call_ids[0], judge.call_ids[0], llm.call_ids[1], judge.call_ids[1]]
    assert reasked == {"not_covered": 1}
    assert judge.calls[0][2] is True


def test_an_unreadable_judge_is_asked_again_and_never_lets_a_plan_pass():
    readable = ScriptedLLM(lambda prompt, attempt: ["Well.", YES][attempt], form="json_object")
    row, _, reasked = planned(lambda prompt, attempt: GOOD, readable)
    assert isinstance(row, Plan)
    assert [call[3] for call in readable.calls] == [True, True]
    assert not reasked
    row, llm, reasked = planned(lambda prompt, attempt: GOOD, ScriptedLLM(lambda prompt, attempt: "Well."))
    assert row.reason == "coverage_unreadable"
    assert len(llm.calls) == 3
    assert len(row.call_ids) == 3 + 3 * PARAMS.plan.judge.max_attempts
    assert reasked == {"coverage_unreadable": 2}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder with three instructions, where a stage may run."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    prompts = Path("src/longwriter/prompts").resolve()
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("data/instructions").mkdir(parents=True)
    rows = [instruction(f"Write a story about a {name}.") for name in ("ferry", "bridge", "mill")]
    files.write_jsonl(Path("data/instructions/instructions.jsonl"), rows)
    Path("src/longwriter").mkdir(parents=True)
    Path("src/longwriter/prompts").symlink_to(prompts)
    Path("out").mkdir()
    return rows


def test_in_direct_mode_each_instruction_is_passed_on_without_a_request(workplace):
    summary = plan.work(DIRECT, Path("out"), StageRun("run", "fingerprint"))
    plans = files.read_jsonl(Path("out/plans.jsonl"), Plan)
    assert [(row.instruction, row.steps, row.call_ids) for row in plans] == [
        (row, [], []) for row in workplace
    ]
    assert list(files.read_zstd_lines(Path("out/calls.jsonl.zst"))) == []
    assert (summary.rows_in, summary.rows_kept, summary.execution) == (3, 3, {})


def test_the_calls_of_planner_and_judge_are_in_one_log_and_every_row_is_kept_or_rejected(workplace, tmp_path):
    with chat_server_thread(tmp_path / "requests.jsonl") as server:
        summary = plan.work(with_judge(server.url), Path("out"), StageRun("run", "fingerprint"))
    plans = files.read_jsonl(Path("out/plans.jsonl"), Plan)
    rejected = files.read_jsonl(Path("out/rejected.jsonl"), Rejection)
    assert sorted(row.instruction.instruction_id for row in plans) == sorted(
        {row.instruction_id for row in workplace} - {row.row_id for row in rejected}
    )
    log = [json.loads(line) for line in files.read_zstd_lines(Path("out/calls.jsonl.zst"))]
    assert {row["request"]["model"] for row in log} == {"scripted", "judge"}
    assert {row["call_id"] for row in log} == {id_ for row in [*plans, *rejected] for id_ in row.call_ids}
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "calls.jsonl.zst", "plans.jsonl", "refusals.jsonl.zst", "rejected.jsonl", "verdict.json",
    ]  # fmt: skip
    refusals = [json.loads(line) for line in files.read_zstd_lines(Path("out/refusals.jsonl.zst"))]
    assert {row["reason"] for row in refusals} == {"not_covered"}
    assert {row["call_id"] for row in refusals} < {
        row["call_id"] for row in log if row["request"]["model"] == "scripted"
    }
    assert summary.execution["calls_sent"] == len(log)
    assert summary.numbers.get("reasked_not_covered", 0) == sum(
        json.loads(row["answer"]["choices"][0]["message"]["content"]).get("covered") is False for row in log
    ) - sum(row.reason == "not_covered" for row in rejected)
