"""The pairwise stage: off, and with a scripted judge over a real socket."""

from pathlib import Path

import pytest
import yaml

from longwriter import params
from longwriter.errors import BadParams
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.io import files
from longwriter.records import PairwiseRow
from longwriter.stages import pairwise
from longwriter.tracking.runs import StageRun
from tests.chat_server.server import chat_server_thread

CHECKOUT = Path.cwd()
WORDS = {"base_model": 2, "sft": 9, "dpo": 12}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with the answers of three models to two prompts for 12 words."""
    monkeypatch.chdir(tmp_path)
    for name in ("out", ".lw"):
        Path(name).mkdir()
    for model, words in WORDS.items():
        path = files.DATA / "generate" / f"{model}-small" / "generations.jsonl"
        path.parent.mkdir(parents=True)
        prompts = [Prompt(f"p{key}", f"Write 12 words on {key}.", "Essay", "en", 12) for key in "ab"]
        rows = [
            generation_of(
                prompt, " ".join([prompt.prompt_id] * words), finish_reason="stop", max_tokens=9, call_ids=[]
            )
            for prompt in prompts
        ]
        files.write_jsonl(path, rows)
    return tmp_path


def section(url=None, which="none", reference=None):
    """Return the committed parameters with a judge at `url` that compares."""
    values = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    if url:
        judge = values["llm"] | {
            "engine": "external",
            "model": "scripted",
            "base_url": url,
            "api_key_env": "",
        }
        values["score"]["judges"] = [judge | {"context_tokens": 4096}]
    values["pairwise"] |= {"pairs": which, "reference": reference}
    checked = params.check(values, "test")
    prompt = checked.pairwise.model_copy(update={"prompt": str(CHECKOUT / checked.pairwise.prompt)})
    return checked.model_copy(update={"pairwise": prompt})


def test_it_is_off_by_default_and_asks_nothing(folder):
    summary = pairwise.work(section(), Path("out"), StageRun("run", "mark"))
    assert Path("out/pairwise.jsonl").read_bytes() == b""
    assert list(files.read_zstd_lines(Path("out/calls.jsonl.zst"))) == []
    assert summary.numbers == {"compared": 0.0, "wins": 0.0, "ties": 0.0}
    assert summary.rows_kept == 1  # with none the stage would count as failed


def test_models_are_compared_with_the_reference_on_every_prompt(folder):
    with chat_server_thread(folder / "requests.jsonl", "--judge", "good") as server:
        summary = pairwise.work(section(server.url, "reference", "sft"), Path("out"), StageRun("run", "mark"))
    rows = files.read_jsonl(Path("out/pairwise.jsonl"), PairwiseRow)
    assert [(row.first, row.second, row.verdict.winner) for row in rows] == [
        ("sft", "base_model", "first"), ("sft", "base_model", "first"), ("sft", "dpo", "second"), ("sft", "dpo", "second"),
    ]  # fmt: skip
    assert summary.numbers == {"compared": 4.0, "wins": 4.0, "ties": 0.0}
    assert summary.execution["calls_sent"] == 8


@pytest.mark.parametrize(
    ("which", "reference", "message"),
    [("all", None, "pairwise.pairs: found 'all'; allowed: none while score.judges is empty"),
     ("none", "gpt", "pairwise.reference: found 'gpt'; allowed: null, or a model of compare.models")],
)  # fmt: skip
def test_models_that_cannot_be_compared_are_an_error_before_any_run(which, reference, message):
    with pytest.raises(BadParams, match=message):
        section(None, which, reference)
