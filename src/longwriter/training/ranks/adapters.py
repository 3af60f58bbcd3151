"""LoRA by PEFT: the options of a trainer, and the published model with its adapter.

A LoRA training also publishes a complete model: the adapter is added to the unquantised base model that the job
names. The adapter itself is in `adapter/` beside it. Sources: LoRA (arXiv:2106.09685), its scaling by the
square root of the rank (arXiv:2312.03732), QLoRA (arXiv:2305.14314).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from longwriter.launch.launch import Job
from longwriter.params.training import LoraParams

ADAPTER = "adapter"
"""Folder of the adapter, in the folder of the published model."""


def options(job: Job) -> dict[str, Any]:
    """Return what TRL's trainers need for the job's LoRA; empty for full training."""
    lora = job.lora
    if lora is None:
        return {}
    is_tied = AutoConfig.from_pretrained(job.model).get_text_config().tie_word_embeddings
    settings: dict[str, Any] = {"peft_config": _config(lora, is_tied=is_tied)}
    if lora.quantised:
        number = _number_type(job)
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=number,
            bnb_4bit_quant_storage=number,  # ZeRO-3 shares out only floating-point numbers
        )
    return settings


def _config(lora: LoraParams, *, is_tied: bool) -> LoraConfig:
    tying = {"ensure_weight_tying": True} if is_tied and lora.full_layers else {}
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        use_rslora=lora.rank_stabilised,
        target_modules=lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        modules_to_save=list(lora.full_layers) or None,
        exclude_modules=list(lora.full_layers) or None,
        **tying,
    )


def _number_type(job: Job) -> torch.dtype:
    return torch.bfloat16 if job.training.precision == "bf16" else torch.float32


def publish(trainer: Any, job: Job) -> Any:
    """Write the adapter into the job's output folder; return the base model with the adapter added, on rank 0.

    The base model is read again from its folder, as it may be quantised or shared out over the ranks.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    folder = Path(job.out) / ADAPTER
    with deepspeed.zero.GatheredParameters(trained):
        if dist.get_rank() == 0:
            _write(model, folder, job.base)
    if dist.get_rank() != 0:
        return None
    unset_hf_deepspeed_config()  # else ZeRO-3 would share out the model that only this rank reads
    base = AutoModelForCausalLM.from_pretrained(job.model, dtype=_number_type(job))
    return PeftModel.from_pretrained(base, folder, torch_device="cpu").merge_and_unload()


def _write(model: PeftModel, folder: Path, base: str) -> None:
    """Write an adapter as PEFT reads it; its bytes depend only on its weights and settings."""
    folder.mkdir()
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    tensors = {name: rows.detach().cpu().contiguous().clone() for name, rows in sorted(state.items())}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    model.peft_config["default"].save_pretrained(str(folder))
    file = folder / "adapter_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    lists = {name: sorted(value) for name, value in config.items() if isinstance(value, list)}
    config |= {**lists, "base_model_name_or_path": base, "inference_mode": True}
    file.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")
