"""Checks and measures training on one GPU in eight minutes; each result is written at once, as a JSON line.

    versions     packages, GPU, and a sum over NCCL
    attention    ms of forward and backward pass of one layer: by sequence, variable length, with a mask
    sft          seconds a step, tokens/s, MFU, peak memory of a 1.2B Llama with random weights, packs of 32,768
                 tokens; with each ZeRO layout, offload, the dense loss head, LoRA, QLoRA, selective
                 checkpointing, activations on the host, and two ranks that share each pack. A training that this
                 machine cannot do is named with what it needs
    dpo          the same for pairs of 8,192 and of 32,768 tokens
    resume       `kill -9` and SIGTERM in the middle of a training; its curve against one that nobody stopped
    definition   tests/gpu: loss and gradient norm against their definition, with each layout

Run: `python -m infra.bench.gpu_check --out FOLDER` at the root of the repository; `--tiny` takes small models
and a CPU, and shows that the script works; `--only sft,dpo` leaves the rest out. Exit code 1 if a check failed.

MFU is the share of the GPU's bf16 peak (989 TFLOP/s, H100 and H200) that the model's own operations take:
6 for each weight and token, and 6 * width * layers * length**2 for the causal attention of a sequence. Work that
gradient checkpointing repeats does not count.

On a machine without network that has PyTorch for CUDA, transformers, accelerate, peft, pyarrow and pytest, bring
these wheels (13 MB), and put them and `src` into PYTHONPATH: trl, datasets, deepspeed (`pip wheel deepspeed`
builds it), dill, multiprocess, xxhash, hjson, pydantic, pydantic_core, annotated_types, typing_inspection,
zstandard, ruamel.yaml, gguf. DeepSpeed compiles its Adam for the CPU there (`zero3_offload`), which needs g++
and ninja.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from longwriter.io import packs
from longwriter.launch import checkpoints, launch
from longwriter.launch.launch import Job
from longwriter.params import DpoParams
from longwriter.tokens.packing import IGNORE_INDEX
from longwriter.web import net
from tests import tiny_model
from tests.jobs import OPTIMIZER, ROOT, TRAINING, job, with_lora

PEAK_FLOPS = 989e12  # dense bf16 of H100 SXM and H200, from NVIDIA's data sheets
PACKAGES = (
    "torch",
    "transformers",
    "accelerate",
    "trl",
    "peft",
    "deepspeed",
    "datasets",
    "pyarrow",
    "triton",
)
CHECKS = ("versions", "attention", "sft", "dpo", "resume", "definition")


class Size(NamedTuple):
    """Shape of the model, and numbers of tokens and steps."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    pack: int
    pair: int
    steps: int
    long_row: int
    """Median tokens of a long row."""


FULL = Size(2048, 16, 32, 8, 8192, 128_256, 32_768, 8_192, 8, 8_000)
SMALL = Size(512, 8, 8, 2, 2048, 8_192, 8_192, 1_024, 60, 2_000)  # for `resume`: checkpoints of 0.5 GB
TINY = Size(64, 2, 4, 2, 128, 512, 512, 64, 3, 120)
TINY_RESUME = TINY._replace(steps=60, pack=256)


class Variant(NamedTuple):
    """A training that is measured."""

    check: str
    name: str
    layout: str = "zero2"
    steps: int | None = None
    training: dict[str, Any] = {}  # noqa: RUF012 - never changed
    lora_rank: int | None = None
    is_quantised: bool = False
    ranks: int = 1


def variants(device: str) -> list[Variant]:
    """Return the trainings that are measured on a device, the important ones first."""
    by_sequence = {"attention": "sdpa"}
    dense = {"loss_head": "dense"}
    selective, offload = {"selective_checkpointing": True}, {"activation_offload": True}
    made = [
        Variant("sft", "zero2"),
        Variant("sft", "zero2, attention by sequence", steps=5, training=by_sequence),
        Variant("sft", "zero2, LoRA of rank 16", steps=5, lora_rank=16),
        Variant("sft", "zero2, dense loss head", steps=3, training=dense),
        Variant("dpo", "zero2, 4 pairs of 8k and 2 of 32k"),
        Variant("sft", "zero3", "zero3", 4),
        Variant("dpo", "zero3, 4 pairs of 8k and 2 of 32k", "zero3"),
        Variant("sft", "zero3_offload", "zero3_offload", 3),
        Variant("sft", "zero2, selective checkpointing", steps=3, training=selective),
    ]
    if device == "cuda":  # activations of a CPU are in the memory of the host anyway
        made.append(Variant("sft", "zero2, activation offload", steps=3, training=offload))
    lora = "zero2, QLoRA of rank 16"
    made.append(Variant("sft", lora, steps=5, lora_rank=16, is_quantised=True))
    two = {"sequence_ranks": 2}
    made.append(Variant("sft", "zero2, 2 ranks share each pack", steps=5, training=two, ranks=2))
    return made


def missing(variant: Variant, device: str) -> str | None:
    """Return what a training needs and this machine lacks; None if it can run."""
    if device == "cuda" and torch.cuda.device_count() < variant.ranks:
        return f"{variant.ranks} GPUs"
    if variant.is_quantised:
        has_package = importlib.util.find_spec("bitsandbytes") is not None
        needs = [
            name
            for name, is_there in (("an NVIDIA GPU", device == "cuda"), ("bitsandbytes", has_package))
            if not is_there
        ]
        return " and ".join(needs) or None
    return None


class Report:
    """Writes results as JSON lines, and knows whether a check failed and how much time is left."""

    def __init__(self, out: Path, minutes: float) -> None:
        """Write to `out`/gpu_check.jsonl and to standard output."""
        out.mkdir(parents=True, exist_ok=True)
        self.out = out
        self._file = (out / "gpu_check.jsonl").open("a", encoding="utf-8")
        self._began = time.monotonic()
        self._limit_s = 60 * minutes
        self.has_failed = False

    def left_s(self) -> float:
        """Return the seconds that are left."""
        return self._limit_s - (time.monotonic() - self._began)

    def add(self, check: str, name: str, **result: Any) -> None:
        """Write one result."""
        line = {"at_s": round(time.monotonic() - self._began, 1), "check": check, "name": name, **result}
        for file in (self._file, sys.stdout):
            file.write(json.dumps(line) + "\n")
            file.flush()

    @contextmanager
    def guard(self, check: str, name: str) -> Iterator[None]:
        """Report an error of one check, so that the others still run."""
        try:
            yield
        except Exception as error:
            self.has_failed = True
            self.add(check, name, error=f"{type(error).__name__}: {error}"[-1500:])


def versions(report: Report, device: str) -> None:
    """Report packages and GPU, and that a sum over the ranks works."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    machine: dict[str, Any] = {"python": sys.version.split()[0], "cpus": os.cpu_count()}
    if device == "cuda":
        gpu = torch.cuda.get_device_properties(0)
        nccl = ".".join(map(str, torch.cuda.nccl.version()))
        machine |= {
            "gpu": gpu.name,
            "gib": round(gpu.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
            "nccl": nccl,
        }
    torch.distributed.init_process_group(
        "nccl" if device == "cuda" else "gloo",
        init_method=f"tcp://127.0.0.1:{net.free_port()}",
        rank=0,
        world_size=1,
    )
    one = torch.ones(1, device=device)
    torch.distributed.all_reduce(one)
    torch.distributed.destroy_process_group()
    report.add("versions", "packages", **found, **machine, sum_over_ranks=one.item())


def write_model(folder: Path, size: Size, device: str) -> int:
    """Write a Llama with random bf16 weights; return the weights that a token is multiplied with."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tiny_model.write(folder)  # the tokenizer
    config = LlamaConfig(
        vocab_size=size.vocabulary, hidden_size=size.hidden, intermediate_size=size.feed_forward,
        num_hidden_layers=size.layers, num_attention_heads=size.heads, num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.pack, bos_token_id=1, eos_token_id=2, pad_token_id=2, tie_word_embeddings=True,
        dtype="bfloat16",
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())  # the head is the embedding


def mixture(size: Size, number: int) -> list[dict[str, Any]]:
    """Return full packs as LongWriter's mixture makes them: 40 % of the tokens in long rows, the rest in chats."""
    random_ = random.Random(0)
    rows = []
    for key in range(number):
        lengths: list[int] = []
        while sum(lengths) < size.pack * 0.4:
            lengths.append(int(random_.lognormvariate(0, 0.5) * size.long_row))
        while sum(lengths) < size.pack:
            lengths.append(int(random_.lognormvariate(0, 0.7) * size.long_row / 25) + 8)
        while sum(lengths) > size.pack:
            over = sum(lengths) - size.pack
            lengths[-1] -= over
            if lengths[-1] < 2:
                over = -lengths.pop()
                lengths[-1] -= over
        rows.append(_pack(key, lengths, size.vocabulary))
    return rows


def _pack(key: int, lengths: list[int], vocabulary: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(key)
    ids = torch.randint(3, vocabulary, (sum(lengths),), generator=generator).tolist()
    labels = list(ids)
    start = 0
    for length in lengths:
        prompt = max(1, length // 10)
        labels[start : start + prompt] = [IGNORE_INDEX] * prompt
        start += length
    sample_ids = [f"{key}-{place}" for place in range(len(lengths))]
    return {"input_ids": ids, "labels": labels, "seq_lengths": lengths, "sample_ids": sample_ids}


def _pairs(size: Size) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for length in [size.pair] * 4 + [size.pair * 4] * 2:
        prompt, chosen, rejected = (
            torch.randint(3, size.vocabulary, (tokens,), generator=generator).tolist()
            for tokens in (length // 10, length - length // 10, length - length // 10)
        )
        rows.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return rows


def make_job(folder: Path, model: Path, size: Size, variant: Variant, device: str) -> Job:
    """Return the job of a variant, with its rows written."""
    steps = variant.steps or size.steps
    rows = mixture(size, steps)
    made = job(folder, model, rows, variant.ranks, batch_packs=1)
    update: dict[str, Any] = {
        "device": device,
        "layout": launch.layout_of(str(ROOT / f"infra/deepspeed/{variant.layout}.json")),
        "training": TRAINING.model_copy(
            update={
                "precision": "bf16" if device == "cuda" else "fp32",
                "gradient_checkpointing": True,
                "attention": "auto",
            }
            | variant.training
        ),
    }
    if variant.check == "dpo":
        pairs = _pairs(size)
        packs.write_pairs(folder / "train.parquet", pairs)
        packs.write_pairs(folder / "test.parquet", pairs[:1])
        update |= {"kind": "dpo", "sft": None, "dpo": DpoParams(
            loss="sigmoid", beta=0.1, sft_weight=0.0, batch_pairs=1, max_length=4 * size.pair, optimizer=OPTIMIZER,
        )}  # fmt: skip
    made = made.model_copy(update=update)
    rank = variant.lora_rank
    if rank is None:
        return made
    return with_lora(made, variant.layout, rank=rank, alpha=2.0 * rank, quantised=variant.is_quantised)


def train_alone(file: str) -> None:
    """Be a rank of a job, without checkpoints and publishing, once a line comes on standard input."""
    from longwriter.training.ranks import rank
    from longwriter.training.ranks.watch import Watch

    sys.stdin.readline()  # the imports of all variants run side by side, the trainings one after the other
    task = Job.model_validate_json(Path(file).read_text(encoding="utf-8"))
    rank.connect(task.device, 600)
    folder = Path(task.checkpoints)
    folder.mkdir(parents=True, exist_ok=True)
    watch = Watch(folder, 1)
    trainer = (rank.sft_trainer if task.kind == "sft" else rank.dpo_trainer)(task, folder / "datasets", watch)
    trainer.args.save_strategy = "no"
    trainer.train()
    if os.environ["RANK"] == "0":
        _write_host(folder, trainer)
    torch.distributed.destroy_process_group()


def _write_host(folder: Path, trainer: Any) -> None:
    """Write the memory of the first rank's process, and what the ranks chose."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    (folder / "host.json").write_text(
        json.dumps(
            {
                "host_gib": round(host, 2),
                "attention": trainer.choices["attention"].name,
                "attention_error": trainer.choices["attention"].error,
                "loss_head": trainer.choices["loss_head"].name,
            }
        ),
        encoding="utf-8",
    )


def measure(report: Report, folder: Path, size: Size, device: str, chosen: list[Variant]) -> None:
    """Measure variants of SFT and DPO, each in a process of its own."""
    weights = write_model(folder / "model", size, device)
    if device == "cuda":
        torch.cuda.empty_cache()
    started: list[tuple[Variant, Job, list[subprocess.Popen[bytes]]]] = []
    try:
        for number, variant in enumerate(chosen):
            if needs := missing(variant, device):
                report.add(variant.check, variant.name, skipped=f"needs {needs}")
                continue
            place = folder / f"variant-{number}"
            task = make_job(place, folder / "model", size, variant, device)
            (place / "job.json").write_text(task.model_dump_json(), encoding="utf-8")
            started.append((variant, task, _start_ranks(place, device, variant.ranks)))
        for variant, task, ranks in started:
            with report.guard(variant.check, variant.name):
                _run_variant(report, variant, task, ranks, size, weights)
    finally:
        for process in (process for _, _, ranks in started for process in ranks):
            process.kill()
            process.wait()


def _start_ranks(place: Path, device: str, number: int) -> list[subprocess.Popen[bytes]]:
    """Start the ranks of a training; each imports, and waits for its line."""
    own = {
        "WORLD_SIZE": str(number), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(net.free_port()),
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    } | ({} if device == "cuda" else {"DS_ACCELERATOR": "cpu"})  # fmt: skip
    processes = []
    with (place / "log.txt").open("wb") as log:
        for rank in map(str, range(number)):
            processes.append(subprocess.Popen(
                [sys.executable, "-m", "infra.bench.gpu_check", "--train-alone", str(place / "job.json")],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, cwd=place,
                env=os.environ | own | {"RANK": rank, "LOCAL_RANK": rank},
            ))  # fmt: skip
    return processes


def _run_variant(
    report: Report,
    variant: Variant,
    task: Job,
    ranks: list[subprocess.Popen[bytes]],
    size: Size,
    weights: int,
) -> None:
    if report.left_s() < 20:
        raise TimeoutError("no time was left for this one")
    began = time.monotonic()
    for process in ranks:
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it has failed, and its log says why
            process.stdin.write(b"go\n")
            process.stdin.close()
    try:
        for process in ranks:
            process.wait(timeout=max(1.0, report.left_s()))
    except subprocess.TimeoutExpired as error:
        for process in ranks:
            process.kill()
        raise TimeoutError(f"stopped after {time.monotonic() - began:.0f} s") from error
    folder = Path(task.checkpoints)
    if any(process.returncode for process in ranks):
        log = (folder.parent / "log.txt").read_text(errors="replace")
        raise RuntimeError(log.strip()[-1200:])
    points = checkpoints.read_curve(folder / checkpoints.CURVE)
    numbers = json.loads((folder / "host.json").read_text())
    measured = points[1:]  # the first one also prepares
    rows = packs_rows(task)
    report.add(
        variant.check, variant.name, steps=len(points), step_s=_median([point["step_s"] for point in measured]),
        tokens_per_s=_median([point["tokens_per_s"] for point in measured]),
        mfu=_mfu(measured, rows[1:], size, weights, variant.ranks) if task.kind == "sft" else None,
        peak_gib=max(point["peak_gib"] for point in points), **numbers,
        losses=[round(point["loss"], 4) for point in points], seconds=round(time.monotonic() - began, 1),
        steps_s=[point["step_s"] for point in points] if task.kind == "dpo" else None,
    )  # fmt: skip


def packs_rows(task: Job) -> list[list[int]]:
    """Return the lengths of the sequences of each pack; empty for pairs."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(task.train)
    return table.column("seq_lengths").to_pylist() if "seq_lengths" in table.column_names else []


def _mfu(points: list[dict[str, float]], rows: list[list[int]], size: Size, weights: int, gpus: int) -> float:
    """Return the share of the GPUs' peak over these steps; all packs are of one mixture, so their order is no matter."""
    flops = sum(
        6 * weights * sum(lengths) + 6 * size.hidden * size.layers * sum(length**2 for length in lengths)
        for lengths in rows
    )
    return round(flops / sum(point["step_s"] for point in points) / gpus / PEAK_FLOPS, 4)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def attention(report: Report, size: Size, device: str) -> None:
    """Measure one layer's attention over a pack of 3, 50 and 300 sequences, the first call and later ones."""
    head = size.hidden // size.heads
    for tokens, number in [(size.pack, 3), (size.pack, 50), (size.pack, 300), (size.pack // 4, 12)]:
        lengths = _uneven(tokens, min(number, tokens // 8))
        shapes = [(1, size.heads, tokens, head)] + [(1, size.kv_heads, tokens, head)] * 2
        dtype = torch.bfloat16 if device == "cuda" else torch.float32
        inputs = [torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for shape in shapes]
        first, reference = {}, None
        result: dict[str, Any] = {"tokens": tokens, "sequences": len(lengths)}
        for name, way in _ways(lengths, device, size, has_mask=tokens < size.pack).items():
            torch.backends.cuda.enable_cudnn_sdp(name.endswith("cudnn"))  # off, as in the ranks
            with report.guard("attention", f"{name}, {len(lengths)} sequences"):
                first[name], output = _time_ms(way, inputs, device)
                result[f"{name}_ms"] = sorted(_time_ms(way, inputs, device)[0] for _ in range(9))[4]
                reference = output if reference is None else reference
                error = (output.float() - reference.float()).norm() / reference.float().norm()
                result[f"{name}_difference"] = float(f"{error.item():.1e}")
        report.add("attention", f"{len(lengths)} sequences", **result, first_call_ms=first)


def _ways(
    lengths: list[int], device: str, size: Size, *, has_mask: bool
) -> dict[str, Callable[..., torch.Tensor]]:
    """Return the implementations; each takes query, key and value and returns (1, tokens, heads, head size)."""
    from longwriter.training.ranks.attention import by_sequence, by_varlen

    module = torch.nn.Module()
    module.num_key_value_groups = size.heads // size.kv_heads
    starts = torch.tensor([0, *lengths], device=device).cumsum(0).to(torch.int32)

    def apart(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        return by_sequence(module, query, key, value, lengths)

    def varlen(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        rows = [row[0].transpose(0, 1) for row in (query, key, value)]
        return by_varlen(rows[0], rows[1], rows[2], starts, max(lengths))[None]

    ways: dict[str, Callable[..., torch.Tensor]] = {"by_sequence": apart}
    if device == "cuda":
        ways |= {"varlen": varlen}
        if len(lengths) == 50:  # plans for 300 lengths would take 20 s
            ways |= {"by_sequence_cudnn": apart}
    if has_mask:
        owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)).to(device)
        mask = (owner[:, None] == owner[None]).tril()

        def masked(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
            call = torch.nn.functional.scaled_dot_product_attention
            return call(query, key, value, attn_mask=mask, enable_gqa=True).transpose(1, 2)

        ways["mask"] = masked
    return ways


def _uneven(tokens: int, number: int) -> list[int]:
    """Return `number` lengths of that sum, cut at random places."""
    cuts = sorted(random.Random(number).sample(range(1, tokens), number - 1))
    return [end - start for start, end in pairwise([0, *cuts, tokens])]


def _time_ms(
    way: Callable[..., torch.Tensor], inputs: list[torch.Tensor], device: str
) -> tuple[float, torch.Tensor]:
    """Return the ms of a forward and backward pass, and the output."""
    for tensor in inputs:
        tensor.grad = None
    if device == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    output = way(*inputs)
    output.sum().backward()
    if device == "cuda":
        torch.cuda.synchronize()
    return round(1000 * (time.perf_counter() - began), 3), output.detach()


def train_whole(file: str) -> None:
    """Train one job as a stage does, with ranks, checkpoints and publishing; SIGTERM saves and leaves."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    launch.run(
        Job.model_validate_json(Path(file).read_text(encoding="utf-8")), lambda _: None, lambda _: None
    )


def resume(report: Report, folder: Path, size: Size, device: str) -> None:
    """Stop a training by `kill -9` and by SIGTERM, and compare its curve with one that nobody stopped."""
    write_model(folder / "model", size, device)
    curves = {}
    for name, stops in (
        ("whole", []),
        ("stopped", [(size.steps // 3, signal.SIGKILL), (2 * size.steps // 3, signal.SIGTERM)]),
    ):
        place = folder / name
        saving = {"save_steps": max(1, size.steps // 6)}
        task = make_job(place, folder / "model", size, Variant("sft", name, training=saving), device)
        (place / "job.json").write_text(task.model_dump_json(), encoding="utf-8")
        curve = Path(task.checkpoints) / checkpoints.CURVE
        began = time.monotonic()
        resumed_at = []
        for step, number in stops:
            _train_until(place, curve, step, number, report.left_s())
            resumed_at.append(checkpoints.finished(curve.parent)[-1])
        _train_until(place, curve, 0, None, report.left_s())
        curves[name] = checkpoints.read_curve(curve)
        report.add(
            "resume",
            name,
            steps=len(curves[name]),
            resumed_at=resumed_at,
            seconds=round(time.monotonic() - began, 1),
        )
    differences = [
        abs(a["loss"] - b["loss"]) / abs(a["loss"])
        for a, b in zip(curves["whole"], curves["stopped"], strict=True)
    ]
    report.add("resume", "curves", largest_relative_difference_of_loss=float(f"{max(differences):.2e}"))
    if max(differences) > 1e-2:
        raise AssertionError("the resumed training has another curve")


def _train_until(place: Path, curve: Path, step: int, number: int | None, limit_s: float) -> None:
    """Train in another process; send it the signal once the curve has reached the step."""
    with (place / "log.txt").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.bench.gpu_check", "--train-whole", str(place / "job.json")],
            stdout=log, stderr=subprocess.STDOUT, cwd=place,
        )  # fmt: skip
    end = time.monotonic() + limit_s
    try:
        while process.poll() is None and time.monotonic() < end:
            points = checkpoints.read_lines(curve)
            if number is not None and points and points[-1]["step"] >= step:
                process.send_signal(number)
                process.wait(120)
                return
            time.sleep(0.02)
        if process.returncode != 0:
            raise RuntimeError(
                (place / "log.txt").read_text(errors="replace").strip()[-1200:] or "no time was left"
            )
        if number is not None:
            raise RuntimeError(f"the training ended before the step {step} was seen")
    finally:
        process.kill()
        process.wait()


def definition(report: Report) -> None:
    """Run tests/gpu; report each test as it ends, and keep the whole output."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-v",
        "--color=no",
        "-p",
        "no:cacheprovider",
        "-o",
        "addopts=",
        "tests/gpu/test_gpu.py",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    alarm = threading.Timer(max(1.0, report.left_s()), process.kill)
    alarm.start()
    with (report.out / "tests_gpu.txt").open("w", encoding="utf-8") as out:
        for line in process.stdout:
            out.write(line)
            outcome = re.search(r"::(\S+) (PASSED|FAILED|ERROR|SKIPPED)", line)
            if outcome:
                report.add("definition", outcome[1], outcome=outcome[2].lower())
    alarm.cancel()
    if process.wait():
        raise AssertionError(f"pytest ended with {process.returncode}; see tests_gpu.txt")


def main() -> int:
    """Run the checks; return the exit code."""
    parser = argparse.ArgumentParser(description="Check and measure training on one GPU.")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for gpu_check.jsonl")
    parser.add_argument("--tiny", action="store_true", help="small models, on a CPU if there is no GPU")
    parser.add_argument("--only", default=",".join(CHECKS), help="checks, with commas between them")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for all of it")
    parser.add_argument("--trainings", default="", help="measure only trainings with this in their name")
    parser.add_argument("--train-alone", help=argparse.SUPPRESS)
    parser.add_argument("--train-whole", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.train_alone or given.train_whole:
        (train_alone if given.train_alone else train_whole)(given.train_alone or given.train_whole)
        return 0
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not given.tiny:
        parser.error(
            "found no NVIDIA GPU; allowed: --tiny, which runs the same checks with small models on a CPU"
        )
    checks = given.only.split(",")
    if unknown := set(checks) - set(CHECKS):
        parser.error(f"--only: found {', '.join(sorted(unknown))}; allowed: {', '.join(CHECKS)}")
    report = Report(given.out, given.minutes)
    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    os.chdir(folder)  # the logs of ranks go into .lw below it
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    )
    try:
        _run(report, folder, device, checks, given.trainings, is_tiny=given.tiny)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report.add("end", "all", failed=report.has_failed)
    return int(report.has_failed)


def _run(
    report: Report, folder: Path, device: str, checks: list[str], trainings: str, *, is_tiny: bool
) -> None:
    size = TINY if is_tiny else FULL
    if "versions" in checks:
        with report.guard("versions", "all"):
            versions(report, device)
    if "attention" in checks:
        with report.guard("attention", "all"):
            attention(report, size, device)
    if {"sft", "dpo"} & set(checks):
        with report.guard("sft", "all"):
            chosen = [
                one
                for one in variants(device)
                if one.check in checks and trainings in f"{one.check} {one.name}"
            ]
            measure(report, folder / "measure", size, device, chosen)
    right = {
        "resume": lambda: resume(report, folder / "resume", TINY_RESUME if is_tiny else SMALL, device),
        "definition": lambda: definition(report),
    }
    with ThreadPoolExecutor() as pool:  # these measure no speed, so they run side by side
        for name in right.keys() & set(checks):
            pool.submit(_guarded, report, name, right[name])


def _guarded(report: Report, name: str, check: Callable[[], None]) -> None:
    with report.guard(name, "all"):
        check()


if __name__ == "__main__":
    sys.exit(main())
