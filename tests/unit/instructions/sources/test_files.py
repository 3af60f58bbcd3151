"""Readers on real files of each format, whole and broken."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from longwriter.errors import BadRecord
from longwriter.instructions.sources import files as sources
from longwriter.instructions.sources.rows import SourceRow

CHATS = [
    {
        "conversation": [{"role": "user", "content": f"Tell me of {what}."}],
        "language": "English",
        "toxic": False,
    }
    for what in ("rivers", "stones", "潮汐")
]
PROMPTS = [SourceRow(f"Tell me of {what}.") for what in ("rivers", "stones", "潮汐")]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def read(source, pattern="**/*"):
    """Return (where below the source, row) of all rows."""
    found = [item for chunk in sources.chunks(str(source), pattern) for item in sources.rows(chunk)]
    return [(where.removeprefix(f"{source}"), row) for where, row in found]


def parquet(path, table):
    pq.write_table(table, path)


WRITERS = {
    "a.jsonl": lambda path: path.write_bytes(lines(CHATS)),
    "a.ndjson": lambda path: path.write_bytes(lines(CHATS).rstrip(b"\n").replace(b"\n", b"\r\n")),
    "a.jsonl.gz": lambda path: path.write_bytes(gzip.compress(lines(CHATS))),
    "a.jsonl.zst": lambda path: path.write_bytes(zstandard.compress(lines(CHATS))),
    "a.parquet": lambda path: parquet(path, pa.Table.from_pylist(CHATS)),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_file_is_read_by_its_format_alone_and_in_a_folder(tmp_path, name):
    WRITERS[name](tmp_path / name)
    expected = [(f":{number}", row) for number, row in enumerate(PROMPTS, 1)]
    assert read(tmp_path / name, "ignored") == expected
    (tmp_path / "README.md").write_text("no row")
    assert read(tmp_path) == [(f"/{name}{where}", row) for where, row in expected]


def test_frames_of_gzip_and_zstd_that_follow_each_other_are_one_file(tmp_path):
    for name, pack in (("a.jsonl.gz", gzip.compress), ("b.jsonl.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(pack(lines(CHATS[:1])) + pack(lines(CHATS[1:])))
        assert [row for _, row in read(tmp_path / name)] == PROMPTS


def test_a_saved_data_set_is_read_with_all_its_splits(tmp_path):
    import datasets  # takes seconds

    whole = datasets.Dataset.from_list([*CHATS, {**CHATS[0], "toxic": True}])
    whole.select([2, 1]).save_to_disk(tmp_path / "one")
    assert read(tmp_path / "one") == [(":1", PROMPTS[2]), (":2", PROMPTS[1])]
    split = datasets.DatasetDict({"train": whole.select([0]), "test": whole.select([3])})
    split.save_to_disk(tmp_path / "two")
    assert read(tmp_path / "two") == [("/train:1", PROMPTS[0]), ("/test:1", PROMPTS[0]._replace(toxic=True))]
    assert len(read(tmp_path, "*")) == 4


def test_a_folder_is_read_in_the_order_of_its_names_below_the_pattern(tmp_path):
    for name in ("b/x.jsonl", "a/z.jsonl", "a.jsonl", "c.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines(CHATS[:1]))
    (tmp_path / "a.jsonl").write_bytes(b"\n{\n" + lines(CHATS[:1]))
    found = read(tmp_path, "**/*.jsonl")
    assert [(where, isinstance(row, str)) for where, row in found] == [
        ("/a/z.jsonl:1", False), ("/a.jsonl:2", True), ("/a.jsonl:3", False), ("/b/x.jsonl:1", False),
    ]  # fmt: skip
    assert [where for where, _ in read(tmp_path, "*.jsonl")] == ["/a.jsonl:2", "/a.jsonl:3"]


@pytest.mark.parametrize("source", ["", "nowhere", "empty"])
def test_a_source_without_a_readable_file_is_told(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(BadRecord, match=r"no file matches .*\.jsonl, \.ndjson"):
        read(tmp_path / source)


HOSTILE = [
    (b'{"prompt": "\xff\xfe"}', "no JSON"),
    (b'{"prompt": "a\\u0000b"}', "NUL"),
    (b'{"prompt": "a\x00b"}', "no JSON"),
    (b'{"prompt": "\\ud83c"}', "no JSON"),
    (b'{"prompt": ' + b"9" * 5000 + b"}", "no JSON"),
    (b'{"prompt": "a", "length": 1' + b"0" * 300 + b"}", "length"),
    (b'{"prompt": "a", "length": NaN}', "no JSON"),
    (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON"),
    (b'{"messages": ' + b'[{"role": ' * 200 + b"1" + b"}]" * 200 + b"}", "no turn of a user"),
    (b'{"prompt": "a"', "no JSON"),
    (b'{"prompt": "a"} {"prompt": "b"}', "no JSON"),
    (b"\x00\x01\x02", "no JSON"),
    (b'"a"', "object"),
    (b'{"conversation": {}}', "conversation: a list"),
]


@pytest.mark.parametrize(("line", "told"), HOSTILE)
def test_a_hostile_line_is_malformed_and_the_next_is_read(tmp_path, line, told):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + lines(CHATS[:1]))
    [(where, why), (_, row)] = read(tmp_path / "a.jsonl")
    assert (where, row) == (":1", PROMPTS[0])
    assert isinstance(why, str)
    assert told in why


def test_a_line_of_ten_megabytes_is_a_row_and_one_of_forty_is_malformed(tmp_path):
    long, longer = (b'{"prompt": "' + b"a " * (n * 500_000) + b'"}\n' for n in (10, 40))
    (tmp_path / "a.jsonl").write_bytes(long + longer + lines(CHATS[:1]) + longer.rstrip())
    rows = [row for _, row in read(tmp_path / "a.jsonl")]
    assert len(rows[0].prompt) == 10_000_000
    assert rows[2] == PROMPTS[0]
    assert rows[1] == rows[3] == "a line of more than 16,777,216 bytes"


def test_text_of_parquet_that_is_no_utf8_is_malformed_by_its_row(tmp_path):
    raw = pa.array([b"Tell me of rivers.", b"\xff\xfe", b"Tell me of stones."])
    texts = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    parquet(tmp_path / "a.parquet", pa.table({"prompt": texts, "other": [1, 2, 3]}))
    [(_, one), (where, why), (_, two)] = read(tmp_path / "a.parquet")
    assert (where, [one, two]) == (":2", PROMPTS[:2])
    assert why.startswith("no UTF-8")


def test_parquet_without_a_known_column_is_malformed_row_by_row(tmp_path):
    parquet(tmp_path / "a.parquet", pa.table({"text": ["a", "b"]}))
    assert [(where, row[:9]) for where, row in read(tmp_path / "a.parquet")] == [
        (":1", "no prompt"),
        (":2", "no prompt"),
    ]


def test_numbers_of_rows_go_on_over_chunks(tmp_path):
    table = pa.table({"prompt": [str(n) for n in range(4500)]})
    parquet(tmp_path / "a.parquet", table)
    (tmp_path / "b.jsonl").write_bytes(lines(table.to_pylist()))
    for name in ("a.parquet", "b.jsonl"):
        assert read(tmp_path / name) == [(f":{n + 1}", SourceRow(str(n))) for n in range(4500)]
        assert max(len(chunk.content) for chunk in sources.chunks(str(tmp_path / name), "*")) <= 2000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_file_that_breaks_off_is_told(tmp_path, name):
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadRecord, match=rf"{name}.*(breaks off|no whole Parquet)"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_a_file_that_is_no_such_thing_is_told(tmp_path, name):
    (tmp_path / name).write_bytes(b"Nothing of the kind." * 10)
    with pytest.raises(BadRecord, match=name):
        read(tmp_path / name)
