"""The list of withdrawn rows."""

import pytest

from longwriter.errors import BadRecord
from longwriter.exclusions import withdrawn

FIRST, SECOND = "0123456789abcdef", "f" * 16


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    withdrawn.FILE.parent.mkdir(parents=True)
    withdrawn.FILE.write_text(f"# a comment\n\n{FIRST} # asked by the author, 3 May")


def test_ids_are_read_without_comments_and_added_once():
    assert withdrawn.read() == {FIRST}
    assert withdrawn.add([SECOND, FIRST]) == [SECOND]
    assert withdrawn.add([SECOND]) == []
    assert withdrawn.FILE.read_text().splitlines()[2:] == [f"{FIRST} # asked by the author, 3 May", SECOND]


def test_a_comment_may_be_in_another_encoding_and_stays_as_it_is():
    withdrawn.FILE.write_bytes(f"# asked by M\u00fcller\n{FIRST}\n".encode("latin-1"))
    assert withdrawn.add([SECOND]) == [SECOND]
    assert withdrawn.read() == {FIRST, SECOND}
    assert withdrawn.FILE.read_bytes().startswith(b"# asked by M\xfcller\n")


@pytest.mark.parametrize("line", ["\x00", "0123", "0123456789ABCDEF", f"{FIRST} {SECOND}", "'; rm -rf /"])
def test_a_line_that_is_no_id_is_named(line):
    withdrawn.FILE.write_text(f"{FIRST}\n{line}\n")
    with pytest.raises(BadRecord, match=r"withdrawn.txt:2: found .* allowed: an id of 16 hex digits"):
        withdrawn.read()
