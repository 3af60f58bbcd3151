"""An auditor in the MLflow UI: by clicks alone from the registered model to a prompt and its answer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longwriter.web import net
from tests.flows import clicks
from tests.workspace import Workspace, wait_for

pytestmark = pytest.mark.services
_TRACE = "tr-[0-9a-f]{32}"


def _words(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def page(finished: Workspace, tmp_path: Path) -> Iterator[clicks.Page]:
    """The page of the registered model, on a server whose links lead to port 5000, as those of infra/ui.sh."""
    workspace = finished.copy(tmp_path / "checkout", with_mlflow=True)
    port = net.free_port()
    with workspace.start(sys.executable, "-m", "longwriter.web.door", "mlflow", str(port)):
        wait_for(lambda: net.is_healthy(f"http://127.0.0.1:{port}/health"), "the MLflow server answers")
        with clicks.chromium(tmp_path / "profile", f"MAP 127.0.0.1:5000 127.0.0.1:{port}") as page:
            page.open(f"http://127.0.0.1:{port}/#/models/longwriter")
            page.click("Version 1")
            page.wait_for("candidate")
            yield page


def test_from_the_registered_model_to_a_benchmark_answer_and_its_prompt(
    page: clicks.Page, finished: Workspace, tmp_path: Path
) -> None:
    for word in ("answers", _TRACE, "attempt 1"):
        page.click(word)
    page.wait_for("sampling")  # only the page of a call shows it
    page.picture(tmp_path / "answer.png")
    shown = _words(page.text())
    answers = finished.rows("data/generate/dpo-tiny/generations.jsonl")
    assert any(_words(row["prompt"]) in shown and _words(row["text"]) in shown for row in answers)


def test_from_the_registered_model_over_its_data_to_the_prompt_and_answer_of_a_paragraph(
    page: clicks.Page, finished: Workspace, tmp_path: Path
) -> None:
    for word, shows in (
        ("training data", "dataset: "),
        ("write", "write: "),
        ("traces of this run", "Trace ID"),
    ):
        page.click(word)
        page.wait_for(shows)
    for word in (_TRACE, "attempt 1"):
        page.click(word)
    page.wait_for("sampling")  # only the page of a call shows it
    page.picture(tmp_path / "paragraph.png")
    shown = _words(page.text())
    drafts = finished.rows("data/write/drafts.jsonl")
    assert any(_words(text) in shown for draft in drafts for text in draft["paragraphs"])
    assert "paragraph 1 of" in shown


def test_from_the_registered_model_over_a_row_of_its_data_to_the_prompt_and_answer_of_a_paragraph(
    page: clicks.Page, finished: Workspace
) -> None:
    for word in ("training data", "table of rows", "trace", "attempt 1"):
        page.click(word)
    page.wait_for("sampling")  # only the page of a call shows it
    shown = _words(page.text())
    assert any(
        _words(text) in shown
        for draft in finished.rows("data/write/drafts.jsonl")
        for text in draft["paragraphs"]
    )
