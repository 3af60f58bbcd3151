"""The parts of a report about types, languages, lengths, and the texts themselves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from longwriter.amounts import amount
from longwriter.comparison.comparison import Comparison
from longwriter.comparison.groups import by_prompt
from longwriter.evaluation.measures.summary import Measured
from longwriter.records import Score
from longwriter.report.phrases import score, share, table
from longwriter.statistics import intervals
from longwriter.text import inert


def sections(compared: Comparison, measured: Mapping[str, Measured]) -> str:
    """Return the sections; `measured` holds the measures of each model of `compared`."""
    parts = [
        _kinds(compared, "## Length score by type", lambda row: row.type),
        _kinds(compared, "## Length score by language", lambda row: row.language),
        _ruler(compared, measured),
        _lengths(compared, measured),
        _texts(compared, measured),
    ]
    return "\n\n".join(part for part in parts if part)


def _kinds(compared: Comparison, heading: str, kind: Callable[[Score], str]) -> str:
    """Return the mean S_l of each model for each kind of prompt; nothing if there is one kind only."""
    kinds = sorted({kind(row) for rows in compared.rows.values() for row in rows})
    if len(kinds) < 2:
        return ""
    lines = [["", *(f"{compared.title(model)} S_l" for model in compared.labels)]]
    for name in kinds:
        cells = [inert.markdown(name)]
        for rows in compared.rows.values():
            groups = by_prompt([row for row in rows if kind(row) == name], lambda row: row.length_score)
            estimate = intervals.mean_interval(list(groups.values()), compared.method.confidence)
            cells.append(f"{score(estimate)}, n = {estimate.n}" if estimate else "-")
        lines.append(cells)
    return f"{heading}\n\n{table(lines)}"


def _ruler(compared: Comparison, measured: Mapping[str, Measured]) -> str:
    rulers = {model: item.ruler for model, item in measured.items() if item.ruler}
    if not rulers:
        return ""
    sentences = []
    for model, ruler in rulers.items():
        maximum = ruler.maximum
        bound = "" if ruler.is_reached else "; the curve does not bend below the largest level: at least this"
        sentences.append(
            f"- {compared.title(model)}: **maximum output length {amount(round(maximum.value), 'word')}**"
            f"{maximum.bounds(',.0f')}, n = {maximum.n}{bound}."
        )
    levels = sorted({level.required for ruler in rulers.values() for level in ruler.levels})
    lines = [["words asked for", *(f"{compared.title(model)}: mean words" for model in rulers)]]
    for required in levels:
        cells = [f"{required:,}"]
        for ruler in rulers.values():
            words = next((level.words for level in ruler.levels if level.required == required), None)
            cells.append(f"{score(words, 0)}, n = {words.n}" if words else "-")
        lines.append(cells)
    return "\n\n".join(
        [
            "## Length written at each length asked for",
            "\n".join(sentences),
            "The maximum output length is where the curve bends: up to there answers grow with the length asked "
            "for, above it they do not get longer. It is fitted to logarithms; the interval comes from a bootstrap "
            "over the prompts of each level.",
            table(lines),
        ]
    )


def _lengths(compared: Comparison, measured: Mapping[str, Measured]) -> str:
    thought = any(item.thinking for item in measured.values())
    head = ["thinking (mean words, not counted)"] if thought else []
    lines = [["", "MLA", "LVC", "longest answer (words)", *head]]
    for model, item in measured.items():
        volatility = "one answer a prompt" if item.volatility is None else f"{item.volatility:.3f}"
        thinking = [f"{item.thinking:,.0f}"] if thought else []
        lines.append(
            [compared.title(model), score(item.accuracy), volatility, f"{item.longest:,}", *thinking]
        )
    return "\n\n".join(
        [
            "## Lengths",
            "MLA, mean length accuracy: 100 minus the percentage by which the length is off, at least 0. LVC, length "
            "volatility: standard deviation over mean of the lengths of answers to the same prompt, averaged over "
            "prompts.",
            table(lines),
        ]
    )


def _texts(compared: Comparison, measured: Mapping[str, Measured]) -> str:
    ns = sorted({n for item in measured.values() for n in item.distinct})
    if not ns:
        return ""
    head = ["", *(f"distinct-{n}" for n in ns), "beyond Gopher's limits", "redundancy"]
    is_judged = any(item.quality_along for item in measured.values())
    parts = ["S_q of the parts"] if is_judged else []
    lines = [[*head, "repeated: first tenth", "middle", "last tenth", *parts]]
    for model, item in measured.items():
        along = item.repetition_along
        places = [f"{along[at]:.1%}" for at in (0, len(along) // 2, -1)] if along else ["-"] * 3
        quality = " ".join(f"{value:.0f}" for value in item.quality_along) or "-"
        lines.append(
            [
                compared.title(model),
                *(f"{item.distinct[n]:.3f}" if n in item.distinct else "-" for n in ns),
                share(item.beyond_gopher),
                score(item.redundancy),
                *places,
                *([quality] if is_judged else []),
            ]
        )
    return "\n\n".join(
        [
            "## Texts",
            "distinct-n: share of different n-grams of a text (lower for longer texts). Beyond Gopher's limits: "
            "answers with more duplicate lines, paragraphs or n-grams than Gopher's filters allow "
            "(arXiv:2112.11446). Redundancy: the largest percentage of a section's 3-grams that another section of "
            "the text holds too. Repeated: 5-grams of this tenth of the text that occurred earlier in it.",
            table(lines),
        ]
    )
