import pytest

from longwriter.gates.instructions import instruction_table
from longwriter.text.language import identify
from tests.unit.builders import instruction


@pytest.mark.parametrize(
    ("prompt", "language", "other"),
    [
        ("Write a story of the sea.", "en", False),
        ("写一个关于海鸥的故事", "zh", False),
        ("写海鸥 seagull gull 2024 2025 2026", "zh", False),  # numbers are no Latin words
        ("Write a story of the sea.", "zh", True),
        ("写一个关于海鸥的故事", "en", True),
    ],
)
def test_a_prompt_in_another_script_is_marked_unless_a_detector_finds_its_language(prompt, language, other):
    [line] = instruction_table([instruction(prompt, language=language)], [])
    assert line["other_script"] is other
    assert (identify(prompt) == language) is not other
