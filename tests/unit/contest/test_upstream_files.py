"""LongWriter's own pred.jsonl and judge.jsonl are written as its scripts read them, and read as they write them."""

import json

import pytest

from longwriter.contest import upstream_files
from longwriter.contest.upstream_files import JudgeRow, PredRow
from longwriter.errors import BadRecord
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.evaluation.scores import score_of
from longwriter.judge import merging
from longwriter.judge.judgements import DIMENSIONS
from longwriter.records import Judgement, Unscored

MARKS = dict(zip(DIMENSIONS, (5, 4, 3, 2, 1, 5), strict=True))
UPSTREAM = {
    "prompt": "Write 3 words.",
    "type": "Essay",
    "length": 3,
    "response_length": 3,
    "response": "One two three.",
}


def answer(text="One two three.", key="call"):
    prompt = Prompt("x", "Write 3 words.", "Essay", "en", 3)
    return generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[key])


def judgement(**fields):
    base = {
        "dimensions": MARKS,
        "quality_score": 100 * 14 / 24,
        "analysis": "Good.",
        "judge": "j",
        "call_ids": [],
    }
    return Judgement.model_validate(base | fields)


def read(record, row):
    return record.model_validate_json(json.dumps(row))


def test_a_row_of_upstream_is_read_and_its_words_are_counted_again():
    [row] = upstream_files.generations([read(PredRow, UPSTREAM | {"response_length": 99})])
    assert (row.text, row.words, row.required_words, row.type) == ("One two three.", 3, 3, "Essay")
    assert row.finish_reason == "unknown"


def test_answers_come_back_as_they_were_written():
    thought = answer("Four.", "thought").model_copy(update={"thinking_words": 7})
    answers = [answer(), answer("雨。", "other"), answer("", "empty"), answer(key="again"), thought]
    rows = [read(PredRow, upstream_files.pred_row(row)) for row in answers]
    back = upstream_files.generations(rows)
    assert [row.model_dump(exclude={"prompt_id", "generation_id"}) for row in back] == [
        row.model_dump(exclude={"prompt_id", "generation_id"}) for row in answers
    ]
    assert len({row.generation_id for row in back}) == 5
    assert {key: upstream_files.pred_row(answers[0])[key] for key in UPSTREAM} == UPSTREAM


def test_equal_answers_of_upstream_to_one_prompt_stay_apart():
    back = upstream_files.generations([read(PredRow, UPSTREAM)] * 2)
    assert len({row.generation_id for row in back}) == 2


def test_judgements_come_back_as_they_were_written_and_the_others_are_not_judged():
    answers = [answer(), answer("More words.", "b")]
    written = upstream_files.judge_row(answers[0], judgement())
    assert {name: written["scores"][name] for name in DIMENSIONS} == MARKS
    first, second = upstream_files.qualities(answers, [read(JudgeRow, written)], "judge.jsonl")
    assert first == judgement()
    assert isinstance(second, Unscored)
    assert second.reason == "not_judged"


def test_the_reason_why_an_answer_has_no_score_comes_back():
    unscored = Unscored(reason="refusal", detail="I can't rate this.", call_ids=["c1"])
    row = upstream_files.judge_row(answer(), unscored)
    assert row["scores"] == {}
    [quality] = upstream_files.qualities([answer()], [read(JudgeRow, row)], "judge.jsonl")
    assert quality == unscored


def test_the_judge_of_upstream_is_unknown_and_its_last_row_is_no_answer():
    means = {name: 50.0 for name in DIMENSIONS} | {"total": 50.0}
    rows = [read(JudgeRow, UPSTREAM | {"scores": {"Analysis": "a", **MARKS}}), read(JudgeRow, means)]
    [quality] = upstream_files.qualities([answer()], rows, "glm/judge.jsonl")
    assert (quality.judge, quality.quality_score) == ("unknown judge of glm/judge.jsonl", 100 * 14 / 24)


@pytest.mark.parametrize("mark", [0, 6, 3.5, "4", None, True])
def test_a_mark_that_is_no_integer_from_1_to_5_leaves_the_answer_unscored(mark):
    row = read(JudgeRow, UPSTREAM | {"scores": {**MARKS, "Clarity": mark}})
    [quality] = upstream_files.qualities([answer()], [row], "judge.jsonl")
    assert quality.reason == "not_an_integer_from_1_to_5"


def test_the_mean_of_a_panel_comes_back():
    panel = judgement(dimensions=MARKS | {"Clarity": 2.5})
    [quality] = upstream_files.qualities(
        [answer()], [read(JudgeRow, upstream_files.judge_row(answer(), panel))], "judge.jsonl"
    )
    assert quality.dimensions["Clarity"] == 2.5


def test_the_members_of_a_panel_come_back_so_that_their_agreement_is_known():
    members = [judgement(judge="a"), judgement(judge="b", dimensions=MARKS | {"Clarity": 3})]
    panel = merging.panel(members)
    row = read(JudgeRow, upstream_files.judge_row(answer(), panel))
    [quality] = upstream_files.qualities([answer()], [row], "judge.jsonl")
    assert [(member.judge, member.dimensions) for member in quality.members] == [
        (member.judge, member.dimensions) for member in members
    ]
    assert (quality.judge, quality.quality_score) == (panel.judge, panel.quality_score)


def test_a_member_of_a_panel_without_all_marks_leaves_the_answer_unscored():
    row = upstream_files.judge_row(answer(), merging.panel([judgement(judge="a"), judgement(judge="b")]))
    del row["members"][1]["scores"]["Clarity"]
    [quality] = upstream_files.qualities([answer()], [read(JudgeRow, row)], "judge.jsonl")
    assert quality.reason == "missing_dimension"


def test_a_row_without_a_length_is_read_and_written_without_one():
    [row] = upstream_files.generations(
        [read(PredRow, {key: UPSTREAM[key] for key in ("prompt", "type", "response")})]
    )
    assert row.required_words is None
    assert upstream_files.pred_row(row)["length"] is None


def test_a_prompt_with_space_at_its_ends_keeps_its_judgement():
    """Five of LongBench-Write's 120 prompts end in a line end or a space; records leave it out."""
    row = UPSTREAM | {"prompt": "Write 3 words.\n\n", "response": "\nOne two three. "}
    judged = read(JudgeRow, row | {"scores": {"Analysis": "a", **MARKS}})
    answers = upstream_files.generations([read(PredRow, row)])
    [quality] = upstream_files.qualities(answers, [judged], "judge.jsonl")
    assert isinstance(quality, Judgement)


def test_the_means_of_upstreams_files_are_the_ones_that_its_formulas_give():
    """S_l: 100 * (1 - (y / x - 1) / 3) above the length asked for, 100 * (1 - (x / y - 1) / 2) below, not below 0;
    S_q: 25 * (mark - 1), as a mean over answers and dimensions."""
    words = {9: 100.0, 10: 100 * 26 / 27, 18: 200 / 3, 36: 0.0, 8: 93.75, 3: 0.0, 4: 37.5, 1: 0.0}
    rows = [UPSTREAM | {"length": 9, "response": " ".join(["it"] * count)} for count in words]
    marks = [dict.fromkeys(DIMENSIONS, 1 + place % 5) | {"Clarity": 5} for place in range(len(rows))]
    judged = [row | {"scores": scores} for row, scores in zip(rows, marks, strict=True)]
    answers = upstream_files.generations([read(PredRow, row) for row in rows])
    qualities = upstream_files.qualities(answers, [read(JudgeRow, row) for row in judged], "judge.jsonl")
    scores = [score_of(*pair, 0.2) for pair in zip(answers, qualities, strict=True)]
    lengths = [score.length_score for score in scores]
    assert lengths == pytest.approx(list(words.values()), abs=1e-9)
    points = [score.quality.quality_score for score in scores]
    assert points == pytest.approx([(125 * (place % 5) + 100) / 6 for place in range(8)], abs=1e-9)
    written = [read(PredRow, upstream_files.pred_row(answer)) for answer in answers]
    again = [
        score_of(*pair, 0.2) for pair in zip(upstream_files.generations(written), qualities, strict=True)
    ]
    assert [score.length_score for score in again] == lengths


def marked(mark):
    row = upstream_files.judge_row(answer(), judgement())
    return read(JudgeRow, row | {"scores": row["scores"] | dict.fromkeys(DIMENSIONS, mark)})


def test_equal_answers_get_their_judgements_in_order():
    answers = [answer(), answer(key="again")]
    given = upstream_files.qualities(answers, [marked(2), marked(5)], "judge.jsonl")
    assert [row.quality_score for row in given] == [25, 100]
    given = upstream_files.qualities(answers, [marked(2)], "judge.jsonl")
    assert [row.quality_score for row in given] == [25, 25]


def test_two_judgements_of_one_answer_are_refused_only_if_they_differ():
    [quality] = upstream_files.qualities([answer()], [marked(2), marked(2)], "judge.jsonl")
    assert quality.quality_score == 25
    with pytest.raises(
        BadRecord, match=r"judge\.jsonl: 2 judgements of one answer to 'Write 3 words\.' differ"
    ):
        upstream_files.qualities([answer()], [marked(2), marked(5)], "judge.jsonl")
