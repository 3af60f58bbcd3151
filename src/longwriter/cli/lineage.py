"""`longwriter lineage`: shows which LLM calls are behind a number or a row, or what was made from a row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from longwriter.amounts import amount
from longwriter.cli import checkout
from longwriter.errors import UserError
from longwriter.text import inert

_WHOLE_CHARS = 2500
"""Longest step, as JSON, that is printed whole without --full."""
_TEXT_CHARS = 300
"""Characters that are printed of each text in a longer step."""
_LINE_CHARS = 90
"""Characters of a text in the tree."""
_DOUBTS = {
    "missing": "not searched; `dvc checkout {path}` brings it back",
    "changed": "searched, but it is not as its stage wrote it; `dvc checkout --force {path}` brings that back",
}
_CALLS_SHOWN = 6
"""Calls of one answer or row in the tree."""


def lineage(
    row_id: Annotated[
        str | None,
        typer.Argument(
            help="sample_id of a row (default: the first long one); with --benchmark the generation_id of an "
            "answer (default: the one with the lowest length score)"
        ),
    ] = None,
    benchmark: Annotated[str | None, typer.Option(help="Start at a model's number on this benchmark")] = None,
    model: Annotated[str, typer.Option(help="A model of the report; with --benchmark")] = "sft",
    as_json: Annotated[bool, typer.Option("--json", help="Print each step as JSON")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="With --json: print requests and answers in full")
    ] = False,
    row: Annotated[str | None, typer.Option(help="Show instead what holds the row with this id")] = None,
    source: Annotated[str | None, typer.Option(help="Show instead what holds the rows of this file")] = None,
) -> None:
    """Follow MLflow's records from the data set, or from a benchmark number, to the LLM calls behind it.

    longwriter lineage: the gated data set, one row, the runs that made it, its LLM calls.

    longwriter lineage --benchmark small --model dpo: the number in the report, one answer with its own
    call, the weights, the training runs, one pack, and a row of it down to the LLM calls that wrote it.

    longwriter lineage --row ID, or --source FILE: every data set, model and number that holds the row, and
    which stages become stale when the row is withdrawn.

    Example: longwriter lineage --benchmark small --model sft
    """
    checkout.require()
    if row is not None or source is not None:
        if row is not None and source is not None:
            raise UserError("--row and --source exclude each other: name one of them")
        _print_holders(row, source, as_json=as_json)
        return
    checkout.require_runs()
    from longwriter.audit import lineage as audit

    steps = audit.walk_benchmark(benchmark, model, row_id) if benchmark else audit.walk(row_id)
    if not as_json:
        for line in tree(steps):
            typer.echo(inert.terminal(line))
        return
    for step in steps:
        text = json.dumps(step, ensure_ascii=False, indent=2)
        is_whole = full or len(text) < _WHOLE_CHARS
        short = text if is_whole else json.dumps(_shortened(step), ensure_ascii=False, indent=2)
        typer.echo(inert.terminal(short))


def tree(steps: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the steps of a walk as the lines of a tree, one or two for each step."""
    calls = 0
    for step in steps:
        if "call" not in step and calls > _CALLS_SHOWN:
            yield f"   └─ … {amount(calls - _CALLS_SHOWN, 'more call')} (--json shows all)"
        calls = calls + 1 if "call" in step else 0
        if calls <= _CALLS_SHOWN:
            yield from _lines(step)
    if calls > _CALLS_SHOWN:
        yield f"   └─ … {amount(calls - _CALLS_SHOWN, 'more call')} (--json shows all)"


def _length_score(value: float | None) -> str:
    return "no S_l" if value is None else f"S_l {value:.1f}"


def _lines(step: dict[str, Any]) -> Iterator[str]:
    if "number" in step:
        number = step["number"]
        yield f"number  {number['model']} on {number['benchmark']}: {_length_score(number['S_l'])} (n = {number['n']})"
        yield f"   report {_run(step['report'])}"
    elif "score" in step:
        score = step["score"]
        yield (
            f"└─ score  {_length_score(score['length_score'])}: {amount(score['words'], 'word')}, "
            f"{score['required_words'] or 'no length'} asked for"
            f"{_run(step['run'])}"
        )
    elif "answer" in step:
        answer = step["answer"]
        yield f"└─ answer {answer['generation_id']}: {_cut_line(answer['text'])}{_run(step['run'])}"
        yield f"   to     {_cut_line(answer['prompt'])}"
    elif "model" in step:
        yield f"└─ model  {step['model']}, weights {step['weights']}{_run(step['run'])}"
    elif "pair" in step:
        pair = step["pair"]
        scores = (
            f"chosen {pair['chosen_score']:.1f}, rejected {pair['rejected_score']:.1f}"
            if pair["chosen_score"] is not None
            else f"from {pair['origin']}"
        )
        yield f"└─ pair   {pair['pair_id']}: {scores} ({amount(step['of'], 'pair')})"
    elif "pack" in step:
        yield f"└─ pack   {step['pack']} of {step['of']}, {amount(len(step['sample_ids']), 'row')}{_run(step['run'])}"
    elif "gate" in step:
        yield f"gate    {', '.join(step['data'])}{_run(step['gate'])}"
    else:
        yield from _row_lines(step)


def _row_lines(step: dict[str, Any]) -> Iterator[str]:
    if "row" in step:
        row = step["row"]
        yield f"└─ row    {row['sample_id']} in {step['in']}: {amount(row['words'], 'word')}"
        yield f"   prompt {_cut_line(row['messages'][0]['content'])}"
        yield f"   text   {_cut_line(row['messages'][-1]['content'])}"
        if row["call_ids"] and row["instruction_id"]:
            from longwriter.traces import spans, traces

            yield f"   trace  {traces.url(spans.trace_id(row['instruction_id'], row['call_ids']))}"
    elif "runs" in step:
        for stage, run in step["runs"].items():
            yield f"└─ {stage:6} run{_run(run)}"
    elif "call" in step:
        call = step["call"]
        text = ((call.get("answer") or {}).get("choices") or [{}])[0].get("message", {}).get("content") or ""
        how = "stored answer" if call["replayed"] else f"{call['latency_s']:.1f} s"
        yield f"   └─ call {step['stage']} {call['call_id'][:12]}, {call['model']}, {how}: {_cut_line(str(text), 50)}"


def _run(run: dict[str, str]) -> str:
    return f"  {run['url']}" + (f" ({run['status']})" if run["status"] not in ("", "executed") else "")


def _cut_line(text: str, chars: int = _LINE_CHARS) -> str:
    line = inert.line(text)
    return line if len(line) <= chars else f"{line[:chars]} …"


def _print_holders(row: str | None, source: str | None, *, as_json: bool) -> None:
    from longwriter.audit import holders

    held_by = holders.of_row(row) if row is not None else holders.of_source(str(source))
    if as_json:
        typer.echo(inert.terminal(json.dumps(held_by._asdict(), ensure_ascii=False, indent=2)))
        return
    lines = [
        f"ids      {_list(held_by.ids)}",
        f"from     {_list(held_by.origins) or 'not named by the rows'}",
        *(f"data     {path}: {count} row{'s' * (count != 1)}" for path, count in held_by.data.items()),
        *(f"model    {path}" for path in held_by.models),
        *(f"number   {path}" for path in held_by.numbers),
        *(f"{word:8} {path}: {_DOUBTS[word].format(path=path)}" for path, word in held_by.doubts.items()),
        f"stale    without the row: {', '.join(held_by.stale)}",
        "withdraw `longwriter withdraw ID` takes the row out of all data sets on the next run",
    ]
    for line in lines:
        typer.echo(inert.terminal(line))


def _list(names: list[str]) -> str:
    """Return names in one line: the first ten, and the number of the others."""
    others = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + others


def _shortened(value: Any) -> Any:
    """Return a JSON value in which the long texts of objects are cut."""
    if isinstance(value, dict):
        return {key: _cut(item) if isinstance(item, str) else _shortened(item) for key, item in value.items()}
    return [_shortened(item) for item in value] if isinstance(value, list | tuple) else value


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_CHARS else f"{text[:_TEXT_CHARS]} …"
