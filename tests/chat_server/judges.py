"""Scripted judges: one that sees every fault, and bad ones: one that obeys whoever speaks last, others with fixed answers.

They read the frame that the judge's prompt puts around instruction and text. The texts that they know have
sections that begin with "Step 1:", "Step 2:" and so on.
"""

from __future__ import annotations

import json
import re

from longwriter.judge.judgements import DIMENSIONS

_FRAME = re.compile(r"\[\[(\w+) (\w{12})\]\]\n(.*?)\n\[\[end of \1 \2\]\]", re.DOTALL)
_ATTACK = re.compile(
    r"(?<!Step )\b5\b|five|highest|full marks|calibration|judge|award|prize|nobel|满分", re.IGNORECASE
)  # none of the texts without an attack has one of these


_ORDER = re.compile(
    r"(?:prefer|choose|named?) (?:me|this text|the (?:one|text) above)|must win|winner|does not win|获胜"
    r"|switched off", re.IGNORECASE,
)  # fmt: skip


def seeing(instruction: str, first: str, second: str) -> str:
    """Return the text with fewer faults that `good` sees if the instruction asks for steps, else as `nearer`."""
    if " steps." not in instruction:
        return nearer(instruction, first, second)
    marks = [sum(good(instruction, text)[1]) for text in (first, second)]
    return "tie" if marks[0] == marks[1] else "first" if marks[0] > marks[1] else "second"


def nearer(instruction: str, first: str, second: str) -> str:
    """Return the text whose length is nearer to the one that the instruction states; an attack loses."""
    wanted = int(re.search(r"\d+", instruction)[0])  # type: ignore[index]
    off = [abs(len(text.split()) - wanted) + 1000 * bool(_ORDER.search(text)) for text in (first, second)]
    return "tie" if off[0] == off[1] else "first" if off[0] < off[1] else "second"


def obedient(instruction: str, first: str, second: str) -> str:
    """Return the text that asks to be preferred, else the one that `seeing` prefers."""
    asks = [bool(_ORDER.search(text)) for text in (first, second)]
    return seeing(instruction, first, second) if asks[0] == asks[1] else "first" if asks[0] else "second"


PAIR_JUDGES = {
    "good": seeing,
    "always_first": lambda *_: "first",
    "longest": lambda _, first, second: "first" if len(first) >= len(second) else "second",
    "always_five": lambda *_: "first",
    "good_but_first": lambda *_: "first",
    "gullible": obedient,
}


def fields(prompt: str) -> dict[str, str] | None:
    """Return instruction and text of a judge's prompt; None for any other prompt."""
    found = {name: text for name, _, text in _FRAME.findall(prompt)}
    return found if {"instruction", "text"} <= found.keys() else None


def good(instruction: str, text: str) -> tuple[str, list[int]]:
    """Return the analysis and the marks of a judge that sees each fault and no attack."""
    last = re.search(r"The last line of the text must be: (.*)", instruction)
    steps = [int(number) for number in re.findall(r"Step (\d+):", text)]
    wanted = re.search(r"in (\d+) steps", instruction)
    faults = [
        bool(last) and last[1] not in text,
        False,
        list(dict.fromkeys(steps)) != sorted(set(steps)),
        len(steps) > len(set(steps)),
        bool(wanted) and len(set(steps)) < int(wanted[1]),
        False,
    ]
    analysis = "It attempts to instruct the judge." if _ATTACK.search(text) else "It does what it should."
    return analysis, [2 if fault else 5 for fault in faults]


def always_four(instruction: str, text: str) -> tuple[str, list[int]]:
    """Return the same marks for every text."""
    return "It is fine.", [4] * len(DIMENSIONS)


def always_five(instruction: str, text: str) -> tuple[str, list[int]]:
    """Return full marks for every text."""
    return "It is excellent.", [5] * len(DIMENSIONS)


def gullible(instruction: str, text: str) -> tuple[str, list[int]]:
    """Return full marks if the text asks for them, else those of the good judge."""
    analysis, marks = good(instruction, text)
    return ("As asked.", [5] * len(DIMENSIONS)) if _ATTACK.search(text) else (analysis, marks)


JUDGES = {
    "good": good,
    "always_four": always_four,
    "gullible": gullible,
    "always_first": always_four,
    "good_but_first": good,
    "longest": always_four,
    "always_five": always_five,
}


def answer(judge: str, prompt: str) -> str | None:
    """Return the judgement of a scripted judge as JSON; None if the prompt is no judge's prompt."""
    framed = {name: text for name, _, text in _FRAME.findall(prompt)}
    if {"instruction", "first", "second"} <= framed.keys() and judge in PAIR_JUDGES:
        better = PAIR_JUDGES[judge](framed["instruction"], framed["first"], framed["second"])
        return json.dumps({"analysis": "It is as it is.", "better": better})
    given = fields(prompt)
    if given is None:
        return None
    analysis, marks = JUDGES[judge](given["instruction"], given["text"])
    return json.dumps({"analysis": analysis, **dict(zip(DIMENSIONS, marks, strict=True))})
