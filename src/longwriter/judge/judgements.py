"""The judge's question about a text's quality (S_q), the format of its answer, and how the answer is read.

Pure. Six dimensions are scored from 1 to 5, as in LongBench-Write. An unreadable answer is `Unscored` with
its reason; the benchmark's own code counts it as 3 in every dimension.
Source: LongWriter (arXiv:2408.07055), section 2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from longwriter.hashing import short_id
from longwriter.records import Unscored
from longwriter.talk.refusals import refused_by_rules
from longwriter.text.basics.counting import encodable
from longwriter.text.basics.prompts import EVIDENCE_CHARS, framed

DIMENSIONS = ("Relevance", "Accuracy", "Coherence", "Clarity", "Breadth and Depth", "Reading Experience")
_LOWEST = 1
_HIGHEST = 5
_THINKING = re.compile(r"\A\s*<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_OPENING = 300  # characters of an answer in which a judge refuses
_NO = (
    r"\b(?:i|we)(?: am|[’']m| are|[’']re| do|[’']d| would|[’']ll| will| must| have to)?(?: \w+)? ?"
    r"(?:(?:ca|wo)n[’']t|cannot|can not|not|unable|refuse|decline|rather not|uncomfortable|n[’']t)\b"
)
_JUDGE = r"(?:evaluat|scor(?:e|ing)|rat(?:e|ing)|choos|pick|decid|judg|grad(?:e|ing)|assess|compar(?:e|ing)|review)"
_REFUSES = re.compile(
    rf"{_NO}(?: (?!because|that|think|see|find|know|read)[\w’']+){{0,5}} {_JUDGE}"
    r"|(?:无法|不能|不会|拒绝|不便|不予)[^。！？，；]{0,20}(?:评[价分估判定]|打分|比较|判断)"
    r"|\bne (?:peux|puis|pourrai) pas (?:évaluer|noter|juger|comparer)"
    r"|\bkann [^.!?]{0,60}nicht (?:bewerten|beurteilen|benoten|vergleichen)"
    r"|\bno puedo (?:evaluar|calificar|puntuar|juzgar|comparar)",
    re.IGNORECASE,
)
"""A judge that refuses to judge; `refused_by_rules` finds the other refusals."""
_MOST_BRACES = 100  # places at which an object is looked for; each try may read the rest of the answer


class Verdict(NamedTuple):
    """A readable answer of a judge: its analysis, and an integer from 1 to 5 for each dimension."""

    analysis: str
    dimensions: dict[str, int]


class Question(NamedTuple):
    """A text to judge, and the instruction that it answers; another `repeat` gives another judgement."""

    instruction: str
    text: str
    repeat: int = 0


def judge_prompt(template: str, instruction: str, text: str) -> str:
    """Return the judge's prompt for one text.

    Instruction and text are fenced as `framed` does, so that they cannot act as instructions to the judge.

    Raises:
        BadParams: the template lacks a field.
    """
    return framed(template, "score.prompt or preferences.judge.prompt", instruction=instruction, text=text)


def judgement_schema() -> dict[str, Any]:
    """Return the JSON schema of a judge's answer: the analysis first, then one integer per dimension."""
    scores = {name: {"type": "integer", "enum": list(range(_LOWEST, _HIGHEST + 1))} for name in DIMENSIONS}
    return {
        "type": "object",
        "properties": {"analysis": {"type": "string"}, **scores},
        "required": ["analysis", *DIMENSIONS],
        "additionalProperties": False,
    }


def judge_name(
    model: str, endpoint: str, template: str, fields: Mapping[str, Any], served: str | None = None
) -> str:
    """Return what identifies a judge: scores of judges with different names cannot be compared.

    Args:
        model: The model; for a local engine with the digest of its weights.
        endpoint: Scheme, host and port; empty for a local engine.
        template: Text of the prompt template.
        fields: Whatever else decides its answers, such as the sampling.
        served: The model that answered, as the server calls it; None = unknown.

    Returns:
        Model and endpoint, and a hash of these, prompt, schema and fields; also the served model if it is called
        otherwise.
    """
    identity = [model, endpoint, template, judgement_schema(), dict(fields)]
    if served not in (None, model):
        identity.append(served)
        model = f"{model} (served as {served})"
    mark = short_id(identity)
    return f"{model} at {endpoint} #{mark}" if endpoint else f"{model} #{mark}"


def parse_judgement(answer: str) -> Verdict | Unscored:
    """Return the verdict in a judge's answer, or why it is unreadable; never raises.

    The answer must hold one JSON object with the scores: alone, in a code fence of any kind, between prose, or
    after thinking. Raw line ends in its texts and a capital in `Analysis` (as in LongBench-Write's own prompt)
    do not matter. Nothing is guessed, rounded or filled in.

    Returns:
        A Verdict; or Unscored with reason `refusal`, `no_json`, `ambiguous` (a key or the scores occur twice),
        `missing_analysis`, `missing_dimension`, `not_an_integer` or `out_of_range`.
    """
    values = object_in(answer, DIMENSIONS)
    if isinstance(values, str):
        return unreadable(values, answer)
    analysis = values.get("analysis", values.get("Analysis"))
    if not isinstance(analysis, str) or not analysis.strip():
        return unreadable("missing_analysis", answer)
    for name in DIMENSIONS:
        if name not in values:
            return unreadable("missing_dimension", f"{name}: {answer}")
        if type(values[name]) is not int:
            return unreadable("not_an_integer", f"{name}: {answer}")
        if not _LOWEST <= values[name] <= _HIGHEST:
            return unreadable("out_of_range", f"{name}: {answer}")
    return Verdict(encodable(analysis.strip()), {name: values[name] for name in DIMENSIONS})


def quality_score(dimensions: Mapping[str, float]) -> float:
    """Return S_q in [0, 100]: the mean over the six dimensions of (score - 1) * 25.

    Source: LongWriter (arXiv:2408.07055), section 2; all 1 gives 0, all 3 gives 50, all 5 gives 100.

    Raises:
        ValueError: a dimension is missing, or its score is not from 1 to 5.
    """
    if set(dimensions) != set(DIMENSIONS):
        raise ValueError(f"dimensions {sorted(dimensions)} must be {sorted(DIMENSIONS)}")
    if not all(_LOWEST <= score <= _HIGHEST for score in dimensions.values()):
        raise ValueError(f"scores {dict(dimensions)} must be from {_LOWEST} to {_HIGHEST}")
    return sum((score - 1) * 25 for score in dimensions.values()) / len(DIMENSIONS)


def object_in(answer: str, keys: Collection[str]) -> dict[str, Any] | str:
    """Return the JSON object with one of `keys` in an answer, or why there is not exactly one.

    The reason is `refusal`, `no_json` or `ambiguous`. A single object without the keys is returned too.
    """
    text = _THINKING.sub("", answer.removeprefix("\ufeff"))
    with_repeats: list[dict[str, Any]] = []

    def to_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len({key.lower() for key in values}) < len(pairs):
            with_repeats.append(values)
        return values

    decoder = json.JSONDecoder(object_pairs_hook=to_dict, strict=False)
    objects: list[dict[str, Any]] = []
    place = text.find("{")
    for _ in range(_MOST_BRACES):
        if place < 0:
            break
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            objects.append(value)
        place = text.find("{", end)
    with_keys = [value for value in objects if not value.keys().isdisjoint(keys)]
    if not with_keys and (_REFUSES.search(text[:_OPENING]) or refused_by_rules(text)):
        return "refusal"
    fitting = with_keys or objects
    if not fitting:
        return "no_json"
    return "ambiguous" if len(fitting) > 1 or any(fitting[0] is item for item in with_repeats) else fitting[0]


def unreadable(reason: str, detail: str) -> Unscored:
    """Return an unreadable answer with its reason; `detail` is cut to what is kept as evidence."""
    return Unscored(reason=reason, detail=encodable(detail[:EVIDENCE_CHARS]))
