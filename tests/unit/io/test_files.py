import json
import os
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from pydantic import BaseModel

from longwriter.errors import BadRecord
from longwriter.io import files, packs
from longwriter.records import BenchmarkRow, Check, Instruction, PlanStep, Rejection
from tests.unit.builders import instruction


class Counted(BaseModel):
    n: int


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
        ('{"prompt": " ", "type": "x", "length": 1}', "prompt"),
        ('{"prompt": "a", "type": "x", "length": 0}', "length"),
        ("[]", "object"),
        ('{"prompt": "\udcff"}', ""),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(in_tmp, bad, why):
    file = in_tmp / "rows.jsonl"
    file.write_bytes((GOOD + "\n" + bad + "\n").encode("utf-8", "surrogateescape"))
    with pytest.raises(BadRecord, match=rf"rows\.jsonl:3 is not a valid BenchmarkRow: .*{why}"):
        files.read_jsonl(file, BenchmarkRow)
    assert [isinstance(row, str) for _, row in files.scan_jsonl(file, BenchmarkRow)] == [False, True]


@pytest.mark.parametrize(
    ("record", "row", "problem"),
    [
        (BenchmarkRow, {"prompt": "a"}, "type is missing (domain1 is read too); allowed: a text"),
        (BenchmarkRow, {"prompt": "", "type": "t"}, "prompt: found ''; allowed: a text that is not empty"),
        (BenchmarkRow, {"query": 3, "type": "t"}, "query: found 3; allowed: a text"),
        (
            BenchmarkRow,
            {"prompt": "a", "type": "t", "length": "100"},
            "length: found '100'; allowed: a whole number at least 1, or null",
        ),
        (BenchmarkRow, [], "found a list of 0; allowed: an object with the fields prompt, type, length"),
        (
            Check,
            {"lines": 1, "line": 2},
            "line is a field that does not exist; allowed: one_of, exact, regex, ",
        ),
        (Check, {}, "a check states one of one_of, exact, regex, "),
    ],
)
def test_a_bad_row_is_told_with_its_field_and_what_is_allowed(in_tmp, record, row, problem):
    (in_tmp / "rows.jsonl").write_text(json.dumps(row))
    with pytest.raises(BadRecord) as error:
        files.read_jsonl(in_tmp / "rows.jsonl", record)
    assert str(error.value).startswith(f"{in_tmp}/rows.jsonl:1 is not a valid {record.__name__}: {problem}")


def test_more_malformed_rows_than_allowed_stop_with_the_first():
    first = "f:1: Invalid JSON"
    files.check_malformed(1, 10, 0.1, "f", first)
    with pytest.raises(BadRecord, match=r"1 of 10 .*instructions\.max_malformed_share.*f:1: Invalid JSON"):
        files.check_malformed(1, 10, 0.05, "f", first)


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
        "import os, signal\nfrom pathlib import Path\nfrom longwriter.io import files\n"
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


def test_a_missing_file_says_what_to_do(in_tmp):
    with pytest.raises(BadRecord, match=r"nope\.jsonl is missing: create it"):
        files.read_jsonl(in_tmp / "nope.jsonl", BenchmarkRow)


@pytest.mark.parametrize(
    "prompt", ["潮汐", "two\nlines\r\n", "\u2028\u0085", '"{}"', "🌊\u200d", "x" * 100_000]
)
def test_rows_are_read_back_as_they_were_written(in_tmp, prompt):
    rows = [instruction(prompt), instruction("second")]
    files.write_jsonl(in_tmp / "rows.jsonl", rows)
    assert files.read_jsonl(in_tmp / "rows.jsonl", Instruction) == rows
    assert (in_tmp / "rows.jsonl").read_bytes().count(b"\n") == 2


def test_json_is_read_back_and_not_a_number_is_refused(in_tmp):
    files.write_json(in_tmp / "x.json", {"b": "潮", "a": [1, None]})
    assert files.read_json(in_tmp / "x.json") == {"b": "潮", "a": [1, None]}
    assert (in_tmp / "x.json").read_text(encoding="utf-8").startswith('{\n  "b": "潮"')
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(in_tmp / "x.json", {"a": float("nan")})
    for bad, word in ((b"\xff{", "UTF-8"), (b"[" * 5000, "valid JSON")):
        (in_tmp / "x.json").write_bytes(bad)
        with pytest.raises(BadRecord, match=rf"x\.json is not {word}"):
            files.read_json(in_tmp / "x.json")


@pytest.mark.parametrize(
    "text", ["[]", '"x"', "{}", "null", '{"n": "4"}', '{"n": [1]}', '{"m": 1, "n": null}']
)
def test_json_of_another_form_than_its_stage_writes_is_named_with_the_stage(in_tmp, monkeypatch, text):
    monkeypatch.chdir(in_tmp)
    file = Path("data/report/metrics.json")
    file.parent.mkdir(parents=True)
    file.write_text(text)
    if text != "{}":
        with pytest.raises(BadRecord, match=r"metrics\.json does not have the form .*`dvc repro report`"):
            files.read_json(file, dict[str, float])
    with pytest.raises(BadRecord, match=r"metrics\.json does not have the form .*`dvc repro report`"):
        files.read_record(file, Counted)


def test_rows_of_any_type_are_read_and_a_line_that_is_no_row_is_named(in_tmp):
    file = in_tmp / "rows.jsonl"
    file.write_bytes(b'{"a": 1}\r\n\n{"b": [2]}')
    assert list(files.read_rows(file)) == [{"a": 1}, {"b": [2]}]
    for bad in (b"{", b"[]", b'"x"', b"null", b'{"a": "\xff"}', b"[" * 5000):
        file.write_bytes(b'{"a": 1}\n' + bad)
        with pytest.raises(BadRecord, match=r"rows\.jsonl:2 is n"):
            list(files.read_rows(file))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1", b"[]"])
def test_packs_that_cannot_be_read_are_named(in_tmp, content):
    file = in_tmp / "train.parquet"
    packs.write(file, [{"input_ids": [1], "labels": [1], "seq_lengths": [1], "sample_ids": ["a"]}])
    assert packs.read(file, ["sample_ids"]) == [{"sample_ids": ["a"]}]
    with pytest.raises(BadRecord, match=r"train\.parquet cannot be read as packs"):
        packs.read(file, ["no_such_column"])
    file.write_bytes(content)
    with pytest.raises(BadRecord, match=r"train\.parquet cannot be read as packs"):
        packs.read(file, ["sample_ids"])


def test_a_missing_lineage_names_the_stage_that_writes_it():
    message = files.missing_message("data/lineage/score@sft-small.json")
    assert message.endswith("(`dvc repro score@sft-small`)")


@pytest.mark.parametrize("cut", [-1, -9, 0.5, 20, 0])
def test_compressed_lines_that_were_cut_are_not_taken_for_all_lines(in_tmp, cut):
    with files.zstd_lines(in_tmp / "x.zst") as out:
        out.writelines(f"{number * 7919 % 10007}\n" for number in range(60_000))
    data = (in_tmp / "x.zst").read_bytes()
    (in_tmp / "x.zst").write_bytes(data[: int(len(data) * cut) if isinstance(cut, float) else cut])
    with pytest.raises(BadRecord, match=r"x\.zst is damaged .*run the stage that writes it again"):
        list(files.read_zstd_lines(in_tmp / "x.zst"))
    (in_tmp / "x.zst").write_bytes(data + data)
    with pytest.raises(BadRecord, match=r"x\.zst is damaged"):
        list(files.read_zstd_lines(in_tmp / "x.zst"))


def test_no_compressed_lines_are_read_back_too(in_tmp):
    with files.zstd_lines(in_tmp / "x.zst"):
        pass
    assert list(files.read_zstd_lines(in_tmp / "x.zst")) == []


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_named(in_tmp, kind):
    (os.mkfifo if kind == "pipe" else os.mkdir)(in_tmp / "x")
    for read in (
        files.read_json,
        files.read_text,
        lambda path: list(files.read_rows(path)),
        lambda path: files.read_jsonl(path, Instruction),
        lambda path: list(files.read_zstd_lines(path)),
    ):
        with pytest.raises(BadRecord, match=r"x is a folder, a pipe or a device, not a file"):
            read(in_tmp / "x")


def test_a_template_that_is_not_utf8_is_named(in_tmp):
    (in_tmp / "t.txt").write_bytes(b"caf\xe9")
    with pytest.raises(BadRecord, match=r"prompt template t\.txt is not UTF-8"):
        files.template("t.txt")


def test_a_template_is_text_and_must_hold_some(in_tmp):
    (in_tmp / "good.txt").write_text("\n Write {words}. \n", encoding="utf-8")
    (in_tmp / "empty.txt").write_text(" \n")
    assert files.template("good.txt") == "Write {words}."
    for name in ("empty.txt", "absent.txt", "."):
        with pytest.raises(BadRecord, match="missing or empty"):
            files.template(name)


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_publishes_nothing(in_tmp, end):
    with pytest.raises(end), files.published(in_tmp / "data" / "plan") as folder:
        (folder / "a").write_text("new")
        raise end
    assert not (in_tmp / "data").exists()


@pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == Path("/tmp").stat().st_dev,
    reason="there is no second disk",
)
def test_a_folder_is_published_to_another_disk_whole(in_tmp):
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        (in_tmp / "data").symlink_to(disk)
        target = in_tmp / "data" / "plan"
        (in_tmp / "data" / ".plan.part").mkdir()  # of a killed writer
        for text in ("one", "two"):
            with files.published(target) as folder:
                (folder / "a").write_text(text)
            assert (target / "a").read_text() == text
        assert [path.name for path in Path(disk).iterdir()] == ["plan"]
    assert list(Path(".lw/tmp").iterdir()) == []


def test_a_published_folder_replaces_the_old_one_whole(in_tmp):
    target = in_tmp / "data" / "plan"
    for name in ("old", "new"):
        with files.published(target) as folder:
            assert list(folder.iterdir()) == []
            (folder / name).write_text("x")
            assert not (target / name).exists()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert target.stat().st_mode & 0o777 == 0o755


def test_a_stage_that_is_published_keeps_the_scratch_of_another(in_tmp):
    with files.published(in_tmp / "data" / "plan") as plan, files.published(in_tmp / "data" / "write"):
        assert plan.is_dir()


def test_compressed_lines_are_compressed_and_hold_any_character(in_tmp):
    lines = ["潮\u2028🌊\n", "x" * 100_000 + "\n", "\n"]
    with files.zstd_lines(in_tmp / "x.zst") as out:
        out.writelines(lines)
    assert list(files.read_zstd_lines(in_tmp / "x.zst")) == lines
    data = (in_tmp / "x.zst").read_bytes()
    for bad in (data[1:], data[:8] + b"\xff\xff" + data[10:]):
        (in_tmp / "x.zst").write_bytes(bad)
        with pytest.raises(BadRecord, match=r"x\.zst is damaged .*: run the stage that writes it again"):
            list(files.read_zstd_lines(in_tmp / "x.zst"))
    assert data[:4] == b"\x28\xb5\x2f\xfd"
    assert len(data) < 1000


def test_indexed_rows_are_read_by_position_and_in_order(in_tmp):
    file = in_tmp / "rows.jsonl"
    rows = [instruction("潮汐\u2028"), instruction("two\nlines", 300), instruction("🌊" * 999)]
    lines = [row.model_dump_json() for row in rows]
    file.write_text(f"\n{lines[0]}\n \n{lines[1]}\r\n{lines[2]}", encoding="utf-8")
    found = files.indexed(file, Instruction, lambda row: row.required_words or 0)
    assert (len(found), list(found), list(found.weights)) == (3, rows, [0, 300, 0])
    assert [found[2], found[0], found[-2]] == [rows[2], rows[0], rows[1]]
    with pytest.raises(IndexError):
        found[3]


def test_an_indexed_file_may_be_empty_and_a_row_weighs_one_by_default(in_tmp):
    (in_tmp / "none.jsonl").write_text("")
    (in_tmp / "two.jsonl").write_text(GOOD * 2)
    assert list(files.indexed(in_tmp / "none.jsonl", BenchmarkRow)) == []
    assert list(files.indexed(in_tmp / "two.jsonl", BenchmarkRow).weights) == [1, 1]


def test_a_bad_row_is_named_when_a_file_is_indexed(in_tmp):
    (in_tmp / "rows.jsonl").write_text(GOOD + "\n{\n" + GOOD)
    with pytest.raises(BadRecord, match=r"rows\.jsonl:3 is not a valid BenchmarkRow: .*Invalid JSON"):
        files.indexed(in_tmp / "rows.jsonl", BenchmarkRow)
    with pytest.raises(BadRecord, match=r"nope\.jsonl is missing: create it"):
        files.indexed(in_tmp / "nope.jsonl", BenchmarkRow)


def test_an_indexed_file_that_was_replaced_is_an_error(in_tmp):
    (in_tmp / "rows.jsonl").write_text(GOOD * 2)
    rows = files.indexed(in_tmp / "rows.jsonl", BenchmarkRow)
    (in_tmp / "rows.jsonl").write_text("\n" + GOOD * 2)
    with pytest.raises(BadRecord, match=r"rows\.jsonl changed while it was read"):
        rows[1]


def peak_bytes(work):
    """Return the most memory that `work` held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_neither_indexed_nor_spooled_rows_stay_in_memory(in_tmp):
    row = instruction("x" * 100_000)
    files.write_jsonl(in_tmp / "rows.jsonl", [row] * 100)

    def work():
        rows = files.indexed(in_tmp / "rows.jsonl", Instruction)
        with files.spool(Instruction, Rejection) as done:
            for position, found in enumerate(rows):
                done.put(position, found)
            assert sum(found == row for found in done) == 100

    assert peak_bytes(work) < 2_000_000


def test_spooled_records_come_back_by_position_each_as_its_type(in_tmp):
    given = [instruction("潮\n"), PlanStep(main_point="a", word_count=1), instruction("c")]
    with files.spool(Instruction, PlanStep) as done:
        for position in (2, 0, 1):
            done.put(position, given[position])
        assert list(done) == given
        done.put(3, given[0])
        assert list(done) == [*given, given[0]]


def test_a_position_is_spooled_once_and_only_with_a_record_that_can_be_read_back(in_tmp):
    with files.spool(Instruction, Rejection) as done:
        done.put(0, instruction("a"))
        with pytest.raises(ValueError, match="position 0 is taken"):
            done.put(0, instruction("b"))
        with pytest.raises(ValueError, match="PlanStep is not of the spool"):
            done.put(1, PlanStep(main_point="a", word_count=1))
        assert list(done) == [instruction("a")]


def test_a_spool_has_no_name_that_could_be_left_behind(in_tmp):
    with files.spool(Instruction, Rejection) as done:
        done.put(0, instruction("a"))
        assert list((in_tmp / ".lw" / "tmp").iterdir()) == []


def test_rows_are_appended_to_two_files_at_once(in_tmp):
    rows = [instruction("潮"), instruction("b")]
    with files.jsonl(in_tmp / "a.jsonl") as first, files.jsonl(in_tmp / "b.jsonl") as second:
        first(rows[0])
        second(rows[1])
        first(rows[1])
    assert files.read_jsonl(in_tmp / "a.jsonl", Instruction) == rows
    assert files.read_jsonl(in_tmp / "b.jsonl", Instruction) == rows[1:]


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("data/plan/plans.jsonl", "run the stage that writes it (`dvc repro plan`)"),
        ("mine/rows.jsonl", "create it, or correct the key of params.yaml that names it"),
        ("data", "create it, or correct the key of params.yaml that names it"),
    ],
)
def test_only_for_files_that_a_stage_writes_the_message_says_to_run_the_stage(path, advice):
    assert files.missing_message(path) == f"{path} is missing: {advice}"
