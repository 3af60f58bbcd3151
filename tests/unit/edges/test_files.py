import os
import subprocess
import sys

import pytest

from longwriter.edges import files
from longwriter.errors import BadRecord
from longwriter.records import Rejection, SeedRow

GOOD = '{"prompt": "a", "type": "x", "length": 100, "language": "en"}\n'


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "Invalid JSON"),
        ('{"prompt": "a", "type": "x", "length": "100", "language": "en"}', "length"),
        ('{"prompt": " ", "type": "x", "language": "en"}', "prompt"),
        ('{"prompt": "a", "type": "x", "language": "fr"}', "language"),
        ("[]", "object"),
        ('{"prompt": "\udcff"}', ""),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(in_tmp, bad, why):
    file = in_tmp / "rows.jsonl"
    file.write_bytes((GOOD + "\n" + bad + "\n").encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRecord, match=rf"rows\.jsonl:3 is no SeedRow: .*{why}"):
        files.read_jsonl(file, SeedRow)
    assert [isinstance(row, str) for _, row in files.scan_jsonl(file, SeedRow)] == [False, True]


def test_more_malformed_rows_than_allowed_stop_with_the_first():
    bad = [Rejection(row_id="f:1", stage="instructions", reason="malformed", detail="Invalid JSON")]
    files.check_malformed(bad, 10, 0.1, "f")
    with pytest.raises(BadRecord, match=r"1 of 10 .*f:1: Invalid JSON"):
        files.check_malformed(bad, 10, 0.05, "f")


def test_a_folder_without_a_matching_file_is_told(in_tmp):
    with pytest.raises(BadRecord, match="no file matches"):
        list(files.scan_folder(in_tmp, "*.jsonl", SeedRow))


def test_a_failed_block_leaves_the_old_folder(in_tmp):
    target = in_tmp / "data" / "plan"
    with files.published(target) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), files.published(target) as folder:
        (folder / "a").write_text("new")
        raise RuntimeError
    assert (target / "a").read_text() == "old"


def test_what_a_killed_writer_left_is_removed_by_the_next(in_tmp):
    code = (
        "import os, signal\nfrom pathlib import Path\nfrom longwriter.edges import files\n"
        "with files.published(Path('data/plan')) as f:\n (f / 'a').write_text('x')\n os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    left = list((in_tmp / ".lw" / "tmp").iterdir())
    assert len(left) == 1
    with files.published(in_tmp / "data" / "plan") as folder:
        (folder / "a").write_text("y")
    assert not list((in_tmp / ".lw" / "tmp").iterdir())


def test_compressed_lines_are_read_back(in_tmp):
    with files.zstd_lines(in_tmp / "x.zst") as out:
        out.write("字\nb\n")
    assert list(files.read_zstd_lines(in_tmp / "x.zst")) == ["字\n", "b\n"]
