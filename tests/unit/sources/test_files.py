"""Readers on real files of each format, whole and broken."""

import bz2
import gzip
import io
import json
import lzma
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from longwriter.errors import BadRecord
from longwriter.schemas.contents import Unusable
from longwriter.schemas.rows import SourceRow
from longwriter.sources import arrays
from longwriter.sources import files as sources

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
    "a.jsonl.bz2": lambda path: path.write_bytes(bz2.compress(lines(CHATS))),
    "a.jsonlines.xz": lambda path: path.write_bytes(lzma.compress(lines(CHATS))),
    "a.parquet": lambda path: parquet(path, pa.Table.from_pylist(CHATS)),
}
PACKERS = {"gz": gzip.compress, "zst": zstandard.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("name", list(WRITERS))
def test_a_file_is_read_by_its_format_alone_and_in_a_folder(tmp_path, name):
    WRITERS[name](tmp_path / name)
    expected = [(f":{number}", row) for number, row in enumerate(PROMPTS, 1)]
    assert read(tmp_path / name, "ignored") == expected
    (tmp_path / "README.md").write_text("no row")
    assert read(tmp_path) == [(f"/{name}{where}", row) for where, row in expected]


@pytest.mark.parametrize("suffix", list(PACKERS))
def test_compressed_parts_that_follow_each_other_are_one_file_whatever_its_name(tmp_path, suffix):
    pack = PACKERS[suffix]
    for name in (f"a.jsonl.{suffix}", "b.jsonl"):
        (tmp_path / name).write_bytes(pack(lines(CHATS[:1])) + pack(lines(CHATS[1:])))
        assert [row for _, row in read(tmp_path / name)] == PROMPTS


def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path):
    (tmp_path / "a.jsonl").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(BadRecord, match=r"a\.jsonl is a pointer of Git LFS.*git lfs pull"):
        read(tmp_path / "a.jsonl")


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
    assert [(where, isinstance(row, Unusable)) for where, row in found] == [
        ("/a/z.jsonl:1", False), ("/a.jsonl:2", True), ("/a.jsonl:3", False), ("/b/x.jsonl:1", False),
    ]  # fmt: skip
    assert [where for where, _ in read(tmp_path, "*.jsonl")] == ["/a.jsonl:2", "/a.jsonl:3"]


@pytest.mark.parametrize("source", ["", "nowhere", "empty"])
def test_a_source_without_a_readable_file_is_an_error(tmp_path, source):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("a")
    with pytest.raises(BadRecord, match=r"no file matches .*\.jsonl, \.ndjson"):
        read(tmp_path / source)


HOSTILE = [
    (b'{"prompt": "\xff\xfe"}', "no JSON"),
    (b'{"prompt": "a\\u0000b"}', "NUL"),
    (b'{"prompt": "a\x00b"}', "holds a NUL character"),
    (b'{"prompt": "\\ud83c"}', "surrogate"),
    (b'{"prompt": ' + b"9" * 5000 + b"}", "prompt: text is needed, found float"),
    (b'{"prompt": "a", "length": 1' + b"0" * 300 + b"}", "length"),
    (b'{"prompt": "a", "length": Infinity}', "length"),
    (b'{"prompt": NaN}', "prompt: text is needed, found float"),
    (b'{"prompt": "a", "score": NaN', "no JSON"),
    (b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "no JSON"),
    (b'{"messages": ' + b'[{"role": ' * 200 + b"1" + b"}]" * 200 + b"}", "a role is a text"),
    (b'{"messages": "' + b"[" * 50_000 + b'"}', "a text that is no JSON"),
    (b'{"prompt": "a"', "no JSON"),
    (b'{"prompt": "a"} {"prompt": "b"}', "no JSON"),
    (b"\x00\x01\x02", "no JSON"),
    (b"5", "an object with named columns is needed, found int"),
    (b'["a", "b"]', "found a list"),
    (b'{"conversation": 7}', "conversation: a list"),
    (
        b"<html><body>403 Forbidden</body></html>",
        "no JSON: unexpected character, expected a JSON value: line 1 column 1 (char 0); this is a web page or XML",
    ),
    (b"[1]", "found a list: does the file hold one JSON array? Then name it .json"),
]


@pytest.mark.parametrize(("line", "told"), HOSTILE)
def test_a_hostile_line_is_malformed_and_the_next_is_read(tmp_path, line, told):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n" + lines(CHATS[:1]))
    [(where, why), (_, row)] = read(tmp_path / "a.jsonl")
    assert (where, row) == (":1", PROMPTS[0])
    assert why.reason == "malformed"
    assert told in why.detail


def test_a_line_of_ten_megabytes_is_a_row_and_one_of_forty_is_malformed(tmp_path):
    long, longer = (b'{"prompt": "' + b"a " * (n * 500_000) + b'"}\n' for n in (10, 40))
    (tmp_path / "a.jsonl").write_bytes(long + longer + lines(CHATS[:1]) + longer.rstrip())
    rows = [row for _, row in read(tmp_path / "a.jsonl")]
    assert len(rows[0].prompt) == 10_000_000
    assert rows[2] == PROMPTS[0]
    assert rows[1] == rows[3] == Unusable("malformed", "a line of more than 16,777,216 bytes")


def test_text_of_parquet_that_is_no_utf8_is_malformed_by_its_row(tmp_path):
    raw = pa.array([b"Tell me of rivers.", b"\xff\xfe", b"Tell me of stones."])
    texts = pa.Array.from_buffers(pa.string(), 3, raw.buffers())
    parquet(tmp_path / "a.parquet", pa.table({"prompt": texts, "other": [1, 2, 3]}))
    [(_, one), (where, why), (_, two)] = read(tmp_path / "a.parquet")
    assert (where, [one, two]) == (":2", PROMPTS[:2])
    assert why.detail.startswith("no UTF-8")


def test_parquet_without_a_known_column_is_malformed_row_by_row(tmp_path):
    parquet(tmp_path / "a.parquet", pa.table({"text": ["a", "b"]}))
    found = [(where, row.reason, row.detail) for where, row in read(tmp_path / "a.parquet")]
    assert [(where, reason, detail[:9]) for where, reason, detail in found] == [
        (":1", "malformed", "no prompt"),
        (":2", "malformed", "no prompt"),
    ]
    assert found[0][2].endswith("found 'text'; if one of them holds the instructions, rename it to prompt")


def test_numbers_of_rows_go_on_over_chunks(tmp_path):
    table = pa.table({"prompt": [str(n) for n in range(4500)]})
    parquet(tmp_path / "a.parquet", table)
    (tmp_path / "b.jsonl").write_bytes(lines(table.to_pylist()))
    for name in ("a.parquet", "b.jsonl"):
        assert read(tmp_path / name) == [(f":{n + 1}", SourceRow(str(n))) for n in range(4500)]
        assert max(len(chunk.content) for chunk in sources.chunks(str(tmp_path / name), "*")) <= 2000


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.jsonlines.xz", "a.parquet"])
def test_a_file_that_breaks_off_is_an_error(tmp_path, name):
    WRITERS[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(BadRecord, match=rf"{name}.*(breaks off|no whole Parquet)"):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.jsonl.bz2", "a.jsonlines.xz", "a.parquet"])
def test_a_file_that_is_not_of_its_format_is_an_error(tmp_path, name):
    (tmp_path / name).write_bytes(b"Nothing of the kind." * 10)
    with pytest.raises(BadRecord, match=name):
        read(tmp_path / name)


BOM = b"\xef\xbb\xbf"
READ = [(f":{number}", row) for number, row in enumerate(PROMPTS, 1)]


@pytest.mark.parametrize(
    "content",
    [
        BOM + lines(CHATS),
        BOM + lines(CHATS[:1]) + BOM + lines(CHATS[1:]) + BOM,
        lines(CHATS).decode().encode("utf-16"),
        lines(CHATS).decode().encode("utf-16-le"),
        lines(CHATS).decode().encode("utf-32"),
        b"\xfe\xff" + lines(CHATS).decode().encode("utf-16-be"),
        lines(CHATS).replace(b"\n", b"\r\n"),
    ],
)
def test_a_byte_order_mark_and_utf16_are_no_part_of_a_row(tmp_path, content):
    for name, pack in (
        ("a.jsonl", bytes),
        ("b.jsonl.gz", gzip.compress),
        ("c.JSONL.ZST", zstandard.compress),
    ):
        (tmp_path / name).write_bytes(pack(content))
        assert read(tmp_path / name) == READ


def test_a_utf16_file_that_breaks_off_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines(CHATS).decode().encode("utf-16")[:-1])
    with pytest.raises(BadRecord, match=r"a\.jsonl breaks off after row \d"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize(
    "other",
    [b"NaN", b"-Infinity", b"[Infinity, 1]", b"9" * 5000, b'"\\ud83d"', b"1e999", b"[" * 300 + b"]" * 300],
)
def test_a_value_of_another_column_spoils_no_row(tmp_path, other):
    (tmp_path / "a.jsonl").write_bytes(b'{"prompt": "a", "other": ' + other + b"}\n")
    assert read(tmp_path / "a.jsonl") == [(":1", SourceRow("a"))]


def test_the_last_of_two_equal_keys_counts_with_both_readers(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        b'{"prompt": "a", "prompt": "b"}\n{"prompt": "a", "prompt": "b", "x": NaN}\n'
    )
    assert [row for _, row in read(tmp_path / "a.jsonl")] == [SourceRow("b")] * 2


@pytest.mark.parametrize("name", ["a.JSONL", "A.NdJson", "b.Jsonl.GZ", "c.PARQUET", "d.JSON"])
@pytest.mark.parametrize("pattern", ["**/*", "suffix"])
def test_the_case_of_a_suffix_does_not_matter(tmp_path, name, pattern):
    plain = name.lower()
    if plain.endswith("parquet"):
        WRITERS["a.parquet"](tmp_path / name)
    else:
        content = json.dumps(CHATS).encode() if plain.endswith(".json") else lines(CHATS)
        (tmp_path / name).write_bytes(gzip.compress(content) if plain.endswith("gz") else content)
    pattern = f"**/*{plain[1:]}" if pattern == "suffix" else pattern
    assert read(tmp_path, pattern) == [(f"/{name}{where}", row) for where, row in READ]
    assert read(tmp_path / name) == READ


ARRAYS = {
    "an array": json.dumps(CHATS).encode(),
    "an array over lines": json.dumps(CHATS, indent=2).encode().replace(b"\n", b"\r\n"),
    "an array behind a mark": BOM + b" \n" + json.dumps(CHATS).encode(),
    "an array under a key": json.dumps({"version": 1, "data": CHATS, "n": [{"a": 1}]}).encode(),
    "arrays under keys": json.dumps({"train": CHATS[:1], "test": CHATS[1:]}, indent=1).encode(),
    "objects over lines": b"\n".join(json.dumps(chat, indent=2).encode() for chat in CHATS),
    "lines": lines(CHATS),
    "UTF-16": json.dumps(CHATS).encode("utf-16"),
}


@pytest.mark.parametrize("content", ARRAYS.values(), ids=list(ARRAYS))
def test_a_json_file_of_rows_is_read_whatever_holds_them(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "b.json.gz").write_bytes(gzip.compress(content))
    for name in ("a.json", "b.json.gz"):
        assert read(tmp_path / name) == READ
    assert len(read(tmp_path, "*.json*")) == 6


def of_grok(*prompts):
    talks = [[{"response": {"sender": "human", "message": text}}] for text in prompts]
    chats = [{"conversation": {"id": str(number)}, "responses": talk} for number, talk in enumerate(talks)]
    return {"conversations": chats, "projects": [], "tasks": []}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_whole_export_of_grok_is_a_row_for_each_chat(tmp_path, indent, end):
    (tmp_path / "a.json").write_text(json.dumps(of_grok("One.", "Two."), indent=indent) + end)
    assert [row for _, row in read(tmp_path / "a.json")] == [SourceRow("One."), SourceRow("Two.")]


def test_turns_under_the_same_key_are_one_chat(tmp_path):
    chat = {"conversations": [{"from": "human", "value": "One."}, {"from": "gpt", "value": "x"}]}
    for name, text in (
        ("a.json", json.dumps(chat, indent=1)),
        ("b.json", json.dumps(chat)),
        ("c.jsonl", json.dumps(chat)),
    ):
        (tmp_path / name).write_text(text)
        assert [row for _, row in read(tmp_path / name)] == [SourceRow("One.")]


def test_an_array_that_is_named_as_lines_is_an_array(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(ARRAYS["an array over lines"])
    assert read(tmp_path / "a.jsonl") == READ


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize("form", ["an array", "an array over lines", "lines", "one chat"])
def test_chats_that_are_lists_of_turns_are_a_row_each(tmp_path, form, name):
    chats = [
        [{"role": "user", "content": text}, {"role": "assistant", "content": "x"}]
        for text in ("One.", "Two.")
    ]
    content = {
        "an array": json.dumps(chats),
        "an array over lines": json.dumps(chats, indent=1),
        "lines": "".join(json.dumps(chat) + "\n" for chat in chats),
        "one chat": json.dumps(chats[0]) + "\n",
    }[form]
    (tmp_path / name).write_text(content)
    rows = [row for _, row in read(tmp_path / name)]
    assert rows == [SourceRow("One."), SourceRow("Two.")][: 1 if form == "one chat" else 2]


@pytest.mark.parametrize("indent", [None, 1])
def test_an_array_of_texts_is_a_row_for_each_text(tmp_path, indent):
    (tmp_path / "a.json").write_text(json.dumps(["One, {two}.", 'A "third" [part].', "", 5], indent=indent))
    (tmp_path / "b.jsonl").write_text('"One."\n"Two."\n')
    rows = [row for _, row in read(tmp_path / "a.json")]
    assert rows[:2] == [SourceRow("One, {two}."), SourceRow('A "third" [part].')]
    assert [row.reason for row in rows[2:]] == ["no_instruction", "malformed"]
    assert [row for _, row in read(tmp_path / "b.jsonl")] == [SourceRow("One."), SourceRow("Two.")]


def test_a_list_of_texts_beside_the_data_is_no_source_unless_it_is_named(tmp_path):
    WRITERS["a.jsonl"](tmp_path / "a.jsonl")
    (tmp_path / "words.json").write_text('["a", "b"]\n')
    assert len(read(tmp_path, "**/*")) == 3


def test_questions_with_answers_in_arrays_are_not_read_as_instructions(tmp_path):
    pairs = [["Tell me of rivers.", "Rivers flow."], ["Tell me of stones.", "Stones lie."]]
    (tmp_path / "a.json").write_text("\n".join(map(json.dumps, pairs)))
    with pytest.raises(BadRecord, match=r"a\.json: a second array of texts begins"):
        read(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(json.dumps(pairs))
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, pairs)))
    for name in ("b.json", "c.jsonl"):
        assert {row.reason for _, row in read(tmp_path / name)} == {"malformed"}


def test_settings_beside_the_data_are_no_rows_unless_the_pattern_names_json(tmp_path):
    WRITERS["a.jsonl"](tmp_path / "a.jsonl")
    (tmp_path / "config.json").write_text('{"name": "chats"}\n')
    assert len(read(tmp_path, "**/*")) == 3
    assert [row.reason for _, row in read(tmp_path, "*.json")] == ["malformed"]


def test_what_is_no_row_in_an_array_is_malformed_by_its_place(tmp_path):
    (tmp_path / "a.json").write_bytes(
        b'[{"prompt": "a"}, 5, {"prompt": "b", "x": NaN}, {"prompt": ]}, {"prompt": "c"}]'
    )
    found = read(tmp_path / "a.json")
    assert [(where, getattr(row, "reason", "")) for where, row in found] == [
        (":1", ""), (":2", "malformed"), (":3", ""), (":4", "malformed"), (":5", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("content", [b'[{"prompt": "a"}, {"prom', b'[{"prompt": "a"},', b'[{"prompt": "a"}'])
def test_an_array_that_breaks_off_is_an_error(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(BadRecord, match=r"a\.json breaks off after row 1"):
        read(tmp_path / "a.json")


def test_an_object_that_is_too_long_for_a_row_is_an_error(tmp_path):
    (tmp_path / "a.json").write_bytes(b'{"talks": [' + b'{"prompt": "%s"},' % (b"a" * 100_000) * 180 + b"1]}")
    with pytest.raises(BadRecord, match=r"row 1 is longer than 16,777,216 bytes.*keys data, rows"):
        read(tmp_path / "a.json")


@given(
    st.lists(st.text() | st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8).map(lambda value: {"a": value}), max_size=6)
    | st.lists(st.lists(st.dictionaries(st.text(), st.text() | st.lists(st.text()), max_size=2), max_size=3), max_size=4),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.integers(1, 40),
)  # fmt: skip
def test_rows_are_cut_out_of_an_array_whatever_its_blocks(rows, indent, ascii_only, block):
    content = json.dumps(rows, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    file = io.BytesIO(content)
    read_block = file.read
    file.read = lambda _: read_block(block)
    assert [json.loads(text) for text in arrays.rows("a", file, 10**6)] == rows


def test_hidden_files_are_left_out_and_counted(tmp_path, caplog):
    for name in ("a.jsonl", "._a.jsonl", ".cache/b.jsonl", "sub/.c.jsonl", ".hidden/d.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(lines(CHATS[:1]))
    (tmp_path / "notes.md").write_text("no row")
    caplog.set_level("INFO")
    assert [where for where, _ in read(tmp_path)] == ["/a.jsonl:1"]
    assert f"**/* below {tmp_path}: 1 file; left out: 4 hidden, 1 of other formats (notes.md)" in caplog.text
    assert [where for where, _ in read(tmp_path, ".hidden/*.jsonl")] == ["/.hidden/d.jsonl:1"]
    assert [where for where, _ in read(tmp_path / "._a.jsonl")] == [":1"]
    assert len(read(tmp_path / ".cache")) == 1


def test_folders_pipes_and_dead_links_that_are_named_as_files_are_no_files(tmp_path):
    WRITERS["a.jsonl"](tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").mkdir()
    os.mkfifo(tmp_path / "c.jsonl")
    (tmp_path / "d.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "e.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert [where for where, _ in read(tmp_path)] == [
        f"/{name}.jsonl:{n}" for name in "ae" for n in (1, 2, 3)
    ]
    with pytest.raises(BadRecord, match=r"no file matches"):
        read(tmp_path / "c.jsonl")


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.zst", "a.jsonl.gz"])
def test_a_source_without_a_row_is_an_error(tmp_path, name):
    for content in (b"", b"\n \r\n", BOM):
        packed = {"gz": gzip.compress, "zst": zstandard.compress}.get(name[7:].strip("."), bytes)(content)
        (tmp_path / name).write_bytes(packed)
        with pytest.raises(BadRecord, match=r"holds a row: are the files empty\?"):
            read(tmp_path / name)


def test_settings_and_tables_alone_are_no_silent_source(tmp_path):
    (tmp_path / "settings.json").write_bytes(b'{"a": 1}')
    (tmp_path / "sizes.csv").write_bytes(b"a|b\n1|2\n")
    with pytest.raises(
        BadRecord, match=r"are read only if instructions\.source or instructions\.pattern names them"
    ):
        read(tmp_path)


PACKED = lzma.compress(lines(CHATS))


@pytest.mark.parametrize("padding", [b"", bytes(4), bytes(8)])
def test_padding_after_and_between_the_streams_of_an_xz_file_is_skipped(tmp_path, padding):
    (tmp_path / "a.jsonl.xz").write_bytes(PACKED + padding + PACKED + padding)
    assert [row for _, row in read(tmp_path)] == PROMPTS * 2


@pytest.mark.parametrize(
    ("name", "packed"), [("a.jsonl.xz", PACKED), ("a.jsonl.bz2", bz2.compress(lines(CHATS)))]
)
def test_what_follows_a_compressed_text_is_an_error(tmp_path, name, packed):
    (tmp_path / name).write_bytes(packed + b"garbage")
    with pytest.raises(BadRecord, match=r"breaks off after row 3"):
        read(tmp_path)
    (tmp_path / name).write_bytes(packed[:-20])
    with pytest.raises(BadRecord, match=r"breaks off after row \d"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04", "is a zip archive or a workbook of Excel: unpack it"),
        (lines(CHATS), r"is no \.gz file, its first bytes say"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_an_error(tmp_path, content, told):
    (tmp_path / "a.jsonl.gz").write_bytes(content)
    with pytest.raises(BadRecord, match=told):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"prompt": "a"},', "a line ends in a comma"),
        (b'{"prompt": "a",}', "trailing comma is not allowed"),
        (b"// mine", "JSON has no comments"),
        (b'{"prompt": "a"} // mine', "JSON has no comments"),
        (b"{prompt: 'a'}", "need double quotes"),
        (b'"a", "b"', "a row is an object such as"),
        (b'{"prompt": "a"}\r{"prompt": "b"}', "here they end in CR"),
    ],
)
def test_what_is_nearly_json_says_what_to_do(tmp_path, line, told):
    (tmp_path / "a.jsonl").write_bytes(line + b"\n")
    [(_, row)] = read(tmp_path)
    assert row.reason == "malformed"
    assert told in row.detail


@pytest.mark.parametrize("pattern", ["", "/abs/*.jsonl", "**x"])
def test_a_pattern_that_is_no_glob_is_an_error(tmp_path, pattern):
    with pytest.raises(BadRecord, match=r"instructions\.pattern .* is no glob"):
        read(tmp_path, pattern)


ODD = {
    "date": pa.array([2**31 - 1] * 2, pa.date32()),
    "duration": pa.array([2**62] * 2, pa.duration("s")),
    "time zone": pa.array([0] * 2, pa.timestamp("us", tz="Moon/Tycho")),
    "year": pa.array([2**40] * 2, pa.timestamp("s")),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_columns_of_odd_types_that_are_not_needed_are_not_read(tmp_path, odd):
    for name in ("type", "language", "length", "history", "created"):
        parquet(tmp_path / "a.parquet", pa.table({"prompt": ["a", "b"], name: odd}))
        assert [row for _, row in read(tmp_path / "a.parquet")] == [SourceRow("a"), SourceRow("b")]
    turn = pa.StructArray.from_arrays(
        [pa.array(["user"] * 2), pa.array(["a", "b"]), odd], ["role", "content", "at"]
    )
    for kind in (pa.ListArray, pa.LargeListArray):
        chat = kind.from_arrays(pa.array([0, 1, 2], pa.int32() if kind is pa.ListArray else pa.int64()), turn)
        parquet(tmp_path / "a.parquet", pa.table({"conversation": chat, "timestamp": odd}))
        assert [row for _, row in read(tmp_path / "a.parquet")] == [SourceRow("a"), SourceRow("b")]
    parquet(tmp_path / "a.parquet", pa.table({"prompt": ["a", "b"], "toxic": odd}))
    assert [row.reason for _, row in read(tmp_path / "a.parquet")] == ["malformed"] * 2


def test_the_shapes_of_arrow_are_read_as_those_of_json(tmp_path):
    user = {"role": "user", "content": "a"}
    pairs = pa.map_(pa.string(), pa.string())
    for chat in (
        pa.array([[user]]),
        pa.array(
            [[user]], pa.large_list(pa.struct([("role", pa.large_string()), ("content", pa.large_string())]))
        ),
        pa.array([[[("role", "user"), ("content", "a")]]], pa.list_(pairs)),
        pa.array([{"role": ["user"], "content": ["a"]}]),
        pa.array([[{"role": "user", "content": [{"type": "text", "text": "a", "image": None}]}]]),
        pa.array([json.dumps([user])]),
    ):
        parquet(tmp_path / "a.parquet", pa.table({"messages": chat}))
        assert read(tmp_path / "a.parquet") == [(":1", SourceRow("a"))]
    plain = {
        "prompt": pa.array(["a"]).dictionary_encode(), "type": pa.array(["Letter"]).dictionary_encode(),
        "toxic": pa.array([1], pa.int8()), "length": pa.array([300], pa.uint16()),
    }  # fmt: skip
    parquet(tmp_path / "a.parquet", pa.table(plain))
    assert read(tmp_path / "a.parquet") == [(":1", SourceRow("a", "Letter", 300, toxic=True))]
    parquet(tmp_path / "a.parquet", pa.table({"Prompt": pa.array([b"a"])}))
    assert read(tmp_path / "a.parquet") == [(":1", SourceRow("a"))]


def test_a_parquet_file_with_damaged_names_of_columns_is_an_error(tmp_path):
    WRITERS["a.parquet"](tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(content.replace(b"language", b"lang\xff\xfege"))
    with pytest.raises(BadRecord, match=r"a\.parquet is no whole Parquet file"):
        read(tmp_path / "a.parquet")


@pytest.mark.parametrize("padding", [b"", b"\0", bytes(700), bytes(70_000)])
def test_padding_after_and_between_the_members_of_a_gz_file_is_skipped(tmp_path, padding):
    member = gzip.compress(lines(CHATS))
    (tmp_path / "a.jsonl.gz").write_bytes(member + padding + member + padding)
    assert [row for _, row in read(tmp_path)] == PROMPTS * 2


@pytest.mark.parametrize("rest", [b"rest", gzip.compress(b"x", mtime=0)[:7]])
def test_other_bytes_after_a_gz_member_are_an_error(tmp_path, rest):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(CHATS)) + rest)
    with pytest.raises(BadRecord, match=r"a\.jsonl\.gz breaks off after row \d"):
        read(tmp_path)


SKIPPED_FRAME = b"\x5a\x2a\x4d\x18\x02\0\0\0no"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl.lzma", lzma.compress(lines(CHATS), lzma.FORMAT_ALONE)),
        ("a.jsonl.xz", lzma.compress(lines(CHATS), lzma.FORMAT_ALONE)),
        ("a.ndjson.gzip", gzip.compress(lines(CHATS), mtime=0)),
        ("a.jsonl.Zstd", SKIPPED_FRAME + zstandard.compress(lines(CHATS))),
        ("a.jsonl", BOM + BOM + lines(CHATS)),
        ("a.jsonl", lines(CHATS) + bytes(600)),
        ("a.jsonl", lines(CHATS) + b"\x1a"),
        ("a.jsonl", b"".join(b"\x1e" + line for line in lines(CHATS).splitlines(keepends=True))),
        ("a.jsonl", b"\n".join([b"", *lines(CHATS).splitlines()]).decode().encode("utf-16-le")),
        ("a.jsonl", lines(CHATS).decode().encode("utf-32-le")),
        ("a.jsonl", lines(CHATS).decode().encode("utf-32-be")),
        ("a.json", lines(CHATS)),
    ],
)
def test_rows_are_read_whatever_packs_or_pads_them(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert [row for _, row in read(tmp_path)] == PROMPTS


def test_a_table_in_utf16_without_a_mark_is_read(tmp_path):
    (tmp_path / "a.csv").write_bytes("prompt;kind\r\nTell of a mill.;x\r\n".encode("utf-16-be"))
    assert [row for _, row in read(tmp_path)] == [SourceRow("Tell of a mill.")]


@pytest.mark.parametrize(
    "other",
    ["nan", "-inf", "inf", "-nan(ind)", "None", "undefined", "True", '"a\tb"', '["x", {"y": -Infinity}]'],
)
def test_a_value_that_another_language_writes_in_another_column_spoils_no_row(tmp_path, other):
    (tmp_path / "a.jsonl").write_text(f'{{"prompt": "None of \\"nan\\" is Infinity.", "other": {other}}}\n')
    assert read(tmp_path) == [("/a.jsonl:1", SourceRow('None of "nan" is Infinity.'))]
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "toxic": True, "redacted": nan}\n')
    assert read(tmp_path) == [("/a.jsonl:1", SourceRow("a", toxic=True))]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (gzip.compress(gzip.compress(b"x", mtime=0), mtime=0), "is compressed twice: unpack it once"),
        (gzip.compress(b"a.jsonl".ljust(257, b"\0") + b"ustar", mtime=0), "is a tar archive: unpack it"),
        (b"PAR1" + bytes(9), r"is a Parquet file: name it \.parquet"),
        (b"SQLite format 3\0", "is a database of SQLite"),
        (b"PK\x03\x04", "a workbook of Excel"),
    ],
)
def test_a_file_of_another_kind_says_what_to_do(tmp_path, content, told):
    for name in ("a.jsonl", "a.csv"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadRecord, match=told):
            read(tmp_path / name)


def test_a_line_in_another_encoding_says_to_save_the_file_as_utf8(tmp_path):
    (tmp_path / "a.jsonl").write_bytes('{"prompt": "写一封信。"}\n'.encode("gbk"))
    [(_, row)] = read(tmp_path)
    assert row.detail.endswith("; save the file as UTF-8")


def test_the_hidden_files_of_a_mac_archive_are_left_out(tmp_path, caplog):
    (tmp_path / "__MACOSX").mkdir()
    for name in ("a.jsonl", "__MACOSX/a.jsonl"):
        (tmp_path / name).write_bytes(lines(CHATS))
    caplog.set_level("INFO")
    assert len(read(tmp_path)) == len(CHATS)
    assert "left out: 1 hidden" in caplog.text


def test_a_parquet_file_with_two_columns_of_one_name_is_an_error(tmp_path):
    columns = [pa.array(["Tell me of rivers."]), pa.array(["x"])]
    pq.write_table(pa.Table.from_arrays(columns, names=["prompt", "prompt"]), tmp_path / "a.parquet")
    with pytest.raises(BadRecord, match=r"a\.parquet: its schema names the column prompt more than once"):
        read(tmp_path / "a.parquet")
