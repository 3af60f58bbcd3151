"""Stage short_prompts without prompts: it asks no model, and neither report nor gate counts it."""

from longwriter.io import files
from longwriter.params import check
from longwriter.records import ShortAnswer
from longwriter.report import short_section
from longwriter.stages import short_prompts
from longwriter.statistics.intervals import Method
from tests.unit.comparison.test_comparison import compared, score
from tests.unit.params.fields import committed


def test_with_a_limit_of_zero_the_stage_does_nothing(tmp_path):
    values = committed()
    values["short_prompts"]["limit"] = 0
    summary = short_prompts.work("no_such_model", check(values, "params.yaml"), tmp_path, None)
    assert (summary.rows_in, summary.rows_kept, summary.numbers) == (1, 1, {"n": 0.0})
    assert files.read_jsonl(tmp_path / "answers.jsonl", ShortAnswer) == []
    assert list(files.read_zstd_lines(tmp_path / "calls.jsonl.zst")) == []


def test_a_report_without_short_prompts_says_nothing_about_them():
    rows = [score(k) for k in range(3)]
    answers = {"base_model": [], "sft": [], "dpo": []}
    assert short_section.section(compared(rows, rows, rows), answers) == ""
    assert short_section.numbers(answers, Method(0.95, 100, 0)) == {}
