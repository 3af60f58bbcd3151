"""The engine vLLM, which needs an NVIDIA GPU. Skipped without one."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest
import torch

from longwriter.models import servers as serving
from longwriter.params import Sampling, ServingParams

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed")
def test_vllm_serves_a_trained_folder_and_honours_its_sampling(tmp_path: Path, tiny_model: Path) -> None:
    params = ServingParams(
        engine="vllm", precision="BF16", context_tokens=1024, max_concurrency=4, timeout_s=120, max_retries=1
    )
    sampling = Sampling(temperature=0.5, max_tokens=16, top_p=None, repetition_penalty=None, stop=[], seed=0)

    async def ask() -> str:
        calls = tmp_path / "calls.jsonl.zst"
        async with serving.trained(tiny_model, tiny_model, params, sampling, calls) as llm:
            return (await llm.ask("Say something.", sampling)).text

    assert asyncio.run(ask())
