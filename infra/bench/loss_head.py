"""Seconds and memory of a training step with the dense and with the fused loss head, on this machine.

The model has random weights and the shape of SmolLM2-135M, in bf16; one pack without prompts. Each head runs in a
process of its own, with one thread; the CPU seconds of forward and backward pass are the medians of its steps.

Run: python -m infra.bench.loss_head [TOKENS ...]
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time
from typing import Any

_STEPS = 3


def random_model(attention: str) -> Any:
    """Return a model of the shape of SmolLM2-135M, in bf16, ready to train with one thread."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True, attn_implementation=attention,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(torch.bfloat16).train()


def _measure(head: str, tokens: int) -> str:
    """Return one line: the head, its seconds, and how far the step raised the memory of the process."""
    import torch

    from longwriter.training.ranks import attention, loss_head

    model = random_model(attention.SDPA_BY_SEQUENCE)
    loss_head.add(head, model, tokens, torch.device("cpu"))
    ids = torch.randint(0, 49152, (1, tokens))
    before = peak_gib()
    forward_s, backward_s = [], []
    for _ in range(_STEPS):
        start = time.process_time()
        output = model(ids, labels=ids, sequence_lengths=[tokens], fused_lm_head=True, use_cache=False)
        loss = -output.log_probs.sum() / tokens
        middle = time.process_time()
        loss.backward()
        forward_s.append(middle - start)
        backward_s.append(time.process_time() - middle)
    forward, backward = statistics.median(forward_s), statistics.median(backward_s)
    return (
        f"{tokens:>6,} tokens, {head:<5}: forward {forward:5.2f} s, backward {backward:5.2f} s, "
        f"+{peak_gib() - before:.2f} GiB, loss {loss.item():.5f}"
    )


def peak_gib() -> float:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Measure both heads for each number of tokens."""
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(_measure(sys.argv[2], int(sys.argv[3])) + "\n")
        return
    for tokens in sys.argv[1:] or ["1024"]:
        for head in ("dense", "fused"):
            command = [sys.executable, "-m", "infra.bench.loss_head", "--one", head, tokens]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
