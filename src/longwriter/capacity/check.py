"""The report of `longwriter capacity`: what the parameters need, what the machine has, what does not fit."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.amounts import amount
from longwriter.capacity import config, findings, memory, speed
from longwriter.capacity.machine import Machine
from longwriter.capacity.memory import GIB, Part, Training
from longwriter.capacity.shape import Shape
from longwriter.io import files
from longwriter.launch import checkpoints, launch, sharing
from longwriter.models import source
from longwriter.models.base import rope
from longwriter.params import Params
from longwriter.params.models import LLMParams, VllmParams
from longwriter.params.training import LoraParams
from longwriter.tracking import versioning

_WEIGHTS = files.DATA / "base_model" / "weights"
_LAYOUTS = ("zero2", "zero3", "zero3_offload")  # the fastest first


class Model(NamedTuple):
    """The base model as far as it is known."""

    shape: Shape | None
    licence: str | None
    version: str
    """Whether the source is pinned, in words."""
    is_gguf: bool
    is_here: bool
    """Whether base_model has fetched it."""
    reason: str
    """Why the shape is not known."""


def model_of(params: Params, config_file: Path | None = None, is_of_checkout: bool = True) -> Model:
    """Return what is known of the base model: from the output of base_model if it is current, else from its source.

    Args:
        params: All parameters.
        config_file: A config.json to take instead, as it is, without base_model.rope_scaling.
        is_of_checkout: Whether params.yaml names the same base model, so that its fetched weights count.

    Raises:
        ModelUnusable: the config is not one of a causal language model, or the hub has no such repository.
    """
    if config_file is not None:
        return Model(config.read(config_file), None, "not looked at", False, False, "")
    name = params.base_model.source
    if is_of_checkout and versioning.is_current("base_model", _WEIGHTS):
        shape = config.read(_WEIGHTS / "config.json")
        return Model(shape, None, _version(name, None), (_WEIGHTS / "model.gguf").is_file(), True, "")
    facts = source.look(name)
    setting = params.base_model.rope_scaling
    scaling = None if setting is None else rope.Scaling(**setting.model_dump())
    own = config.read(facts.config, scaling) if facts.config else None
    return Model(own, facts.licence, _version(name, facts.commit), False, False, facts.reason)


def _version(name: str, commit: str | None) -> str:
    if not name.startswith("hub:"):
        return "pinned by sha256" if name.startswith("pypi:") else "a folder"
    if source.is_pinned(name):
        return "pinned"
    advice = f"@{commit}" if commit else "@COMMIT"
    return (
        f"not pinned: another version may come tomorrow; write {advice} as the revision in base_model.source"
    )


def trainings(params: Params, machine: Machine, shape: Shape, lora: int | None = None) -> dict[str, Training]:
    """Return what the ranks of SFT and of DPO do on a machine."""
    settings = params.training
    if settings.hostfile is not None:
        ranks = sum(slots for _, slots in launch.hosts(Path(settings.hostfile)))
    else:
        ranks = settings.ranks if settings.ranks != "auto" else machine.gpus or 2
    base = Training(
        device=launch.device_of(settings, machine.gpus),
        ranks=ranks,
        layout=memory.layout(launch.layout_of(settings.deepspeed)),
        value_bytes=2 if settings.precision == "bf16" else 4,
        has_checkpointing=settings.gradient_checkpointing,
        keeps_attention=settings.selective_checkpointing,
        has_offload=settings.activation_offload,
        head="fused",
        tokens=params.pack.max_length,
    )
    both = {
        "sft": base._replace(
            sequence_ranks=settings.sequence_ranks, **_adapter(params.sft.lora, lora, shape)
        ),
        "dpo": base._replace(tokens=2 * params.dpo.max_length, **_adapter(params.dpo.lora, lora, shape)),
    }
    setting = settings.loss_head
    return {
        name: training._replace(head=memory.default_head(shape, training) if setting == "auto" else setting)
        for name, training in both.items()
    }


def _adapter(settings: LoraParams | None, rank: int | None, shape: Shape) -> dict[str, Any]:
    """Return the fields of a training for LoRA; layers that LoRA leaves out count too."""
    if rank is not None:
        return {"adapter": rank * shape.linear_ends}
    if settings is None:
        return {}
    whole = len(settings.full_layers) * shape.vocabulary * shape.hidden  # the embedding or the head
    return {"adapter": settings.rank * shape.linear_ends + whole, "is_quantised": settings.quantised}


def report(params: Params, machine: Machine, model: Model, lora: int | None = None) -> dict[str, Any]:
    """Return what the parameters need and what does not fit, as JSON values; `table.text` prints them.

    Args:
        params: All parameters.
        machine: Where the training runs.
        model: The base model.
        lora: Rank of LoRA on every linear layer; None = as the parameters say.
    """
    result: dict[str, Any] = {
        "model": None, "version": model.version, "licence": model.licence, "machine": machine._asdict(),
        "errors": [], "advice": [], "not_measured": [],
    }  # fmt: skip
    result["errors"] += missing_packages(params, machine)
    if model.shape is None:
        result["not_measured"].append(
            f"the model: {model.reason}; the check is repeated when base_model has run, and --model CONFIG.json "
            "makes it now"
        )
        return result
    shape = model.shape
    result["model"] = shape._asdict()
    stages = trainings(params, machine, shape, lora)
    result["training"] = {name: _fields(params, training) for name, training in stages.items()}
    result["memory"] = {name: _rows(memory.parts(shape, training)) for name, training in stages.items()}
    number = params.training.keep_checkpoints
    kept = {"sft": number + (params.sft.publish == "best"), "dpo": number}
    result["checkpoints"] = {
        name: memory.checkpoints(shape, training, kept[name]) for name, training in stages.items()
    }
    disk = memory.disk(shape, stages, kept, model.is_here)
    result["disk"] = _rows(disk)
    result["errors"] += [
        *filter(None, [findings.context(shape, _context_needs(params), model.is_gguf)]),
        *_overfull(params, machine, shape, stages),
        *filter(None, [findings.full_disk(disk, machine.disk_bytes)]),
    ]
    result["errors"] += _recomputing_problems(params, stages)
    result["advice"] = [*_advice(machine, shape, stages), *_split_groups(params)]
    result["speed"] = _speed(params, machine, shape, stages)
    result["serving"] = _serving(params, machine, shape)
    if result["serving"].get("error"):
        result["errors"].append(result["serving"]["error"])
    result["errors"] += _unserved_llms(params, machine, shape)
    result["measured"] = measured(stages["sft"], params) if machine.is_this and model.is_here else None
    result["not_measured"] += _not_measured(machine, model, stages["sft"])
    return result


def _rows(parts: list[Part]) -> dict[str, dict[str, int]]:
    return {row.name: {"device": row.device, "host": row.host} for row in parts}


def _fields(params: Params, training: Training) -> dict[str, Any]:
    values = training._asdict() | {"layout": training.layout._asdict(), "file": params.training.deepspeed}
    return values | {"attention": params.training.attention}


def _llms(params: Params) -> dict[str, LLMParams]:
    """Return the models that plan and write, by their key."""
    llms = {"llm": params.llm, "plan.llm": params.plan.llm, "write.llm": params.write.llm}
    return {key: llm for key, llm in llms.items() if llm is not None}


def _context_needs(params: Params) -> dict[str, int]:
    """Return the tokens that positions must reach, by parameter."""
    needs = {
        "pack.max_length": params.pack.max_length,
        "dpo.max_length": params.dpo.max_length,
        "serving.context_tokens": params.serving.context_tokens,
    }
    for key, llm in _llms(params).items():
        if llm.engine != "external" and Path(llm.model) == _WEIGHTS:
            needs[f"{key}.context_tokens"] = llm.context_tokens
    return needs


def missing_packages(params: Params, machine: Machine) -> list[str]:
    """Return a sentence for each package that the parameters need and that is not installed on this machine."""
    errors = []
    if params.training.attention == "flash_attention_2" and machine.has_package("flash_attn") is False:
        errors.append(
            "training.attention is flash_attention_2, and the package flash_attn is not installed here: "
            "pip install flash-attn on the machine of the GPUs, or set training.attention: sdpa"
        )
    engines = {"serving": params.serving.engine} | {key: llm.engine for key, llm in _llms(params).items()}
    if (of_vllm := [key for key, engine in engines.items() if engine == "vllm"]) and (
        machine.has_package("vllm") is False
    ):
        errors.append(
            f"{' and '.join(f'{key}.engine' for key in of_vllm)}: vllm is not installed here: "
            "pip install -e '.[vllm]' -c infra/constraints.txt on the machine of the GPUs"
        )
    has_bitsandbytes = machine.has_package("bitsandbytes")
    for key, lora in (("sft", params.sft.lora), ("dpo", params.dpo.lora)):
        refusal = launch.quantisation_problem(
            lora, key, has_gpu=machine.gpus > 0, has_package=has_bitsandbytes
        )
        errors += [refusal] if refusal else []
    return errors


def _recomputing_problems(params: Params, stages: Mapping[str, Training]) -> list[str]:
    """Return a sentence if the layout does not allow the gradient checkpointing."""
    problems = [
        launch.recomputing_problem(params.training, training.layout.stage, training.device)
        for training in stages.values()
    ]
    return list(dict.fromkeys(filter(None, problems)))


def _overfull(params: Params, machine: Machine, shape: Shape, stages: Mapping[str, Training]) -> list[str]:
    """Return a sentence for each stage whose ranks do not fit, and for batches that ranks cannot share."""
    shape_problem = sharing.pack_problem(
        shape.model_type, shape.other_layers, shape.takes_sdpa, params.training.attention
    )
    errors = [shape_problem] if shape_problem else []
    batches = {"sft.batch_packs": params.sft.batch_packs, "dpo.batch_pairs": params.dpo.batch_pairs}
    for (key, batch), (name, training) in zip(batches.items(), stages.items(), strict=True):
        errors += filter(
            None,
            [
                sharing.batch_problem(training.ranks, batch, key, training.sequence_ranks),
                _heads_problem(shape, training.sequence_ranks),
            ],
        )
        if params.training.hostfile is None and machine.gpus and training.ranks > machine.gpus:
            errors.append(
                f"training.ranks is {training.ranks}, and the machine has {amount(machine.gpus, 'GPU')}: set auto"
            )
        host = None if params.training.hostfile is not None else machine.host_bytes
        problem = findings.overfull(shape, training, machine.gpu_bytes, host)
        if problem:
            others = _layouts(training, params.training.deepspeed)
            shares = _shares(params, shape, training.ranks) if name == "sft" else []
            cure = findings.cure(shape, training, others, machine.gpu_bytes, host, shares)
            errors.append(f"{name}: {problem}; {cure}")
    return list(dict.fromkeys(errors))


def _heads_problem(shape: Shape, sequence_ranks: int) -> str | None:
    return sharing.model_problem(sequence_ranks, shape.heads, shape.kv_heads, shape.other_layers)


def _shares(params: Params, shape: Shape, ranks: int) -> list[int]:
    """Return how many ranks could share a pack, the smallest number first; more than now, and more than one."""
    if params.training.attention not in ("auto", "sdpa"):
        return []
    more = range(params.training.sequence_ranks + 1, ranks + 1)
    return [
        number
        for number in more
        if sharing.batch_problem(ranks, params.sft.batch_packs, "sft.batch_packs", number) is None
        and _heads_problem(shape, number) is None
    ]


def _layouts(training: Training, own: str) -> dict[str, Training]:
    """Return a training in its own layout and in those that ship, by file."""
    names = dict.fromkeys([own, *(f"infra/deepspeed/{name}.json" for name in _LAYOUTS)])
    return {
        name: training._replace(layout=memory.layout(launch.layout_of(name)))
        for name in names
        if Path(name).is_file()
    }


def _advice(machine: Machine, shape: Shape, stages: Mapping[str, Training]) -> list[str]:
    """Return a sentence if the ranks use the memory of the host although the GPUs have room."""
    is_offload = stages["sft"].layout.host_optimizer or stages["sft"].layout.host_weights
    if not machine.gpus or not is_offload:
        return []
    for name in _LAYOUTS[:2]:
        file = f"infra/deepspeed/{name}.json"
        layout = memory.layout(launch.layout_of(file))
        others = [training._replace(layout=layout) for training in stages.values()]
        if all(findings.overfull(shape, other, machine.gpu_bytes, None) is None for other in others):
            return [f"SFT and DPO also fit with training.deepspeed: {file}, which is faster than offload"]
    return []


def _speed(
    params: Params, machine: Machine, shape: Shape, stages: Mapping[str, Training]
) -> dict[str, Any] | None:
    """Return tokens per second, and hours where the packs are there; None without a known GPU."""
    gpu = speed.peak(machine.gpu, machine.gpu_bytes) if machine.gpus else None
    if gpu is None:
        return None
    rate = speed.tokens_per_s(shape, stages["sft"], gpu)
    step = params.sft.batch_packs * params.pack.max_length / rate
    result: dict[str, Any] = {"gpu": gpu._asdict(), "utilisation": speed.UTILISATION, "tokens_per_s": rate}
    result |= {"step_s": step, "hours_a_thousand_packs": 1000 * step / params.sft.batch_packs / 3600}
    packs = files.DATA / "pack" / "metrics.json"
    if versioning.is_current("pack", files.DATA / "pack" / "train.parquet") and packs.is_file():
        number = files.read_json(packs, dict[str, float]).get("train_packs", 0)
        result["packs"] = number
        result["hours"] = number * params.sft.optimizer.epochs * result["hours_a_thousand_packs"] / 1000
    return result


def _serving(params: Params, machine: Machine, shape: Shape) -> dict[str, Any]:
    """Return how vLLM can share the GPUs; `error` if its server would not start."""
    if params.serving.engine != "vllm":
        return {"engine": params.serving.engine}
    if machine.gpu_bytes is None:
        return {"engine": "vllm", "error": "serving.engine is vllm, and there is no GPU"}
    own = _server("serving", params.serving.context_tokens, params.serving.vllm)
    settings = (own.context_tokens, own.memory_share)
    number = findings.tensor_parallel(shape, machine.gpus, machine.gpu_bytes, *settings)
    result: dict[str, Any] = {
        "engine": "vllm",
        "cache_bytes_a_token": findings.cache_bytes(shape),
        "requests_a_gpu": findings.requests_at_once(
            shape, machine.gpu_bytes, own.context_tokens, share=own.memory_share
        ),
        "tensor_parallel": number,
        "data_parallel": machine.gpus // number if number else None,
    }
    if problem := findings.unserved(shape, machine.gpus, machine.gpu_bytes, own):
        result["error"] = problem
    return result


def _server(key: str, context_tokens: int, settings: VllmParams | None) -> findings.Server:
    if settings is None:
        return findings.Server(key, context_tokens)
    shards, copies = settings.tensor_parallel, settings.data_parallel
    return findings.Server(key, context_tokens, shards, copies, settings.memory_share)


def _unserved_llms(params: Params, machine: Machine, shape: Shape) -> list[str]:
    """Return a sentence for each local model that plans or writes, and that vLLM could not serve on this machine."""
    errors = []
    for key, llm in _llms(params).items():
        if llm.engine != "vllm":
            continue
        if machine.gpu_bytes is None:
            errors.append(f"{key}.engine is vllm, and there is no GPU")
            continue
        file = Path(llm.model) / "config.json"
        known = shape if Path(llm.model) == _WEIGHTS else config.read(file) if file.is_file() else None
        server = _server(key, llm.context_tokens, llm.vllm)
        problem = findings.unserved(known, machine.gpus, machine.gpu_bytes, server)
        errors += [problem] if problem else []
    return errors


def _split_groups(params: Params) -> list[str]:
    """Return a sentence if ranks that share packs lie on several nodes."""
    number = params.training.sequence_ranks
    if params.training.hostfile is None or number == 1:
        return []
    split = [
        f"{name} ({slots})" for name, slots in launch.hosts(Path(params.training.hostfile)) if slots % number
    ]
    if not split:
        return []
    return [
        f"training.sequence_ranks is {number}, which does not divide the slots of {', '.join(split[:3])}: ranks of several "
        "nodes share a pack, and exchange heads for tokens in each layer over the network; set it to a divisor of the slots"
    ]


def measured(training: Training, params: Params) -> dict[str, float] | None:
    """Return speed and peak memory of the last finished SFT of this checkout with these settings, or None."""
    folders = sorted(
        files.LOCAL.glob("checkpoints/sft-*"), key=lambda path: path.stat().st_mtime, reverse=True
    )
    for folder in folders:
        try:
            job = launch.Job.model_validate_json((folder / launch.JOB).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        curve = [point for point in checkpoints.read_curve(folder / checkpoints.CURVE) if "step_s" in point]
        is_same = job.training.precision == params.training.precision and job.ranks == training.ranks
        has_same_layout = memory.layout(job.layout) == training.layout
        if not (is_same and has_same_layout and curve and (folder / checkpoints.HELD_OUT).is_file()):
            continue
        keys = ("gradient_checkpointing", "selective_checkpointing", "activation_offload", "sequence_ranks")
        if all(getattr(job.training, key) == getattr(params.training, key) for key in keys):
            return {
                "tokens_per_s": statistics.median(point["tokens_per_s"] for point in curve),
                "step_s": statistics.median(point["step_s"] for point in curve),
                "peak_bytes": max(point["peak_gib"] for point in curve) * GIB,
            }
    return None


def _not_measured(machine: Machine, model: Model, training: Training) -> list[str]:
    """Return which parts of the report are only computed, or are not known."""
    rows = []
    if machine.gpus:
        rows += [
            "memory on GPUs, except of 1.2B weights on one H200, where the figures are within 15 % (dense loss head: 22 %)",
            "speed on GPUs: an assumed share of the peak; several GPUs were never tried",
        ]
    else:
        rows.append("speed on a CPU: nothing is assumed; the bar of the stage shows it")
    if machine.gpus and (training.keeps_attention or training.has_offload):
        rows.append("gradient checkpointing that is selective, or offloaded: computed, never tried on a GPU")
    if training.sequence_ranks > 1:
        rows.append(
            "ranks that share a pack: tried on CPU ranks only; what they send to each other costs speed"
        )
    if machine.host_bytes is None:
        rows.append("memory and disk of that machine: not known")
    if model.licence is None:
        rows.append("licence of the model: not known here, read its model card")
    if model.shape is not None and model.shape.context is None:
        rows.append("context of the model: its config does not say")
    return rows
