import json

import pytest

from longwriter import params
from longwriter.exclusions import withdrawn
from longwriter.instructions.candidates import select_instructions
from tests.unit.builders import prose

BENCHMARK = "Tell the tale of a lighthouse keeper in about 150 words."
COMMITTED = params.load()
PROMPTS = [
    "Write 200 words on " + prose(12, 1),
    "Write 200 words on " + prose(12, 1).upper(),
    "Explain " + prose(12, 2),
    "Write 9,000 words on " + prose(12, 3),
    BENCHMARK.lower(),
    "A poem, please.",
]


@pytest.fixture
def made(tmp_path):
    """Return parameters whose sources and benchmarks are in a folder of their own, with changes."""
    for name, prompts in (("source/a.jsonl", PROMPTS), ("benchmarks/b.jsonl", [BENCHMARK])):
        (tmp_path / name).parent.mkdir(parents=True)
        rows = [json.dumps({"prompt": prompt, "language": "en"}) for prompt in prompts]
        (tmp_path / name).write_text("\n".join(rows))

    def changed(**values):
        values = {"source": str(tmp_path / "source"), **values}
        return COMMITTED.model_copy(
            update={
                "instructions": COMMITTED.instructions.model_copy(update=values),
                "generate": COMMITTED.generate.model_copy(
                    update={"folder": str(tmp_path / "benchmarks"), "benchmarks": ["b"]}
                ),
            }
        )

    return changed


def numbers(rows):
    """Return the lines of the source that were chosen."""
    return sorted(int(row.origin.rpartition(":")[2]) for row in rows)


def test_what_is_chosen_repeats_nothing_is_in_reach_and_has_enough_words(made):
    assert numbers(select_instructions(made())) in ([1, 3], [2, 3])
    assert numbers(select_instructions(made(near_duplicate=1.0, max_required_words=9000)))[-2:] == [3, 4]


def test_prompts_without_a_length_are_chosen_where_a_judge_would_be_asked_and_not_where_they_are_dropped(
    made,
):
    assert 3 in numbers(select_instructions(made(unstated="judge")))
    assert 3 not in numbers(select_instructions(made(unstated="drop")))


def test_a_near_duplicate_of_a_withdrawn_row_does_not_take_its_place(made, tmp_path, monkeypatch):
    parameters = made()
    chosen = select_instructions(parameters)
    [pair_row] = [row for row in chosen if row.required_words == 200]
    monkeypatch.setattr(withdrawn, "FILE", tmp_path / "withdrawn.txt")
    withdrawn.FILE.write_text(f"# asked by the author\n{pair_row.instruction_id}\n")
    assert numbers(select_instructions(parameters)) == [3]


def test_no_more_than_the_limit_is_chosen(made):
    assert len(select_instructions(made(limit=1))) == 1
