"""The score stage without a judge: every answer has its scores and its measures."""

import yaml

from longwriter import params
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.io import files
from longwriter.records import Score, TextMeasures
from longwriter.stages import score
from longwriter.tracking.runs import StageRun
from tests.unit.builders import prose


def test_each_answer_has_scores_and_measures_also_an_empty_one(tmp_path, monkeypatch):
    values = params.read()
    monkeypatch.chdir(tmp_path)
    answers = files.DATA / "generate" / "sft-small" / "generations.jsonl"
    answers.parent.mkdir(parents=True)
    prompt = Prompt("p", "Write 100 words.", "Essay", "en", 100)
    rows = [
        generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[text[:3]])
        for text in (prose(100), "\n\n".join([prose(30)] * 9), "")
    ]
    files.write_jsonl(answers, rows)
    out = tmp_path / "out"
    out.mkdir()
    result = score.work(
        "sft", "small", params.check(yaml.safe_load(yaml.safe_dump(values)), "p"), out, StageRun("r", "f")
    )
    scores = files.read_jsonl(out / "scores.jsonl", Score)
    measures = files.read_jsonl(out / "measures.jsonl", TextMeasures)
    ids = [row.generation_id for row in rows]
    assert [row.generation_id for row in scores] == [row.generation_id for row in measures] == ids
    assert [row.redundancy for row in measures] == [0, 1, 0]
    assert [row.chunk_quality for row in measures] == [[], [], []]
    assert (result.rows_in, result.rows_kept, result.numbers["n"]) == (3, 3, 3)
