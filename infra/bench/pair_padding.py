"""CPU seconds and memory of a DPO pair, padded to its longer answer and without padding.

The model is that of loss_head.py. Each way runs in a process of its own, with one thread, and makes forward and
backward pass of both answers; the seconds are the medians of its steps. The padded way has no mask, which is its
fastest form. The prompt, which both answers have, is 50 tokens of their length.

Run: python -m infra.bench.pair_padding [CHOSEN REJECTED]
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from infra.bench.loss_head import peak_gib, random_model

_STEPS, _PROMPT = 3, 50
_FIELDS = ("log_probs", "entropy", "mean_logits", "is_top1")  # what TRL's loss reads


def _measure(way: str, head: str, lengths: list[int]) -> str:
    """Return one line: the way, its seconds, and how far the steps raised the memory of the process."""
    import torch

    from longwriter.training.ranks import attention, loss_head, pair_trainer

    model = random_model("sdpa" if way == "padded" else attention.SDPA_BY_SEQUENCE)
    loss_head.add(head, model, sum(lengths), torch.device("cpu"), _FIELDS)
    ids = torch.randint(0, 49152, (2, max(lengths)))
    place = torch.arange(max(lengths))
    is_token = torch.stack([place < length for length in lengths])
    batch = {"input_ids": ids, "labels": ids.masked_fill(~is_token | (place < _PROMPT), -100)}
    options = {"fused_lm_head": True, "use_cache": False}
    before, seconds = peak_gib(), []
    for _ in range(_STEPS):
        start = time.process_time()
        if way == "padded":
            output = model(**batch, **options)
        else:
            output = pair_trainer.without_padding(model, **batch, attention_mask=is_token.long(), **options)
        chosen, rejected = output.log_probs.sum(dim=1)
        (rejected - chosen).backward()
        seconds.append(time.process_time() - start)
    return (
        f"{lengths[0]:,} + {lengths[1]:,} tokens, {head}, {way}: {statistics.median(seconds):5.2f} s, "
        f"+{peak_gib() - before:.2f} GiB, log-probabilities {chosen.item():.1f} and {rejected.item():.1f}"
    )


def main() -> None:
    """Measure both ways with both heads."""
    if sys.argv[1:2] == ["--one"]:
        sys.stdout.write(_measure(sys.argv[2], sys.argv[3], [int(text) for text in sys.argv[4:6]]) + "\n")
        return
    for head in ("dense", "fused"):
        for way in ("padded", "without padding"):
            command = [sys.executable, "-m", "infra.bench.pair_padding", "--one", way, head]
            subprocess.run([*command, *(sys.argv[1:3] or ["300", "900"])], check=True)


if __name__ == "__main__":
    main()
