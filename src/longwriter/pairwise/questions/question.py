"""The judge's question about two texts, the format of its answer, and how the answer is read. Pure.

Judges prefer the text that they see first, or the one that they see last. So each question is asked in both orders,
and a text wins only if both answers name it; else the two are a tie.
Source: Zheng et al., Judging LLM-as-a-Judge with MT-Bench and Chatbot Arena (arXiv:2306.05685), section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from longwriter.judge.judgements import object_in, unreadable
from longwriter.records import Preference, Unscored
from longwriter.text.basics.counting import encodable
from longwriter.text.basics.prompts import framed

Winner = Literal["first", "second", "tie"]
_WINNERS: tuple[Winner, ...] = ("first", "second", "tie")
_SWAPPED: dict[Winner, Winner] = {"first": "second", "second": "first", "tie": "tie"}


class Pair(NamedTuple):
    """Two texts to compare, and the instruction that they answer."""

    instruction: str
    first: str
    second: str

    def swapped(self) -> Pair:
        """Return the pair in the other order."""
        return Pair(self.instruction, self.second, self.first)


class Choice(NamedTuple):
    """A readable answer of a judge: its analysis, and the better text by its place in the prompt."""

    analysis: str
    better: Winner


def prompt(template: str, pair: Pair) -> str:
    """Return the judge's prompt for two texts, which are fenced as `framed` does.

    Raises:
        BadParams: the template lacks a field.
    """
    return framed(
        template, "pairwise.prompt", instruction=pair.instruction, first=pair.first, second=pair.second
    )


def schema() -> dict[str, Any]:
    """Return the JSON schema of a judge's answer: the analysis first, then the better text."""
    return {
        "type": "object",
        "properties": {
            "analysis": {"type": "string"},
            "better": {"type": "string", "enum": list(_WINNERS)},
        },
        "required": ["analysis", "better"],
        "additionalProperties": False,
    }


def parse(answer: str) -> Choice | Unscored:
    """Return the choice in a judge's answer, or why it is unreadable; never raises.

    Returns:
        A Choice; or Unscored with reason `refusal`, `no_json`, `ambiguous`, `missing_analysis` or `no_choice`.
    """
    values = object_in(answer, ("better",))
    if isinstance(values, str):
        return unreadable(values, answer)
    analysis = values.get("analysis", values.get("Analysis"))
    if not isinstance(analysis, str) or not analysis.strip():
        return unreadable("missing_analysis", answer)
    better = values.get("better")
    for winner in _WINNERS:
        if isinstance(better, str) and better.strip().lower() == winner:
            return Choice(encodable(analysis.strip()), winner)
    return unreadable("no_choice", answer)


def swapped(better: Winner) -> Winner:
    """Return what an answer about the swapped pair says about the pair itself."""
    return _SWAPPED[better]


def preference(orders: Sequence[Sequence[Winner]], judge: str, call_ids: list[str]) -> Preference:
    """Return the result of a pair.

    Args:
        orders: For each judge, the winner if the first text is shown first, and if the second is shown first.
        judge: Names of the judges.
        call_ids: Their calls.

    Returns:
        The preference. Each judge votes for the text that it names in both orders, else for a tie; the text with
        more votes wins.
    """
    votes = [first if first == second else "tie" for first, second in orders]
    lead = votes.count("first") - votes.count("second")
    winner: Winner = "first" if lead > 0 else "second" if lead < 0 else "tie"
    return Preference(winner=winner, orders=[list(pair) for pair in orders], judge=judge, call_ids=call_ids)
