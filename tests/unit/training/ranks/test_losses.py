"""The three weightings of the loss, as the paper and its followers define them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longwriter.training.ranks.losses import denominator, token_weights

# One pack: a sequence with 2 targets of 3 labels, one with 1 target of 2, and one without any.
LABELS = torch.tensor([-100, 5, 6, -100, 7, -100])
SEQUENCES = torch.tensor([0, 0, 0, 1, 1, 2], dtype=torch.int32)


@pytest.mark.parametrize(
    ("loss", "weights", "below"),
    [
        ("token_mean", [0, 1, 1, 0, 1, 0], 3),
        ("sequence_mean", [0, 0.5, 0.5, 0, 1, 0], 2),
        ("released", [0, 2 / 90, 2 / 90, 0, 2 / 90, 0], 1),
    ],
)
def test_weights_and_denominator_of_one_pack(loss, weights, below):
    assert token_weights(loss, LABELS, SEQUENCES).tolist() == pytest.approx(weights)
    assert denominator(loss, LABELS, SEQUENCES) == below


@pytest.mark.parametrize(("sequences", "weight"), [(3, 0.1), (60, 2.0)])
def test_the_released_code_weighs_a_pack_by_its_number_of_sequences(sequences, weight):
    """LongWriter: a pack of 3 long outputs weighs 0.1, one of 60 short chats 2.0."""
    seq_idx = torch.arange(sequences).repeat_interleave(4)
    assert token_weights("released", torch.ones(4 * sequences, dtype=torch.long), seq_idx).sum() == (
        pytest.approx(weight)
    )


@pytest.mark.parametrize("loss", ["token_mean", "sequence_mean", "released"])
def test_a_pack_without_targets_weighs_nothing(loss):
    labels, seq_idx = torch.tensor([-100]), torch.tensor([0])
    assert token_weights(loss, labels, seq_idx).tolist() == [0]
    assert denominator(loss, labels, seq_idx) == 0


@given(st.lists(st.integers(1, 30), min_size=1, max_size=12))
def test_mean_weights_sum_to_their_denominator(lengths):
    seq_idx = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    labels = torch.ones(sum(lengths), dtype=torch.long)
    for loss in ("token_mean", "sequence_mean"):
        total = float(token_weights(loss, labels, seq_idx).sum())
        assert total == pytest.approx(denominator(loss, labels, seq_idx), rel=1e-5)
