import base64
import re
import subprocess
from html.parser import HTMLParser

import pytest

from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.report import page
from longwriter.report.page import Answer, Example, Fact
from tests.flows.browser import CHROMIUM
from tests.unit.comparison.test_comparison import compared, score
from tests.unit.report.test_plots import size

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(1)> {{ 7*7 }} &amp; \x1b[31m'
PNG = b"\x89PNG\r\n\x1a\n-picture"


class _Tags(HTMLParser):
    """Collects the tags of a page, with their attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def made(tmp_path):
    """Return the page of a report and its answers; the report shows one figure."""
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a.png").write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(b"secret")

    def render(markdown="# T\n\n![a](figures/a.png)\n", text="Hello.", facts=()):
        example = Example("Low", text, [Answer(text, text, text)])
        return page.page(text, markdown, tmp_path / "figures", subject=text, examples=[example], facts=facts)

    return render


def test_the_page_needs_nothing_from_outside(made):
    text = made(facts=[Fact("run", "abc", "http://127.0.0.1:5000/#/runs/abc")])
    tags = _Tags(text).tags
    assert {tag for tag, _ in tags}.isdisjoint({"script", "link", "iframe", "object", "embed", "form"})
    assert [attrs["src"] for tag, attrs in tags if "src" in attrs] == [
        f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    ]
    assert ("a", {"href": "http://127.0.0.1:5000/#/runs/abc", "rel": "noreferrer"}) in tags
    assert "default-src 'none'" in text


def test_texts_of_models_and_prompts_are_shown_and_do_nothing(made):
    text = made(text=HOSTILE, facts=[Fact(HOSTILE, HOSTILE)])
    tags = _Tags(text).tags
    assert not [tag for tag, attrs in tags if tag in ("script",) or "onerror" in attrs]
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 8
    assert "{{ 7*7 }}" in text


def test_html_in_the_markdown_stays_text_and_tables_are_tables(made):
    text = made(
        "# T\n\n<script>alert(1)</script>\n\n| a | b |\n|---|---:|\n| <b>x</b> | 1 |\n\n[x](javascript:alert(1))\n"
    )
    tags = [tag for tag, _ in _Tags(text).tags]
    assert "script" not in tags
    assert "b" not in tags
    assert tags.count("table") == 2
    assert 'href="javascript' not in text


@pytest.mark.parametrize(
    "path", ["../secret.png", "secret.png", "figures/../secret.png", "/etc/passwd", "figures/gone.png"]
)
def test_only_figures_of_the_report_become_part_of_the_page(made, path):
    sources = [attrs["src"] for _, attrs in _Tags(made(f"![x]({path})")).tags if "src" in attrs]
    assert sources == ["data:image/png;base64,"]


def test_the_worst_and_the_best_answers_stand_beside_those_of_the_other_models():
    def answers(model, words):
        rows, texts = [], []
        for key, count in enumerate(words):
            prompt = Prompt(f"p{key}", f"Prompt {key}.", "Essay", "en", 100)
            texts.append(
                generation_of(
                    prompt, f"{model} {key} \x1b[31m", finish_reason="stop", max_tokens=9, call_ids=[]
                )
            )
            rows.append(score(key, words=count).model_copy(update={"generation_id": texts[-1].generation_id}))
        return rows, texts

    made = {model: answers(model, words) for model, words in
            {"base_model": [100] * 8, "sft": [50, 60, 70, 80, 90, 95, 98, 100], "dpo": [100] * 8}.items()}  # fmt: skip
    found = compared(*(made[model][0] for model in ("base_model", "sft", "dpo")))
    examples = page.examples(found, {model: texts for model, (_, texts) in made.items()})
    assert [example.prompt for example in examples] == [f"Prompt {key}." for key in (0, 1, 2, 7, 6, 5)]
    assert examples[0].heading == "Low length score of SFT: 50.0"
    assert [answer.model for answer in examples[0].answers] == ["Base model", "SFT", "DPO"]
    assert examples[0].answers[1].text == r"sft 0 \x1b[31m"
    assert examples[0].answers[1].result.startswith("50 of 100 words, S_l 50.0, ended")


def test_few_prompts_are_not_shown_twice():
    rows = [score(k, words=50) for k in range(2)]
    texts = [
        generation_of(
            Prompt(row.prompt_id, "P.", "E", "en", 100), "T", finish_reason="stop", max_tokens=9, call_ids=[]
        )
        for row in rows
    ]
    own = [
        row.model_copy(update={"generation_id": text.generation_id})
        for row, text in zip(rows, texts, strict=True)
    ]
    found = compared(rows, own, rows)
    assert len(page.examples(found, {"sft": texts})) == 2
    assert re.fullmatch(r"sft", page.subject(found))


@pytest.mark.services
def test_a_browser_shows_the_page_and_runs_nothing_of_a_hostile_text(made, tmp_path):
    assert CHROMIUM, "Chromium is missing: apt install chromium"
    marked = HOSTILE.replace("alert(1)", "document.title='broken'")
    path, picture = tmp_path / "report.html", tmp_path / "report.png"
    path.write_text(made(text=marked), encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1280,900"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    shot = [CHROMIUM, *flags, profile, f"--screenshot={picture}", path.as_uri()]
    subprocess.run(shot, check=True, capture_output=True, timeout=300)
    assert size(picture) == (1280, 900)
    dump = [CHROMIUM, *flags, profile, "--dump-dom", path.as_uri()]
    page_text = subprocess.run(dump, check=True, capture_output=True, text=True, timeout=300).stdout
    assert "<title>Benchmark &lt;script&gt;" in page_text
    assert "<title>broken" not in page_text
