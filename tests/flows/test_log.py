"""What the log of a flow shows: which stage of how many, no hints of dvc, and the sentence of a stage that failed."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from flows import remaining, repro

NAMES = ["base_model", "plan", "sft"]

DEMO = remaining._DEMO_S


def test_a_stage_is_announced_with_its_place_and_the_minutes_left() -> None:
    assert remaining.sentence(NAMES, 2, 315.0) == "stage 3 of 3 (sft), about 5 minutes left"
    assert remaining.sentence(NAMES, 0, 70.0) == "stage 1 of 3 (base_model), about a minute left"
    assert remaining.sentence(NAMES, 1, 20.0) == "stage 2 of 3 (plan), less than a minute left"


@pytest.mark.parametrize(
    ("position", "spent", "earlier", "seconds"),
    [
        (2, {}, {}, DEMO["sft"]),  # as in the demo
        (
            2,
            {"base_model": 2.0 * DEMO["base_model"]},
            {},
            2 * DEMO["sft"],
        ),  # this machine takes twice as long
        (2, {}, {"sft": 7200.0}, 7200.0),  # as it took here before
        (1, {"base_model": 10.0}, {"base_model": 10.0, "plan": 30.0, "sft": 60.0}, 90.0),
    ],
)
def test_the_rest_takes_as_long_as_before(
    position: int, spent: dict[str, float], earlier: dict[str, float], seconds: float
) -> None:
    assert remaining.seconds_left(NAMES, position, spent, earlier) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("left", "spent", "seconds"),
    [
        ("write", {"plan": 280.0}, 190.0),  # the same endpoint answers both
        ("sft", {"plan": 280.0}, 33.0),  # an endpoint says nothing about a training
        ("dpo", {"sft": 66.0}, 60.0),
        ("generate@sft-quick", {"sample": 62.0, "plan": 280.0}, 20.0),
        ("sft", {"instructions": 2.0}, 33.0),  # as before, with other instructions
        (
            "short_prompts@sft",
            {"instructions": 20.0},
            2 * DEMO["short_prompts"],
        ),  # never ran here: this machine takes twice as long
        (
            "short_prompts@sft",
            {"instructions": 2000.0},
            4 * DEMO["short_prompts"],
        ),  # no machine takes 200 times as long: there is more data
        ("report@quick", {"instructions": 2000.0}, 24.0),
    ],
)
def test_a_slow_stage_makes_only_stages_of_its_kind_seem_slow(
    left: str, spent: dict[str, float], seconds: float
) -> None:
    earlier = {"instructions": 10.0, "plan": 28.0, "write": 19.0, "sft": 33.0, "dpo": 30.0, "sample": 31.0}
    earlier |= {"generate@sft-quick": 10.0, "report@quick": 6.0}
    assert remaining.seconds_left([left], 0, spent, earlier) == pytest.approx(seconds)


def test_a_new_benchmark_takes_as_long_as_the_others_here() -> None:
    earlier = {"generate@sft-quick": 10.0, "generate@dpo-quick": 20.0}
    assert remaining.seconds_left(["generate@sft-mine"], 0, {}, earlier) == pytest.approx(15.0)


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"sft": "soon", "plan": NaN, "dpo": Infinity, "x": -1, "y": true}']
)
def test_a_file_of_seconds_that_cannot_be_read_counts_as_none(tmp_path, monkeypatch, content) -> None:
    monkeypatch.chdir(tmp_path)
    remaining.FILE.parent.mkdir()
    if content is not None:
        remaining.FILE.write_text(content)
    assert remaining.read() == {}
    remaining.keep({"sft": 3.0})
    remaining.keep({"plan": 1.5})
    assert remaining.read() == {"sft": 3.0, "plan": 1.5}


def test_hints_of_dvc_are_left_out_and_long_lines_are_cut() -> None:
    shown = repro._LineFilter()
    hints = [
        "Updating lock file 'dvc.lock'",
        "To track the changes with git, run:",
        "\tgit add dvc.lock",
        "\tgit add dvc.lock data/plan/headline.json",
        "To enable auto staging, run:",
        "\tdvc config core.autostage true",
        "Use `dvc push` to send your updates to remote storage.",
        "WARNING: 'data/pack/rejected.jsonl' is empty.",
        "Running stage 'plan':",
        "> python -m longwriter.stages.plan",
        "[2026-11-27 23:35:05,303] [WARNING] [real_accelerator.py:213:get_accelerator] Setting accelerator to CPU.",
    ]
    assert [shown(line) for line in hints] == [None] * 11
    assert shown("plan: 40 in, 40 kept") == "plan: 40 in, 40 kept"
    assert shown("x" * 8000) == "x" * 300 + " …"


def test_a_bar_is_shown_at_its_begin_and_end_but_not_many_times_a_second() -> None:
    shown = repro._LineFilter()
    bars = [f"Loading weights: {share:>3}%|█  | {share}/100" for share in (0, 1, 50, 99, 100, 100)]
    assert [shown(bar) is not None for bar in bars] == [True, False, False, False, True, False]
    assert shown("plan:   0%|          | 0/40") is not None


def test_a_bar_is_shown_when_it_changes_and_not_when_the_next_one_comes() -> None:
    program = r"print('begin'); print('\r 5%|█  | 1/20 [00:05<01:35]', end=''); input(); print('\rend')"
    command = [sys.executable, "-u", "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        lines = (line for line in repro._lines(child.stdout, 60.0) if line != "")
        assert [next(lines), next(lines)] == ["begin", " 5%|█  | 1/20 [00:05<01:35]"]
        child.stdin.write(b"\n")
        child.stdin.close()
        assert list(lines) == ["end"]


def test_a_silent_stage_says_that_it_is_at_work_and_its_lines_stay_whole() -> None:
    program = "import sys, time; print('half of', end=' ', flush=True); time.sleep(2); print('a line')"
    with subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = [line for line in repro._lines(child.stdout, 0.5) if line != ""]
    assert lines[-1] == "half of a line"
    assert None in lines


FAILED = [
    "Running stage 'plan':",
    "plan: http://127.0.0.1:5000/#/experiments/1/runs/5f14",
    "plan: BadParams: params.yaml:4: llm.model: found 7; allowed: a text",
    "params.yaml:9: plan.min_steps: found -1; allowed: a whole number",
    "ERROR: failed to reproduce 'plan': failed to run: python -m longwriter.stages.plan, exited with 2",
]


def test_a_failed_stage_is_quoted_in_its_own_words() -> None:
    error = repro.DvcFailed(["repro", "--single-item", "plan"], repro.CommandResult(255, 2, FAILED))
    assert str(error) == "\n".join(FAILED[2:4])
    other = repro.DvcFailed(["push"], repro.CommandResult(1, None, ["ERROR: no remote is set"]))
    assert str(other) == "dvc push: ERROR: no remote is set"


def test_the_cause_of_a_failed_push_can_pass_only_if_the_remote_could_not_be_reached() -> None:
    away = [
        "ERROR: failed to transfer '2f92' - Could not connect to the endpoint URL: \"http://127.0.0.1:1/data\"",
        "ERROR: failed to push data to the cloud - 1 files failed to upload",
    ]
    assert repro.DvcFailed(["push"], repro.CommandResult(1, None, away)).can_pass
    assert repro.DvcFailed(
        ["push"], repro.CommandResult(1, None, ["ERROR: Read timeout on endpoint"])
    ).can_pass
    assert not repro.DvcFailed(["push"], repro.CommandResult(1, None, ["ERROR: no remote is set"])).can_pass
    assert not repro.DvcFailed(
        ["push"], repro.CommandResult(1, None, ["ERROR: Access Denied (403)"])
    ).can_pass
    assert repro.DvcFailed(["repro", "sft"], repro.CommandResult(1, 75, away)).can_pass
    assert not repro.DvcFailed(["repro", "sft"], repro.CommandResult(1, 2, away)).can_pass


def test_a_stage_that_another_dvc_command_holds_is_tried_again() -> None:
    lines = [
        "ERROR: '/c/data/dpo/curve.csv' is busy, it is being blocked by:",
        "  (PID 12): dvc repro dpo",
        "  (PID 12): dvc repro dpo",
        "If there are no processes with such PIDs, you can manually remove '/c/.dvc/tmp/rwlock' and try again.",
    ]
    error = repro.DvcFailed(["repro", "dpo"], repro.CommandResult(255, None, lines))
    assert (error.can_pass, error.stage_code) == (True, 75)
    assert str(error).startswith(
        "dvc repro dpo: another dvc command works in this checkout: process 12 (dvc repro dpo): wait"
    )
    locked = ["ERROR: Unable to acquire lock. Most likely another DVC process is running or was terminated"]
    assert repro.DvcFailed(["update", "a.dvc"], repro.CommandResult(255, None, locked)).can_pass


def test_the_log_of_the_flow_has_no_traceback_of_a_failed_stage() -> None:
    from flows import pipeline  # imports Prefect, which takes seconds

    logger = logging.getLogger("prefect.flow_runs")
    for error, is_kept in (
        (repro.DvcFailed(["push"], repro.CommandResult(1, None, ["no"])), False),
        (OSError(), True),
    ):
        try:
            raise error
        except type(error):
            record = logging.LogRecord("x", logging.ERROR, pipeline.__file__, 1, "m", (), sys.exc_info())
        assert logger.filter(record)
        assert bool(record.exc_info) is is_kept
