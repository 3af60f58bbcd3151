"""What only a machine with NVIDIA GPUs can show: NCCL, offload, FlashAttention. Skipped without one."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest
import torch
from transformers import MistralConfig

from longwriter.io import packs
from longwriter.launch import checkpoints, launch
from longwriter.training.ranks import utilisation
from longwriter.training.ranks.attention import SDPA_BY_SEQUENCE, VARLEN, of_packs
from tests.jobs import ROOT, TRAINING, dpo_job, job, pack, pair_reference, reference

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]


@pytest.fixture(autouse=True)
def in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.mark.parametrize("layout", ["zero2", "zero3", "zero3_offload"])
@pytest.mark.parametrize("attention", ["auto", "sdpa", "flash_attention_2"])
def test_every_gpu_together_gives_the_loss_of_its_definition(
    tmp_path: Path, tiny_model: Path, layout: str, attention: str
) -> None:
    if attention == "flash_attention_2" and importlib.util.find_spec("flash_attn") is None:
        pytest.skip("flash-attn is not installed")
    ranks = torch.cuda.device_count()
    rows = [pack(key, 1 + key % 5) for key in range(2 * ranks)]
    training = TRAINING.model_copy(update={"precision": "bf16", "attention": attention})
    update = {
        "device": "cuda",
        "layout": launch.layout_of(str(ROOT / f"infra/deepspeed/{layout}.json")),
        "training": training,
    }
    one = job(tmp_path / "job", tiny_model, rows, ranks).model_copy(update=update)
    [point] = launch.run(one, lambda _: None, lambda _: None)
    choice = json.loads((Path(one.checkpoints) / checkpoints.CHOICES).read_text())["attention"]
    assert choice["name"] == {"auto": VARLEN, "sdpa": SDPA_BY_SEQUENCE}.get(attention, attention), choice
    assert ("mfu" in point) == (utilisation.gpu_of(torch.cuda.get_device_name()) is not None)
    value, norm = reference(tiny_model, rows, "token_mean")
    assert point["loss"] == pytest.approx(value, rel=2e-2)  # bf16
    assert point["grad_norm"] == pytest.approx(norm, rel=5e-2)


@pytest.mark.parametrize("layout", ["zero2", "zero3"])
@pytest.mark.parametrize("attention", ["auto", "sdpa"])
def test_pairs_have_the_loss_of_their_definition(
    tmp_path: Path, tiny_model: Path, layout: str, attention: str
) -> None:
    made = dpo_job(tmp_path / "job", tiny_model)
    assert made.dpo is not None
    update = {
        "device": "cuda",
        "ranks": torch.cuda.device_count(),
        "layout": launch.layout_of(str(ROOT / f"infra/deepspeed/{layout}.json")),
        "training": TRAINING.model_copy(update={"precision": "bf16", "attention": attention}),
        "dpo": made.dpo.model_copy(update={"batch_pairs": 40}),
    }
    one = made.model_copy(update=update)
    [point] = launch.run(one, lambda _: None, lambda _: None)
    choice = json.loads((Path(one.checkpoints) / checkpoints.CHOICES).read_text())["attention"]
    assert choice["name"] == {"auto": VARLEN, "sdpa": SDPA_BY_SEQUENCE}[attention], choice
    value, norm = pair_reference(tiny_model, packs.read(Path(one.train), list(packs.PAIR_COLUMNS)), one.dpo)
    assert point["loss"] == pytest.approx(value, rel=2e-2)  # bf16
    assert point["grad_norm"] == pytest.approx(norm, rel=5e-2)


@pytest.mark.parametrize("window", [None, 256])
@pytest.mark.parametrize(("heads", "key_heads", "size"), [(32, 8, 128), (9, 3, 64), (8, 8, 256)])
def test_varlen_agrees_with_sdpa_by_sequence(
    heads: int, key_heads: int, size: int, window: int | None
) -> None:
    config = MistralConfig(
        num_attention_heads=heads, num_key_value_heads=key_heads, head_dim=size, sliding_window=window
    )
    choice = of_packs("auto", config, torch.bfloat16, torch.device("cuda", 0))
    assert choice.name == VARLEN, choice
    assert choice.error is not None
    assert 0 <= choice.error <= 1e-2
