from pathlib import Path

import pytest

from longwriter.dataset import licences


@pytest.mark.parametrize(
    ("files", "terms"),
    [
        ({}, licences.NOT_STATED),
        ({"README.md": "# Rows\n\nLicense: CC-BY-4.0\n", "LICENSE": "MIT"}, "CC-BY-4.0 (README.md)"),
        ({"README": "- **licence**: ODC-BY"}, "ODC-BY (README)"),
        ({"README.md": "no terms here", "LICENSE.txt": "\n\n  MIT License\n"}, "MIT License (LICENSE.txt)"),
        ({"LICENSE": ""}, "empty file (LICENSE)"),
        ({"rows.jsonl": "License: x"}, licences.NOT_STATED),
    ],
)
def test_the_terms_of_a_source_stand_beside_its_rows(tmp_path, files, terms):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert licences.licence_of(tmp_path) == terms
    assert licences.licence_of(tmp_path / "rows.jsonl") == terms


@pytest.mark.parametrize("name", ["instructions", "general"])
def test_the_seeds_state_their_terms(name):
    assert licences.licence_of(Path("src/longwriter/seeds") / name) == "Apache-2.0 (README.md)"
