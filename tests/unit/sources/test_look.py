import json

from longwriter.sources import files, look


def logged(tmp_path, caplog, **contents):
    for name, rows in contents.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    caplog.set_level("INFO", logger=look.log.name)
    chunks = list(files.chunks(str(tmp_path), "*.jsonl"))
    assert list(look.logged(iter(chunks))) == chunks
    return [line.replace(f"{tmp_path}/", "") for line in caplog.messages if " below " not in line]


def test_format_schema_and_three_rows_are_logged_once_for_each_schema(tmp_path, caplog):
    chat = {"messages": [{"role": "User", "content": "Tell me of the moon."}]}
    lines = logged(tmp_path, caplog, a=[{"prompt": "a" * 100}] * 5, b=[{"prompt": "b"}], c=[chat, {"x": 1}])
    assert lines[:4] == [
        "a.jsonl: JSON Lines; instruction from: prompt",
        f'  a.jsonl:1: "{"a" * 80}…"', f'  a.jsonl:2: "{"a" * 80}…"', f'  a.jsonl:3: "{"a" * 80}…"',
    ]  # fmt: skip
    assert lines[4].startswith(
        "c.jsonl: JSON Lines; instruction from: messages (a chat: role, content); no instruction (no prompt: "
    )
    assert lines[5] == '  c.jsonl:1: "Tell me of the moon."'
    assert lines[6].startswith("  c.jsonl:2: malformed: no prompt: one of the columns")
    assert len(lines) == 7


def test_no_row_can_write_to_the_terminal(tmp_path, caplog):
    rows = [
        {"prompt": "a\x1b[2Jb\r\n\u202ec\x07 写"},
        {"messages": [{"role": "\x1b[0m", "content": "a"}]},
        {"\x1b": 1},
    ]
    lines = logged(tmp_path, caplog, a=rows)
    assert lines[1] == '  a.jsonl:1: "a\\x1b[2Jb\\r\\n\\u202ec\\x07 写"'
    assert all(line.isprintable() for line in lines)
