"""Feeds made-up texts, bytes and JSON to every parser of what comes from outside, and reports what breaks.

The inputs are random ones, fragments of the parsers' own patterns, and changed copies of good inputs. A parser
may raise only the exceptions that its entry in `parsers` names. Of each other exception the smallest input that
Hypothesis finds is printed.

Run: `python -m infra.bench.fuzz --seconds 300` (for each parser); `--only sources` for some of them. Prints a line
for each parser: inputs, longest time in CPU ms and its size, exceptions; ends with 1 if there was an exception.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import io
import json
import logging
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from infra.bench import hostile_texts, text_rules
from longwriter import params, records
from longwriter.agentwrite.paragraphs import drafts
from longwriter.agentwrite.plans import coverage, plan
from longwriter.calls import answers, error_bodies, prices, replay
from longwriter.calls.answers import NoCompletion
from longwriter.endpoints import endpoint, transport
from longwriter.errors import BadParams, BadRecord
from longwriter.exclusions import decontamination
from longwriter.instructions import patterns
from longwriter.io import files, s3
from longwriter.judge import judgements
from longwriter.launch import checkpoints
from longwriter.lengths import stated
from longwriter.params import extra_body
from longwriter.schemas import rows
from longwriter.settings import named_files, yaml_file
from longwriter.sources import files as source_files
from longwriter.talk import poison  # fmt: skip
from longwriter.text import inert, language, repetition  # fmt: skip
from longwriter.text.basics import (  # fmt: skip
    counting,
    endings,
    markup,
    prompts,
    thinking,
    wording,
    wrappers,
)

_BATCH = 200  # inputs between two looks at the clock
_GOOD_CHAT = {
    "id": "1", "object": "chat.completion", "model": "m", "system_fingerprint": "f",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "<think>a</think>Yes.",
                 "reasoning_content": "so", "refusal": None}}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 1}},
}  # fmt: skip
_GOOD_ERRORS = [
    {"error": {"message": "You exceeded your current quota.", "type": "insufficient_quota", "code": "429"}},
    [{"error": {"code": 400, "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}],
    {"detail": "budget"}, {"choices": [{"error": {"message": "no credit", "code": 402}}]},
]  # fmt: skip
_GOOD_ROWS = [
    {"prompt": "Write.", "type": "a", "length": 300, "language": "en"},
    {"conversation": [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "a"}], "toxic": False},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "Write."}]}]},
    {"conversations": [{"from": "human", "value": "Write."}]}, {"instruction": "Write", "input": "a"},
    {"mapping": {"a": {"message": {"author": {"role": "user"}, "content": {"parts": ["Write."]}}}}},
]  # fmt: skip
_GOOD_PLAN = {"steps": [{"main_point": "The bridge", "word_count": 100}]}
_GOOD_JUDGEMENT = {"analysis": "Good.", **dict.fromkeys(judgements.DIMENSIONS, 3)}
_LINES = "Paragraph 1 - Main Point: The bridge - Word Count: 100 words\n第1段 - 要点：桥 - 字数：300字"


class Parser(NamedTuple):
    """What reads an input, the inputs, and the exceptions that it may raise."""

    read: Callable[[Any], object]
    inputs: st.SearchStrategy[Any]
    allowed: tuple[type[Exception], ...] = ()


def texts() -> st.SearchStrategy[str]:
    """Return texts: any characters, lone surrogates too, and fragments of all patterns."""
    near = {text for _, (one, _) in text_rules.patterns() for text in hostile_texts.near_misses(one, count=4)}
    pieces = sorted(near | set(text_rules.UNITS) | {"\ud800", "\x85", "\u2028"})
    fragments = st.lists(st.sampled_from(pieces) | st.text(max_size=4), max_size=30).map("".join)
    repeats = st.builds(lambda piece, times: piece * times, st.sampled_from(pieces), st.integers(2, 3000))
    return st.text() | fragments | fragments | repeats


def values(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return JSON values, with numbers of any size and the names that parsers know as keys."""
    good = [_GOOD_CHAT, *_GOOD_ERRORS, *_GOOD_ROWS, _GOOD_PLAN, _GOOD_JUDGEMENT]
    names = st.sampled_from(sorted(set(_names(good)))) | st.text(max_size=5)
    plain = (
        leaves
        | st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.sampled_from([10**400, -1, 2**63])
    )
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
        max_leaves=12,
    )


def _names(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for inner in value.values() for name in _names(inner))]
    return [name for inner in value for name in _names(inner)] if isinstance(value, list) else []


@st.composite
def changed(draw: st.DrawFn, good: Any, others: st.SearchStrategy[Any]) -> Any:
    """Return a copy of a good JSON value in which one part is left out or another value."""
    if draw(st.integers(0, 5)) == 0:
        return draw(others)
    if isinstance(good, dict) and good:
        name = draw(st.sampled_from(sorted(good)))
        if draw(st.booleans()) and draw(st.booleans()):
            return {key: value for key, value in good.items() if key != name}
        return {**good, name: draw(changed(good[name], others))}
    if isinstance(good, list) and good:
        return [draw(changed(good[0], others)), *good[1:]]
    return draw(others)


@st.composite
def cut(draw: st.DrawFn, good: str | bytes, pieces: st.SearchStrategy[Any]) -> Any:
    """Return a copy of a good text or of bytes in which up to four places are replaced."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(good)))
        good = good[:start] + draw(pieces) + good[start + draw(st.integers(0, 20)) :]
    return good


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _of_file(read: Callable[[Path], object], name: str) -> Callable[[bytes], object]:
    """Return a function that writes bytes to a file and reads that."""

    def call(content: bytes) -> object:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(content)
            return read(path)

    return call


def _source(path: Path) -> None:
    for chunk in source_files.chunks(str(path), "*"):
        list(source_files.rows(chunk))


def _parquet() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([_GOOD_ROWS[0], _GOOD_ROWS[0]]), file)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"abc" * 20)
        archive.writestr("archive/data/0", b"\0" * 64, compress_type=zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _all(*functions: Callable[[Any], object]) -> Callable[[Any], object]:
    return lambda value: [function(value) for function in functions]


def parsers() -> dict[str, Parser]:
    """Return the parsers by name."""
    text = texts()
    value = values(
        st.text(max_size=20) | st.sampled_from(["user", "stop", "text", "<think>", "\ud800", "[]", "{}"])
    )
    junk = st.binary(max_size=12) | st.sampled_from(
        [b"\x00", b"\xff", b"{", b"[" * 3000, b'"', b"\\ud800", b"9" * 5000]
    )
    chat = changed(_GOOD_CHAT, value).map(_json_bytes)
    bodies = chat | cut(_json_bytes(_GOOD_CHAT), junk) | st.binary() | value.map(_json_bytes)
    errors = (
        st.one_of([changed(error, value) for error in _GOOD_ERRORS]).map(_json_bytes)
        | bodies
        | text.map(lambda words: words.encode("utf-8", "surrogatepass"))
    )
    source_rows = st.one_of([changed(row, value) for row in _GOOD_ROWS]) | value
    lines = st.lists(source_rows.map(_json_bytes), max_size=4).map(b"\n".join) | cut(
        b"\n".join(map(_json_bytes, _GOOD_ROWS)), junk
    )
    arrays = st.lists(source_rows, max_size=4).map(_json_bytes) | cut(_json_bytes(_GOOD_ROWS), junk)
    instruction = records.Instruction(
        instruction_id="a", prompt="a", type="a", language="en", required_words=1, origin="a:1"
    ).model_dump_json()
    yaml = Path("params.yaml").read_text(encoding="utf-8")
    yaml_pieces = st.sampled_from(
        ["\n", "\t", "- ", ": ", "&a ", "*a", "<<: ", "!!int ", "0x1", "1_0", ".inf", "2020-01-01", "{", "[", '"', "'", "|",
         "?", "#", "%", "---", "...", "\x00", "\ue000", "~", "yes", "1e999", "9" * 99, "llm:", "  "]
    ) | st.text(max_size=6)  # fmt: skip
    harm = Path("src/longwriter/rules/harm.yaml").read_text(encoding="utf-8")
    price_table = prices.PRICES.read_text(encoding="utf-8")
    benchmark = decontamination.index(
        ["Write a letter of 500 words about the old bridge.", "写一篇关于春天的散文。"]
    )
    limits = drafts.Limits(1, 3.0, 0.5)
    packed = replay.pack(_json_bytes(_GOOD_CHAT), 0.5)
    as_bytes = lambda words: words.encode("utf-8", "surrogatepass")  # noqa: E731
    plans = text | changed(_GOOD_PLAN, value).map(json.dumps) | cut(_LINES, text)
    return {
        "answers body": Parser(answers.read, bodies, (NoCompletion,)),
        "error bodies": Parser(
            _all(error_bodies.message, lambda body: error_bodies.concerns_account(400, body, "Write."),
                 lambda body: error_bodies.refuses_request(404, body)),
            errors,
        ),
        "retry-after": Parser(lambda words: transport.wait_s({"retry-after": words}, 0.0), text),
        "markup": Parser(
            _all(thinking.split_thinking, thinking.reasoning_text, markup.control_token, markup.without_outer_tokens,
                 markup.without_control_characters, markup.tool_call, wrappers.without_wrapper, wrappers.without_role), text,
        ),
        "endings, counting": Parser(
            _all(endings.ends, endings.is_cut, counting.whole_sentences, counting.count_words, counting.tokens,
                 counting.normalise, counting.first_paragraph), text,
        ),
        "poison": Parser(_all(poison.check_text, poison.check_point), text),
        "paragraphs": Parser(
            lambda answer: drafts.check_whole(
                drafts.clean_paragraph(answer, False, True), limits, "en", "Write a letter."
            ),
            text,
        ),
        "wording": Parser(_all(wording.unspoken, wording.strip_identifier, wording.strip_identifiers), text),
        "inert": Parser(_all(inert.terminal, inert.line, inert.html, inert.markdown, inert.code_block, inert.csv_cell), text),
        "masked": Parser(inert.masked, value),
        "repetition, language, benchmark": Parser(
            _all(lambda words: repetition.measures(words, ["lines", "paragraph_chars", "top_2", "duplicate_5"]),
                 language.identify, lambda words: decontamination.hit(benchmark, words)), text,
        ),
        "prompts": Parser(
            _all(prompts.break_marks, prompts.parse_object, prompts.read_object,
                 lambda words: prompts.fill("{text}", text=words), lambda words: prompts.framed("{text}", "key", text=words)),
            text | value.map(json.dumps),
        ),
        "plan": Parser(
            lambda answer: [plan.parse_plan(answer, form, "length") for form in ("lines", "json_object", "json_schema")],
            plans,
        ),
        "judgement": Parser(
            judgements.parse_judgement, text | changed(_GOOD_JUDGEMENT, value).map(json.dumps) | value.map(json.dumps)
        ),
        "coverage": Parser(
            _all(coverage.parse_coverage, coverage.terms, lambda words: coverage.coverage(words, [words, "a"]),
                 lambda words: coverage.duplicates(words.split("\n")[:9])), text | value.map(json.dumps),
        ),
        "stated length": Parser(lambda prompt: stated.restated(prompt, stated.statement(prompt), 300), text),
        "sources rows": Parser(_all(rows.parse, rows.schema), source_rows),
        "sources jsonl": Parser(_of_file(_source, "a.jsonl"), lines, (BadRecord,)),
        "sources json": Parser(_of_file(_source, "a.json"), arrays | lines, (BadRecord,)),
        "sources gz": Parser(
            _of_file(_source, "a.jsonl.gz"), lines.map(gzip.compress) | cut(gzip.compress(b'{"prompt":"a"}\n' * 9), junk),
            (BadRecord,),
        ),
        "sources zst": Parser(
            _of_file(_source, "a.jsonl.zst"), cut(zstandard.compress(b'{"prompt":"a"}\n' * 9), junk), (BadRecord,)
        ),
        "sources parquet": Parser(_of_file(_source, "a.parquet"), cut(_parquet(), junk), (BadRecord,)),
        "params.yaml": Parser(
            lambda words: params.complete(yaml_file.parse(words, "params.yaml")), cut(yaml, yaml_pieces), (BadParams,)
        ),
        "params.yaml bytes": Parser(_of_file(params.load, "params.yaml"), cut(as_bytes(yaml), junk), (BadParams,)),
        "prices": Parser(
            _of_file(lambda path: prices.price("gpt-4o", path), "prices.yaml"),
            cut(price_table, yaml_pieces).map(as_bytes), (BadParams,),
        ),
        "rules": Parser(
            _of_file(patterns.read_patterns, "harm.yaml"), cut(harm, yaml_pieces).map(as_bytes), (BadParams,)
        ),
        "extra_body": Parser(extra_body.sendable, st.dictionaries(st.text(max_size=9), value), (ValueError, ValidationError)),
        "hosts, json files": Parser(_all(named_files.hosts, named_files.read_json_object), text | value.map(json.dumps)),
        "s3 url": Parser(lambda words: s3.parts(f"s3://{words}"), text, (BadParams, BadRecord)),
        "endpoint url": Parser(endpoint.origin, text.map(lambda words: f"http://{words}"), (ValueError,)),
        "jsonl": Parser(
            _of_file(lambda path: list(files.scan_jsonl(path, records.Instruction)), "a.jsonl"),
            cut(as_bytes(instruction + "\n" + instruction), junk) | lines,
        ),
        "json file": Parser(_of_file(files.read_json, "a.json"), bodies, (BadRecord,)),
        "zstd lines": Parser(
            _of_file(lambda path: list(files.read_zstd_lines(path)), "a.zst"), cut(zstandard.compress(b"{}\n" * 9), junk),
            (BadRecord,),
        ),
        "replay row": Parser(
            lambda row: replay.unpack(row, "a"),
            cut(zstandard.compress(packed), junk) | cut(packed, junk).map(zstandard.compress),
        ),
        "training curve": Parser(
            _of_file(checkpoints._readable_points, "curve.jsonl"), cut(b'{"step": 1, "loss": 2.0}\n' * 3, junk) | lines
        ),
        "checkpoint marker": Parser(
            _of_file(lambda path: checkpoints.damage(path.parent), checkpoints.COMPLETE),
            cut(b'{"a.pt": [10, 123]}', junk) | bodies,
        ),
        "checkpoint file": Parser(_of_file(checkpoints._bad_record, "a.pt"), cut(_zip(), junk)),
    }  # fmt: skip


class Report(NamedTuple):
    """The result of one parser."""

    inputs: int
    longest_s: float
    longest_size: int
    failures: list[str]


def fuzz(parser: Parser, seconds: float) -> Report:
    """Feed a parser for so many seconds, and return its result."""
    counts = {"inputs": 0, "longest_s": 0.0, "size": 0}
    failures: list[str] = []
    ends_at = time.monotonic() + seconds
    batch = 0
    while time.monotonic() < ends_at and len(failures) < 3:
        batch += 1

        @seed(batch)
        @settings(
            max_examples=_BATCH, database=None, deadline=None, phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(parser.inputs)
        def one_batch(sample: Any) -> None:
            if time.monotonic() > ends_at + 10:  # what is left of the batch
                return
            counts["inputs"] += 1
            gc.disable()  # a collection looks at all that Hypothesis holds: up to 100 ms, of which no parser is the cause
            start = time.process_time()
            try:
                parser.read(sample)
            except parser.allowed:
                pass
            finally:
                took = time.process_time() - start
                gc.enable()
                if took > counts["longest_s"]:
                    size = len(sample) if isinstance(sample, (str, bytes)) else len(repr(sample))
                    counts.update(longest_s=took, size=size)

        try:
            one_batch()
        except Exception as error:
            note = "; ".join(getattr(error, "__notes__", []))
            failures.append(f"{type(error).__name__}: {error} {note}"[:1500])
    return Report(int(counts["inputs"]), counts["longest_s"], int(counts["size"]), failures)


def main() -> int:
    """Print the table; return 1 if a parser raised what it does not declare."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--seconds", type=float, default=300.0)
    options.add_argument("--only", default="", help="part of the names of the parsers")
    chosen = options.parse_args()
    logging.disable()  # what is damaged is logged, a thousand times here
    drafts.prepare()  # else the first text has to load the models, which takes a second
    failed = 0
    sys.stdout.write(
        "| parser | inputs | longest CPU ms | its size | exceptions |\n|---|---:|---:|---:|---:|\n"
    )
    for name, parser in parsers().items():
        if chosen.only in name:
            report = fuzz(parser, chosen.seconds)
            sys.stdout.write(
                f"| {name} | {report.inputs:,} | {1000 * report.longest_s:.1f} | {report.longest_size:,} |"
                f" {len(report.failures)} |\n"
            )
            for failure in report.failures:
                sys.stdout.write(f"    {failure}\n")
            sys.stdout.flush()
            failed += len(report.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
