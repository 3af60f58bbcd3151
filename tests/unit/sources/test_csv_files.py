"""CSV and TSV files as people and programs write them."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.errors import BadRecord
from longwriter.schemas.contents import Unusable
from longwriter.schemas.rows import SourceRow
from longwriter.sources import csv_files
from longwriter.sources import files as sources

SEA, FIR = "Describe the sea.", "Describe a fir."
TWO = [(":1", SourceRow(SEA)), (":2", SourceRow(FIR))]


def read(source, pattern="**/*.csv"):
    items = [item for chunk in sources.chunks(str(source), pattern) for item in sources.rows(chunk)]
    return [(where.removeprefix(str(source)), row) for where, row in items]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", f"prompt\n{SEA}\n{FIR}\n"),
        ("a.csv", f"prompt\r\n{SEA}\r\n\r\n{FIR}"),
        ("a.csv", f"\ufeffprompt\n{SEA}\n{FIR}\n"),
        ("A.CSV", f'"id","Prompt "\n1,"{SEA}"\n2,"{FIR}"\n'),
        ("a.csv", f"id;prompt;note\n1;{SEA};a,b,c\n2;{FIR};\n"),
        ("a.csv", f"sep=;\nid;prompt\n1;{SEA}\n2;{FIR}\n"),
        ("a.csv", f"prompt\tid\n{SEA}\t1\n{FIR}\t2\n"),
        ("a.tsv", f"id\tprompt\n1\t{SEA}\n2\t{FIR}\n"),
        ("a.TSV", f"prompt,of\tQuestion\n\t{SEA}\n\t{FIR}\n"),
        ("a.csv", f"instruction,input\n{SEA},\n{FIR}, \n"),
        ("a.csv", f"prompt,toxic,length,type,language\n{SEA},,,,\n{FIR},False,,,\n"),
    ],
)
def test_a_table_is_read_whatever_wrote_it(tmp_path, name, content):
    for encoding in ("utf-8", "utf-16"):
        (tmp_path / name).write_bytes(content.encode(encoding))
        assert read(tmp_path / name) == TWO
        assert read(tmp_path, f"*{name[1:].lower()}") == [(f"/{name}{where}", row) for where, row in TWO]
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    assert read(tmp_path / f"{name}.gz") == TWO


def test_what_a_table_states_is_read_and_quoted_line_ends_belong_to_the_text(tmp_path):
    (tmp_path / "a.csv").write_text(
        'prompt,type,length,language,toxic,x\r\n"Write, ""now"",\r\n\r\n写。",Letter,300,Chinese,1,\r\n'
        f"{SEA},,300.0,,no,y\r\n",
        newline="",
    )
    assert read(tmp_path / "a.csv") == [
        (":1", SourceRow('Write, "now",\r\n\r\n写。', "Letter", 300, "zh", toxic=True)),
        (":2", SourceRow(SEA, None, 300)),
    ]


CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": SEA, "n": None}]


@pytest.mark.parametrize("text", [json.dumps(CHAT), json.dumps(CHAT, indent=1), repr(CHAT)])
@pytest.mark.parametrize("column", ["messages", "conversations", "prompt"])
def test_a_chat_in_a_cell_is_read_as_json_and_as_python_writes_it(tmp_path, column, text):
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", column], [1, text]])
    assert read(tmp_path / "a.csv") == [(":1", SourceRow(SEA))]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"a,b,c", "3 cells, and the first line names 2 columns"),
        (b"a", "1 cells, and the first line names 2 columns"),
        (b'"a"b,c', "no CSV"),
        (b"a\xff,1", "no UTF-8: save the file as CSV UTF-8"),
        (b"a\0b,1", "NUL"),
        (b"a,soon", "length: a whole number"),
        (b"a,-3", "length: a whole number"),
        (b"a,99999999999999999999", "length: a whole number"),
    ],
)
def test_a_row_that_cannot_be_read_is_malformed_and_the_next_is_read(tmp_path, line, told):
    (tmp_path / "a.csv").write_bytes(b"prompt,length\n" + line + f"\n{SEA},\n".encode())
    [(where, bad), (_, row)] = read(tmp_path / "a.csv")
    assert (where, bad.reason, row) == (":1", "malformed", SourceRow(SEA))
    assert told in bad.detail


def test_an_empty_cell_is_no_instruction(tmp_path):
    (tmp_path / "a.csv").write_text('prompt,id\n,1\n" ",2\n')
    assert [row.reason for _, row in read(tmp_path / "a.csv")] == ["no_instruction"] * 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "its first line must name one of the columns chat, chat_messages, conversation"),
        ("title,body\na,b\n", "and it holds 'title', 'body'"),
        (f"{SEA}\n{FIR}\n", "its first line must name"),
        ("prompt,Prompt\na,b\n", "names the column prompt more than once"),
        (f'prompt\n{SEA}\n"never closed\n{FIR}\n', "breaks off after row 1: a quoted cell is not closed"),
        ("\0\0\0", "its first line must name"),
    ],
)
def test_a_file_that_is_no_table_of_instructions_is_reported_in_one_line(tmp_path, content, told):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(BadRecord) as error:
        read(tmp_path / "a.csv")
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'prompt\na\n"' + b"b\n" * 12_000_000)
    with pytest.raises(BadRecord, match=r"breaks off after row 1: a quoted cell .* 16,777,216 characters"):
        read(tmp_path / "a.csv")


def test_a_table_beside_the_data_is_left_out_unless_it_is_named(tmp_path, caplog):
    (tmp_path / "labels.csv").write_text("id,label\n1,good\n")
    (tmp_path / "a.jsonl").write_text(json.dumps({"prompt": SEA}))
    with caplog.at_level("INFO"):
        assert read(tmp_path, "**/*") == [("/a.jsonl:1", SourceRow(SEA))]
    assert "labels.csv: left out: its first line must name" in caplog.text
    with pytest.raises(BadRecord, match=r"labels\.csv: its first line"):
        read(tmp_path)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=5), st.sampled_from(",;\t"))
def test_what_a_program_writes_comes_back(rows, delimiter):

    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows([("prompt", "id"), *rows])
    table = csv_files.Table(
        "a.csv", io.BufferedReader(io.BytesIO(file.getvalue().encode("utf-8", "replace"))), 10**6
    )
    texts = [text.encode("utf-8", "replace").decode() if text.strip() else None for text, _ in rows]
    values = [json.loads(row)["prompt"] for row in table.rows()]
    assert values == texts


@given(st.binary(max_size=200))
def test_whatever_a_file_holds_it_gives_rows_or_one_error(content):

    try:
        table = csv_files.Table("a.csv", io.BufferedReader(io.BytesIO(b"prompt,id\n" + content)), 100)
        assert all(isinstance(row, bytes | Unusable) for row in table.rows())
    except BadRecord:
        pass


def test_reading_a_table_never_lowers_the_limit_of_other_readers():
    before = csv.field_size_limit()
    csv_files.Table("a.csv", io.BufferedReader(io.BytesIO(b"prompt,id\n")), before // 10)
    assert csv.field_size_limit() == before
