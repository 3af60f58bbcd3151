"""Tries, before the first step, whether the rows of a pack see each other in the model that is trained.

A row must not depend on the row before it. Some models let it: their recurrent layers carry a state from row to row,
or their attention does not read where a row begins. Their training would go on without a word, and be wrong.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

from longwriter.errors import ModelUnusable
from longwriter.tokens.packing import IGNORE_INDEX

_TOKENS = 16  # of a row
MAX_CHANGE = 1e-2
"""Largest relative change of a row's log-probabilities: 0 without experts, whose batches depend on all rows."""


class Isolation(TrainerCallback):  # type: ignore[misc]
    """Stops a training whose model does not keep the rows of a pack apart."""

    def on_train_begin(self, args: Any, state: Any, control: Any, *, model: Any, **_: Any) -> None:
        """Raise ModelUnusable if a row changes with the row before it; every rank must call this."""
        if (change := changes(model)) > MAX_CHANGE:
            raise ModelUnusable(
                f"the rows of a pack see each other in this model: with another row before it, the log-probabilities of "
                f"a row change by {change:.0%}; set training.attention to another way, or choose another "
                "base_model.source"
            )


def changes(model: Any) -> float:
    """Return how much the log-probabilities of a row change with the row before it, as a share of their norm.

    Args:
        model: A model with a loss head.
    """
    size = model.get_input_embeddings().num_embeddings
    rows = torch.randint(size, (3, _TOKENS), generator=torch.Generator().manual_seed(0))
    is_training = model.training
    model.eval()
    with torch.no_grad():
        one, other = (_log_probs(model, torch.stack([rows[first], rows[2]])) for first in (0, 1))
    model.train(is_training)
    return float((one - other).norm() / one.norm())


def _log_probs(model: Any, rows: torch.Tensor) -> torch.Tensor:
    """Return the log-probabilities of the tokens of the last row of a pack of two."""
    number, tokens = rows.shape
    rows = rows.to(model.device)
    labels = rows.clone()
    labels[:, 0] = IGNORE_INDEX
    starts = torch.arange(0, number * tokens + 1, tokens, dtype=torch.int32, device=rows.device)
    place = torch.arange(number * tokens, device=rows.device)[None]
    output = model(
        input_ids=rows.view(1, -1),
        position_ids=place % tokens,
        labels=labels.view(1, -1),
        seq_idx=(place // tokens).int(),
        sequence_lengths=[tokens] * number,
        cu_seq_lens_q=starts,
        cu_seq_lens_k=starts,
        max_length_q=tokens,
        max_length_k=tokens,
        use_cache=False,
        fused_lm_head=True,
    )
    return output.log_probs[0, 1 - tokens :].float()
