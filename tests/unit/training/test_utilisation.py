"""MFU: the operations of a training step as a share of what the GPUs could do."""

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from longwriter.capacity import speed
from longwriter.capacity.config import read
from longwriter.capacity.memory import Layout, Training
from longwriter.training.ranks import utilisation
from longwriter.training.ranks.utilisation import Work


def model(is_tied):
    config = LlamaConfig(
        hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        head_dim=16, vocab_size=100, tie_word_embeddings=is_tied,
    )  # fmt: skip
    return LlamaForCausalLM(config)


@pytest.mark.parametrize("is_tied", [True, False])
def test_operations_equal_those_that_capacity_expects_without_checkpointing(tmp_path, is_tied):
    network = model(is_tied)
    network.config.save_pretrained(tmp_path)
    shape = read(tmp_path / "config.json")
    work = utilisation.work_of(network)
    assert work == Work(shape.parameters - shape.lookup, 0, 3 * 4 * 16)
    training = Training("cuda", 1, Layout(2, False, False, 0, 0), 2, False, "fused", 500)
    assert utilisation.flops(work, [500]) == 500 * speed.flops_a_token(shape, training)


def test_short_sequences_of_a_pack_take_less_attention_than_one_long_one():
    work = Work(0, 0, 10)
    assert utilisation.flops(work, [50, 50]) == utilisation.flops(work, [100]) // 2


def test_frozen_weights_have_no_gradient_of_their_own():
    network = model(is_tied=False)
    before = utilisation.work_of(network)
    network.model.layers[0].requires_grad_(requires_grad=False)
    after = utilisation.work_of(network)
    assert after.trained + after.frozen == before.trained
    assert utilisation.flops(before, [7]) - utilisation.flops(after, [7]) == 2 * 7 * after.frozen
