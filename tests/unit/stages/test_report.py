"""The report stage with a fourth model, which is nothing but a line in params.yaml and its weights."""

import shutil
from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.io import files
from longwriter.stages import report
from longwriter.tracking import versioning
from longwriter.tracking.runs import StageRun
from tests.unit.builders import prose
from tests.unit.comparison.test_comparison import WEAK, score
from tests.unit.comparison.test_standings import row
from tests.unit.evaluation.short.test_short_prompts import YES, answer
from tests.unit.report.test_measures_section import text_measures

CHECKOUT = Path.cwd()
FOURTH = "sft_again"
WORDS = {"base_model": 50, "sft": 90, "dpo": 110, FOURTH: 90}


def four_models():
    values = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    values["compare"]["models"][FOURTH] = {"label": "the SFT model again"}
    values["compare"]["pairs"].append([FOURTH, "sft"])
    values["compare"]["repeats"] = [["sft", FOURTH]]
    values["report"]["resamples"] = 200
    return values


@pytest.fixture(scope="module")
def reported(tmp_path_factory):
    """A folder in which the report of four models was written; yields it and the stage's summary."""
    folder = tmp_path_factory.mktemp("four")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for model, words in WORDS.items():
            scores = files.DATA / "score" / f"{model}-small" / "scores.jsonl"
            scores.parent.mkdir(parents=True)
            answers = files.DATA / "generate" / f"{model}-small" / "generations.jsonl"
            answers.parent.mkdir(parents=True)
            prompts = [Prompt(f"p{k}", f"Prompt {k}.", "Essay", "en", 100) for k in range(8)]
            texts = [
                generation_of(prompt, f"<b>{model}</b>", finish_reason="stop", max_tokens=9, call_ids=[])
                for prompt in prompts
            ]
            files.write_jsonl(answers, texts)
            measures = [text_measures(prose(words + k, k), k) for k in range(8)]
            scores_of_model = [
                score(k, words=words + k, generation_id=text.generation_id) for k, text in enumerate(texts)
            ]
            files.write_jsonl(scores, scores_of_model)
            files.write_jsonl(scores.with_name("measures.jsonl"), measures)
            short = files.DATA / "short_prompts" / model
            short.mkdir(parents=True)
            files.write_jsonl(short / "answers.jsonl", [answer(YES, "yes" if model == "dpo" else "no")])
        for stage, header in (("sft", "step,loss"), ("dpo", "step,loss,reward_accuracy")):
            (files.DATA / stage).mkdir()
            first_row = ",".join("1" for _ in header.split(","))
            (files.DATA / stage / "curve.csv").write_text(f"{header}\n{first_row}\n", encoding="utf-8")
        (files.DATA / "dpo" / "metrics.json").write_text("{}", encoding="utf-8")
        (files.DATA / "fitness").mkdir()
        files.write_json(files.DATA / "fitness" / "fitness.json", WEAK.model_dump())
        out = Path("out")
        out.mkdir()
        (files.DATA / "pairwise").mkdir()
        compared = [row(k, "second" if k else "tie", "base_model", "sft") for k in range(8)]
        files.write_jsonl(files.DATA / "pairwise" / "pairwise.jsonl", compared)
        summary = report.work("small", params.check(four_models(), "four"), out, StageRun("run", "mark"))
    return folder, summary


def test_a_recipe_that_was_trained_twice_has_a_line_with_its_spread(reported):
    text = (reported[0] / "out/report.md").read_text(encoding="utf-8")
    assert "between 2 trainings 0.0, between decodings unknown, because each prompt has one answer" in text
    assert reported[1].numbers["sft_spread_of_trainings"] == 0.0


def test_a_fourth_model_is_in_every_table_and_compared(reported):
    lines = (reported[0] / "out/report.md").read_text(encoding="utf-8").splitlines()
    assert any(
        "Prompts: base model 8, SFT 8, DPO 8, SFT model again 8. In brackets: 95 % " in line for line in lines
    )
    assert [line for line in lines if line.startswith("| SFT model again | 8 | 96.")]
    assert "| words asked for | Base model S_l | SFT S_l | DPO S_l | SFT model again S_l |" in lines
    assert (
        "- In length score: The SFT model again is not shown to be better or worse than SFT: difference +0.0, "
        "the same for every prompt, so without interval, p = 1.000, n = 8." in lines
    )


def test_a_fourth_model_has_numbers_of_its_own_and_those_of_the_others_stay(reported):
    numbers = reported[1].numbers
    assert numbers["sft_again_length_score_mean"] == numbers["sft_length_score_mean"]
    assert numbers["sft_again_minus_sft_length_score"] == 0.0
    assert {"sft_minus_base_length_score", "dpo_minus_sft_length_score", "ended_p"} <= numbers.keys()
    assert reported[1].rows_in == 32


def test_the_answers_that_were_compared_two_by_two_have_a_section_and_numbers(reported):
    text = (reported[0] / "out/report.md").read_text(encoding="utf-8")
    part = text.partition("## Answers compared two by two")[2].partition("\n## ")[0]
    assert "7 won, 1 tied, 0 lost" in part
    assert "| Base model | 1000 by definition | 8 |" in part
    assert "**Not evidence: " in part
    numbers = reported[1].numbers
    assert (numbers["pairwise_n"], numbers["pairwise_position_consistency"]) == (8.0, 1.0)
    assert numbers["pairwise_sft_elo"] > numbers["pairwise_sft_elo_low"] > 1000


def test_the_page_shows_the_answers_and_where_the_numbers_come_from(reported):
    text = (reported[0] / ".lw/data_docs/report@small/index.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;sft_again&lt;/b&gt;" in text
    assert "<b>sft" not in text
    assert text.count("data:image/png;base64,iVBOR") == 6
    assert '/runs/run" rel="noreferrer">run</a>' in text
    assert "max_tokens_per_word" in text


def test_every_figure_of_four_models_is_drawn(reported):
    names = {path.name for path in (reported[0] / "out/figures").iterdir()}
    assert names == {"length.png", "buckets.png", "ended.png", "training.png", "along.png", "overview.png"}


def test_the_matrix_of_dvc_has_the_fourth_model_and_its_report_depends_on_it(tmp_path, monkeypatch):
    shutil.copy(CHECKOUT / "dvc.yaml", tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(four_models(), sort_keys=False), encoding="utf-8")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names = versioning.stage_names()
    assert names.index(f"generate@{FOURTH}-small") == names.index("generate@dpo-small") + 1
    assert names.index(f"score@{FOURTH}-small") == names.index("score@dpo-small") + 1
    assert f"data/{FOURTH}/weights" in versioning.stage_files(f"generate@{FOURTH}-small").deps
    [scores] = [
        out for out in versioning.stage_files(f"score@{FOURTH}-small").outs if out.endswith("scores.jsonl")
    ]
    assert scores == f"data/score/{FOURTH}-small/scores.jsonl"
    assert "data/score" in versioning.stage_files("report@small").deps
