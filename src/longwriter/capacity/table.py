"""The report of `longwriter capacity` as text.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from longwriter.amounts import amount
from longwriter.capacity.memory import GIB


def text(report: Mapping[str, Any]) -> str:
    """Return the report of `check.report` as lines of text; the errors come last."""
    blocks = [_facts(report)]
    if report["model"] is not None:
        blocks += [_memory(report), _disk(report)]
    blocks.append("\n".join(f"advice: {line}" for line in report["advice"]))
    blocks.append("\n".join(f"not measured: {line}" for line in report["not_measured"]))
    blocks.append("\n".join(f"does not fit: {line}" for line in report["errors"]) or _verdict(report))
    return "\n\n".join(filter(None, blocks))


def summary(report: Mapping[str, Any]) -> str:
    """Return the verdict of a report without errors in one line, with the memory of a rank and the advice."""
    needs = [
        f"{stage} {_gib(sum(places.get('device', 0) for places in parts.values()))} a rank"
        for stage, parts in (report["memory"] if report["model"] is not None else {}).items()
    ]
    return "; ".join([_verdict(report), *needs, *report["advice"]])


def _verdict(report: Mapping[str, Any]) -> str:
    return (
        "no trouble found; the model is not known yet"
        if report["model"] is None
        else "everything that is known fits"
    )


def _facts(report: Mapping[str, Any]) -> str:
    machine, model = report["machine"], report["model"]
    gpus = "no GPU"
    if machine["gpus"]:
        gpus = f"{machine['gpus']} x {_gib(machine['gpu_bytes'])} {machine['gpu'] or 'GPU'}"
    host = f"{_gib(machine['host_bytes'])} memory, {_gib(machine['disk_bytes'])} disk free"
    rows = []
    if model is not None:
        reach = f"{model['context']:,} tokens" if model["context"] else "not known"
        rows.append(("model", f"{model['model_type']}, {model['parameters']:,} parameters, context {reach}"))
    rows += [
        ("version", f"{report['version']}; licence {report['licence'] or 'not known'}"),
        ("machine", f"{gpus}, {host}"),
    ]
    if model is not None:
        rows += [("training", _training(report)), ("speed", _speed(report)), ("serving", _serving(report))]
    return str(tabulate(rows, tablefmt="plain"))


def _training(report: Mapping[str, Any]) -> str:
    sft, layout = report["training"]["sft"], report["training"]["sft"]["layout"]
    what = f"LoRA, {sft['adapter']:,} weights" if sft["adapter"] else "all weights"
    checkpointing = f"{'' if sft['has_checkpointing'] else 'no '}gradient checkpointing"
    checkpointing += " without attention" * sft["keeps_attention"] + ", offloaded" * sft["has_offload"]
    groups = f" ({sft['sequence_ranks']} share a pack)" if sft["sequence_ranks"] > 1 else ""
    return (
        f"{what}; {amount(sft['ranks'], 'rank')}{groups} on {sft['device']}, ZeRO-{layout['stage']} ({sft['file']}), "
        f"{'bf16' if sft['value_bytes'] == 2 else 'fp32'}, {checkpointing}, {sft['attention']}, {sft['head']} head"
    )


def _speed(report: Mapping[str, Any]) -> str:
    speed, measured = report["speed"], report.get("measured")
    if measured is not None:
        return (
            f"measured in the last SFT here: {measured['tokens_per_s']:,.0f} tokens/s, {measured['step_s']:.1f} s a "
            f"step, {_gib(measured['peak_bytes'])} a rank"
        )
    if speed is None:
        return "not known"
    gpu = speed["gpu"]
    name = f"{gpu['name']}{' (assumed by its memory)' if gpu['is_assumed'] else ''}"
    hours = f"{speed['hours_a_thousand_packs']:.2f} h for 1,000 packs"
    if "hours" in speed:
        hours = f"{speed['hours']:.1f} h of SFT for {amount(speed['packs'], 'pack')}"
    return (
        f"estimate: {speed['tokens_per_s']:,.0f} tokens/s in all, {speed['step_s']:.1f} s a step, {hours} "
        f"({speed['utilisation']:.0%} of the {gpu['flops'] / 1e12:,.0f} TFLOP/s of {name})"
    )


def _serving(report: Mapping[str, Any]) -> str:
    serving = report["serving"]
    if "requests_a_gpu" not in serving:
        return str(serving["engine"])
    if serving["tensor_parallel"] is None:
        return "vllm: these GPUs hold no request of full length"
    return (
        f"vllm: a GPU holds {serving['requests_a_gpu']:.1f} requests of full length; to use all GPUs: "
        f"tensor parallel {serving['tensor_parallel']}, data parallel {serving['data_parallel']}"
    )


def _memory(report: Mapping[str, Any]) -> str:
    """Return the table of a rank's memory: GPU and host, for SFT and DPO."""
    stages = report["memory"]
    is_cpu = report["training"]["sft"]["device"] == "cpu"
    names = dict.fromkeys(name for parts in stages.values() for name in parts)
    places = ("device",) if is_cpu else ("device", "host")
    columns = [(stage, place) for stage in stages for place in places]
    head = [
        f"{stage} {'memory' if is_cpu else 'GPU' if place == 'device' else 'host'}"
        for stage, place in columns
    ]
    rows = [
        [name, *(stages[stage].get(name, {}).get(place, 0) for stage, place in columns)] for name in names
    ]
    rows.append(["a rank", *(sum(row[number] for row in rows) for number in range(1, len(columns) + 1))])
    ranks = report["training"]["sft"]["ranks"]
    rows.append(
        [
            f"all {amount(ranks, 'rank')}" if ranks > 1 else "all ranks",
            *(ranks * size for size in rows[-1][1:]),
        ]
    )
    return _table("GiB", head, rows)


def _disk(report: Mapping[str, Any]) -> str:
    rows: list[list[Any]] = [[name, sizes["device"]] for name, sizes in report["disk"].items()]
    return _table("GiB", ["disk"], [*rows, ["together", sum(row[1] for row in rows)]])


def _table(corner: str, head: list[str], rows: list[list[Any]]) -> str:
    lines = [[name, *(size / GIB for size in sizes)] for name, *sizes in rows]
    return str(tabulate(lines, [corner, *head], floatfmt=",.2f", tablefmt="simple"))


def _gib(size: float | None) -> str:
    return "unknown" if size is None else f"{size / GIB:,.1f} GiB"
