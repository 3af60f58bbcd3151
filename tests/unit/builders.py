"""Small records that tests share."""

from longwriter.hashing import content_hash
from longwriter.records import Draft, Example, Instruction, Message, Plan, PlanStep

WORDS = [
    "river",
    "stone",
    "window",
    "garden",
    "letter",
    "morning",
    "bridge",
    "lantern",
    "kitchen",
    "harbour",
    "market",
    "winter",
    "orchard",
    "teacher",
    "journey",
    "village",
    "forest",
    "painter",
    "engine",
    "summer",
]


def instruction(prompt="Write a story.", required_words=None, **fields):
    base = {
        "instruction_id": content_hash(prompt)[:16],
        "prompt": prompt,
        "type": "Literature and Creative Writing",
        "language": "en",
        "required_words": required_words,
        "origin": "seeds.jsonl:1",
    }
    return Instruction(**{**base, **fields})


def prose(words, key=0):
    """Return prose of exactly so many words whose 5-grams do not repeat."""
    picks = []
    for i in range(words):
        picks.append(WORDS[int(content_hash([key, i])[:8], 16) % len(WORDS)])
    return " ".join(picks).capitalize() + "."


def draft(paragraphs, prompt="Write a story.", **fields):
    steps = [PlanStep(main_point=f"point {i}", word_count=60) for i, _ in enumerate(paragraphs)]
    plan = Plan(instruction=instruction(prompt, **fields), steps=steps, call_ids=["p"])
    return Draft(plan=plan, paragraphs=list(paragraphs), call_ids=["w"] * len(paragraphs))


def example(key, words=150, answer=None, **fields):
    answer = prose(words, key) if answer is None else answer
    base = {
        "sample_id": f"s{key}",
        "instruction_id": f"i{key}",
        "kind": "agentwrite",
        "language": "en",
        "type": "News Report",
        "messages": [
            Message(role="user", content=f"Write about {words} words on {key}."),
            Message(role="assistant", content=answer),
        ],
        "required_words": words,
        "words": words,
        "call_ids": ["c"],
    }
    return Example(**{**base, **fields})
