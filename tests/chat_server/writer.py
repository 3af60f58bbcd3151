"""Answers of the scripted model: a text, a plan, or a JSON value, drawn from the request alone.

The model honours schema, seed, temperature, stop words, repetition penalty and max_tokens, so that the
client's probe finds a capable endpoint. Only a request without a seed, at a temperature above 0, gets a new
answer each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from typing import Any

_WORDS = {
    "A": "old quiet green narrow patient silver early distant broken gentle wooden bright hollow careful northern "
    "forgotten heavy simple restless amber crooked faithful humble salty velvet",
    "N": "river teacher garden lantern harbour bakery orchard letter bridge painter kitchen valley clock market "
    "sailor library window mountain carpenter festival engine village neighbour meadow compass doctor island "
    "station blanket forest",
    "V": "remembers follows repairs studies welcomes carries paints measures visits protects describes questions "
    "gathers borrows answers crosses hides restores weighs admires",
    "P": "beyond beside under near behind above across inside around along",
    "D": "slowly warmly twice again quietly together gladly alone carefully somehow tonight outside",
    "C": "because while although until since whenever unless before",
    "Q": "every one another this that each some the",
}
_WORD_LISTS = {kind: words.split() for kind, words in _WORDS.items()}
_SENTENCES = (
    "Q A N V Q N P Q A N",
    "C Q N V Q A N , Q N V D",
    "P Q A N Q N V Q N D",
    "Q N P Q N V Q A N C Q N V Q N",
    "D , Q A N V Q A N and Q N V P Q N",
    "Q N V Q N , and Q A N V D P Q N",
)


def sentence(rng: random.Random, used: set[str]) -> str:
    """Return one sentence; words in `used` (a repetition penalty's memory) are avoided."""
    words: list[str] = []
    for slot in rng.choice(_SENTENCES).split():
        choices = _WORD_LISTS.get(slot, [slot])
        fresh = [word for word in choices if word not in used] or choices
        words.append(rng.choice(fresh))
        if slot in "ANV":
            used.add(words[-1])
            if len(used) > 24:
                used.clear()
    text = " ".join(words).replace(" ,", ",")
    return text[0].upper() + text[1:] + "."


def prose(rng: random.Random, words: int, penalty: float) -> str:
    """Return sentences of about `words` words together."""
    used: set[str] | None = set() if penalty > 1 else None
    parts: list[str] = []
    count = 0
    while count < words:
        parts.append(sentence(rng, set() if used is None else used))
        count += len(parts[-1].split())
    return " ".join(parts)


def instance(schema: dict[str, Any], rng: random.Random) -> Any:
    """Return a value that satisfies a JSON schema (the part of the language that plans use)."""
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return instance(schema[union][0], rng)
    kind = schema.get("type", "object")
    if kind == "object":
        return {key: instance(inner, rng) for key, inner in schema.get("properties", {}).items()}
    if kind == "array":
        low = schema.get("minItems", 1)
        count = rng.randint(low, min(schema.get("maxItems", low + 2), low + 2))
        return [instance(schema.get("items", {"type": "string"}), rng) for _ in range(count)]
    if kind == "integer":
        low = schema.get("minimum", 0)
        return rng.randint(low, schema.get("maximum", low + 100))
    if kind == "number":
        low = schema.get("minimum", 0.0)
        return rng.uniform(low, schema.get("maximum", low + 1))
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "null":
        return None
    text = sentence(rng, set())
    while len(text) < schema.get("minLength", 0):
        text += " " + sentence(rng, set())
    return text[: schema.get("maxLength", len(text))].strip()


def kind_of(prompt: str) -> str:
    """Return what a request is for: `plan`, `write`, or `probe` (any other: the client tests the endpoint)."""
    if re.search(r"\bWrite paragraph \d+ of \d+|\bNow write paragraph", prompt):
        return "write"
    if re.search(r"Plan this text first|Answer with one line for each paragraph", prompt):
        return "plan"
    return "probe"


def answer(body: dict[str, Any]) -> tuple[str, str]:
    """Return (text, finish reason) of a request."""
    prompt = str(body["messages"][-1]["content"])
    temperature = float(body.get("temperature", 1.0))
    penalty = float(body.get("repetition_penalty") or 1.0)
    draw = "cold" if temperature == 0 else body.get("seed", os.urandom(8).hex())
    rng = random.Random(hashlib.sha256(f"{prompt}|{draw}|{penalty}".encode()).digest())
    response_format = body.get("response_format", {})
    if response_format.get("type") == "json_schema":
        text = json.dumps(instance(response_format["json_schema"]["schema"], rng))
    elif kind_of(prompt) == "plan":
        min_steps, max_steps, min_words, max_words = _plan_bounds(prompt)
        text = "\n".join(
            f"Paragraph {i} - Main Point: {sentence(rng, set())} "
            f"- Word Count: {rng.randint(min_words, max_words)} words"
            for i in range(1, rng.randint(min_steps, max_steps) + 1)
        )
    else:
        lengths = re.findall(r"about (\d[\d,]*) words", prompt)
        text = prose(rng, int(lengths[-1].replace(",", "")) if lengths else 60, penalty)
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    tokens = re.findall(r"\s*\S+", text)
    limit = int(body.get("max_tokens") or body.get("max_completion_tokens") or len(tokens))
    return ("".join(tokens[:limit]), "length") if len(tokens) > limit else (text, "stop")


def _plan_bounds(prompt: str) -> tuple[int, int, int, int]:
    """Return the steps and the words a step that a planning prompt allows: (least, most, least, most)."""
    steps = re.search(r"(\d+) to (\d+) (?:different main points|paragraphs)", prompt)
    words = re.search(r"of (\d+) to (\d+) words|have (\d+) to (\d+) words", prompt)
    min_words, max_words = [int(number) for number in words.groups() if number] if words else (60, 100)
    min_steps, max_steps = (int(steps[1]), int(steps[2])) if steps else (3, 3)
    return min_steps, max_steps, min_words, max_words
