"""Which ranks can share the packs of a step, and the tokens of one pack."""

from types import SimpleNamespace

import pytest

from longwriter.launch import sharing


@pytest.mark.parametrize(
    ("ranks", "batch", "sequence_ranks", "message"),
    [
        (8, 16, 1, None),
        (8, 2, 4, None),
        (8, 1, 8, None),
        (8, 12, 1, "sft.batch_packs is 12, which 8 ranks cannot share evenly: make it a multiple of 8, or set training.ranks"),
        (8, 3, 4, "sft.batch_packs is 3, which 2 groups of 4 ranks cannot share evenly: make it a multiple of 2, or set training.ranks"),
        (8, 24, 3, "training.sequence_ranks is 3, which does not divide 8 ranks: set it to 1 or another divisor of them"),
        (2, 24, 4, "training.sequence_ranks is 4, which does not divide 2 ranks: set it to 1 or another divisor of them"),
    ],
)  # fmt: skip
def test_ranks_or_groups_of_them_share_the_packs_of_a_step(ranks, batch, sequence_ranks, message):
    assert sharing.batch_problem(ranks, batch, "sft.batch_packs", sequence_ranks) == message


@pytest.mark.parametrize(
    ("sequence_ranks", "heads", "kv_heads"),
    [(1, 7, 3), (2, 32, 8), (8, 32, 8), (8, 32, 2), (8, 32, 1), (32, 32, 8)],
)
def test_ranks_share_heads_evenly(sequence_ranks, heads, kv_heads):
    assert sharing.model_problem(sequence_ranks, heads, kv_heads, []) is None


@pytest.mark.parametrize(
    ("sequence_ranks", "heads", "kv_heads"), [(2, 9, 3), (8, 28, 4), (4, 24, 6), (3, 12, 4)]
)
def test_heads_that_ranks_cannot_share_are_refused_with_what_to_do(sequence_ranks, heads, kv_heads):
    message = sharing.model_problem(sequence_ranks, heads, kv_heads, [])
    assert message == (
        f"training.sequence_ranks is {sequence_ranks}, which cannot share {heads} heads and {kv_heads} key heads: "
        "set it to 1, or to another divisor of the heads that divides the key heads or is a multiple of them"
    )


def test_layers_that_carry_a_state_from_token_to_token_are_refused():
    config = SimpleNamespace(layer_types=["linear_attention", "full_attention"] * 2)
    others = sharing.other_layers(config)
    assert sharing.model_problem(2, 16, 2, others) == (
        "training.sequence_ranks is 2, which only attention allows, and the model has layers of the kind "
        "linear_attention: set it to 1"
    )
    assert sharing.model_problem(1, 16, 2, others) is None
    assert sharing.other_layers(SimpleNamespace(layers_block_type=["attention", "mamba"])) == ("mamba",)
    assert sharing.other_layers(SimpleNamespace(layer_types=["sliding_attention", "full_attention"])) == ()
    assert sharing.other_layers(SimpleNamespace()) == ()
