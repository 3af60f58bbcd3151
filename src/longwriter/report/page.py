"""A report as one HTML page that needs no other file: the Markdown, figures, answers side by side, and sources.

Every text is escaped, by markdown-it or by Jinja. The page has no script, and its policy lets a browser load nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, StrictUndefined
from markdown_it import MarkdownIt

from longwriter.amounts import amount
from longwriter.comparison.comparison import Comparison
from longwriter.records import Generation, Judgement, Score
from longwriter.text import inert

_TEMPLATE = Path(__file__).with_name("page.html.jinja")
_SHOWN = 3  # prompts at each end


class Answer(NamedTuple):
    """One model's answer, and its scores in words."""

    model: str
    result: str
    text: str


class Example(NamedTuple):
    """A prompt with the answers of all models."""

    heading: str
    prompt: str
    answers: list[Answer]


class Fact(NamedTuple):
    """A source of the numbers, such as a run or a digest; `url` leads to it, where there is one."""

    name: str
    value: str
    url: str | None = None


def page(
    benchmark: str,
    markdown: str,
    figures: Path,
    *,
    subject: str,
    examples: Sequence[Example],
    facts: Sequence[Fact],
) -> str:
    """Return the page.

    Args:
        benchmark: Name of the benchmark.
        markdown: The report; its figures are named relative to the folder above `figures`.
        figures: Folder of the figures, which become part of the page.
        subject: Label of the model whose scores select the examples.
        examples: Answers side by side.
        facts: Runs, decoding, digests, commit.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        benchmark=benchmark,
        report=_html(markdown, figures),
        subject=subject,
        examples=examples,
        facts=facts,
    )


def examples(compared: Comparison, answers: Mapping[str, Sequence[Generation]]) -> list[Example]:
    """Return the prompts with the lowest and the highest length scores of the first model that is compared.

    Args:
        compared: The comparison.
        answers: {model: its answers}; the first answer of each model to a prompt is shown.
    """
    first = subject(compared)
    rows_of_first = _first_by_prompt(compared.rows[first]).values()
    ordered = sorted(rows_of_first, key=lambda row: -1.0 if row.length_score is None else row.length_score)
    lowest = ordered[:_SHOWN]
    highest = ordered[max(_SHOWN, len(ordered) - _SHOWN) :][::-1]
    texts = {row.generation_id: row for rows in answers.values() for row in rows}
    return [
        _example(_heading(kind, compared.heading(first), row), row, compared, texts)
        for kind, rows in (("Low length score", lowest), ("High length score", highest))
        for row in rows
        if row.generation_id in texts
    ]


def _heading(kind: str, model: str, row: Score) -> str:
    if row.length_score is None:
        return "A prompt that asks for no length"
    return f"{kind} of {model}: {row.length_score:.1f}"


def subject(compared: Comparison) -> str:
    """Return the model whose scores select the examples: the first one that is compared with another."""
    return next(iter(compared.differences))[0] if compared.differences else next(iter(compared.labels))


def _example(heading: str, row: Score, compared: Comparison, texts: Mapping[str, Generation]) -> Example:
    answers = []
    for model, rows in compared.rows.items():
        own = _first_by_prompt(rows).get(row.prompt_id)
        if own is None or own.generation_id not in texts:
            continue
        if isinstance(own.quality, Judgement):
            quality = [f"S_q {own.quality.quality_score:.1f}"]
        else:
            quality = [] if own.quality.reason == "no_judge" else [f"no S_q ({own.quality.reason})"]
        traits = [
            *(
                [amount(own.words, "word")]
                if own.required_words is None or own.length_score is None
                else [f"{own.words:,} of {own.required_words:,} words", f"S_l {own.length_score:.1f}"]
            ),
            *quality,
            "ended by itself" if own.ended else "cut, or end unknown",
            *(["loop"] if own.loop else []),
            *(["refusal"] if own.refusal else []),
        ]
        text = texts[own.generation_id].text
        answers.append(Answer(compared.title(model), ", ".join(traits), inert.terminal(text)))
    return Example(heading, inert.terminal(texts[row.generation_id].prompt), answers)


def _first_by_prompt(rows: Sequence[Score]) -> dict[str, Score]:
    first: dict[str, Score] = {}
    for row in rows:
        first.setdefault(row.prompt_id, row)
    return first


def _html(markdown: str, figures: Path) -> str:
    """Return Markdown as HTML, with its figures in it; HTML in the Markdown stays text."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    for token in tokens:
        for child in token.children or ():
            if child.type == "image":
                file = figures.parent / str(child.attrs["src"])
                content = file.read_bytes() if file.parent == figures and file.is_file() else b""
                child.attrs["src"] = "data:image/png;base64," + base64.b64encode(content).decode()
    return str(parser.renderer.render(tokens, parser.options, {}))
