"""Memory by part: the arithmetic of DeepSpeed and transformers, published sizes, and measured peaks."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.capacity import memory
from longwriter.capacity.memory import GIB, Layout, Training
from tests.unit.capacity.shapes import GLM, LLAMA, LLAMA_1B, QWEN, SMOLLM2, WIDE, training


def layout(name: str) -> Layout:
    return memory.layout(json.loads(Path(f"infra/deepspeed/{name}.json").read_text()))


def sizes(shape, work: Training) -> dict[str, memory.Part]:
    return {row.name: row for row in memory.parts(shape, work)}


@pytest.mark.parametrize(
    ("name", "stage", "host_optimizer", "host_weights"),
    [("zero2", 2, False, False), ("zero3", 3, False, False), ("zero3_offload", 3, True, True)],
)
def test_the_shipped_layouts_are_read(name, stage, host_optimizer, host_weights):
    assert layout(name)[:3] == (stage, host_optimizer, host_weights)


def test_a_trained_weight_takes_18_bytes_which_the_ranks_of_zero3_share():
    rows = sizes(GLM, training(layout("zero3"), ranks=8))
    states = [rows[name].device for name in ("weights", "gradients (fp32)", "optimizer (AdamW, fp32)")]
    assert sum(states) == pytest.approx(18 * 9_399_951_360 / 8)  # 21 GB a GPU
    assert all(row.host == 0 for row in rows.values())


def test_offload_moves_the_18_bytes_into_pinned_memory_of_the_host():
    rows = sizes(GLM, training(layout("zero3_offload"), ranks=8))
    assert sum(row.host for row in rows.values()) * 8 == pytest.approx(1.6 * 18 * 9_399_951_360)
    assert rows["weights"].device == rows["optimizer (AdamW, fp32)"].device == 0


def test_each_rank_of_zero2_holds_all_weights():
    rows = sizes(QWEN, training(layout("zero2"), ranks=8))
    assert rows["weights"].device == 2 * 7_615_616_512
    assert rows["gradients (fp32)"].device == pytest.approx(4 * 7_615_616_512 / 8)


def test_lora_has_states_for_its_adapter_only():
    adapter = 16 * LLAMA.linear_ends
    rows = sizes(LLAMA, training(layout("zero2"), adapter=adapter))
    assert (
        adapter == 41_943_040
    )  # rank 16 on q, k, v, o, gate, up and down of Llama-3.1-8B, as PEFT counts it
    assert rows["optimizer (AdamW, fp32)"].device == 12 * adapter
    assert rows["weights"].device == 2 * (8_030_261_248 + adapter)
    rows = sizes(LLAMA, training(layout("zero2"), adapter=adapter, is_quantised=True))
    assert rows["weights"].device == pytest.approx(8_030_261_248 * 4.127 / 8 + 2 * adapter, abs=1)


def test_checkpointing_keeps_one_value_a_layer_and_one_layer_in_full():
    work = training(layout("zero3"), tokens=32768, has_checkpointing=True)
    kept = 40 * 4096 * 2 * 32768  # 10.7 GB
    assert memory.activations(GLM, work) == kept + 32768 * memory.layer_activations(GLM, 2)


def test_a_dense_head_holds_the_logits_and_a_fused_one_a_tile():
    dense = memory.head(LLAMA, training(layout("zero2"), tokens=32768, head="dense"))
    fused = memory.head(LLAMA, training(layout("zero2"), tokens=32768))
    assert dense == 12 * 32768 * 128256  # 50 GB
    assert fused == 4 * 128256 * 4096 + 4 * 32768 * 4096 + 2 * 4096 * 32768  # 2.9 GB


def test_the_default_head_is_that_of_the_ranks():
    on_cpu = training(layout("zero2"), device="cpu", tokens=1024)
    assert memory.default_head(SMOLLM2, on_cpu) == "dense"
    assert memory.default_head(SMOLLM2, on_cpu._replace(tokens=32768)) == "fused"
    assert memory.default_head(SMOLLM2, on_cpu._replace(device="cuda")) == "fused"


def test_a_checkpoint_has_the_measured_size():
    """2,212,620,959 bytes of the embedded model under ZeRO-2; its head is stored a second time there."""
    assert memory.checkpoint(SMOLLM2, training(layout("zero2"))) == pytest.approx(2_212_620_959, rel=0.03)
    assert memory.checkpoint(GLM, training(layout("zero3"))) == 14 * 9_399_951_360


def test_a_training_needs_the_checkpoints_that_it_keeps_and_one_that_is_being_written():
    assert memory.checkpoints(GLM, training(layout("zero3")), kept=2) == 3 * 14 * 9_399_951_360


def test_disk_counts_the_checkpoint_that_is_being_written():
    rows = {
        row.name: row.device
        for row in memory.disk(
            GLM,
            {name: training(layout("zero2")) for name in ("sft", "dpo")},
            {"sft": 1, "dpo": 1},
            has_base=True,
        )
    }
    assert (
        sum(size for name, size in rows.items() if "checkpoints" in name) == 3 * 16 * 9_399_951_360
    )  # 451 GB
    assert rows["models of SFT and DPO (data, DVC cache)"] == 8 * 9_399_951_360


def test_disk_counts_the_checkpoints_of_each_training_with_its_own_settings():
    whole = training(layout("zero2"))
    small = whole._replace(adapter=1_000_000)
    point, part = memory.checkpoint(GLM, whole), memory.checkpoint(GLM, small)
    assert part < point / 10

    def checkpoints(sft, dpo, kept):
        rows = memory.disk(GLM, {"sft": sft, "dpo": dpo}, kept, has_base=True)
        return sum(row.device for row in rows if "checkpoints" in row.name)

    assert (
        checkpoints(whole, small, {"sft": 2, "dpo": 1}) == 3 * point
    )  # the last one of SFT is being written
    assert checkpoints(small, whole, {"sft": 2, "dpo": 1}) == 2 * part + 2 * point


def test_ranks_that_share_a_pack_have_a_part_of_its_activations_and_logits_each():
    zero_3 = Layout(3, False, False, 200_000_000, 10**9)
    alone = training(zero_3, ranks=8, tokens=32_767, head="dense")
    shared = alone._replace(sequence_ranks=4)
    apart = alone._replace(tokens=8_192)
    assert memory.parts(LLAMA, shared) == memory.parts(LLAMA, apart)
    assert memory.parts(LLAMA, shared._replace(tokens=32_768)) == memory.parts(LLAMA, apart)


def test_selective_checkpointing_also_keeps_the_output_of_attention_for_each_layer():
    work = training(layout("zero3"), tokens=32768, has_checkpointing=True)
    more = memory.activations(LLAMA, work._replace(keeps_attention=True)) - memory.activations(LLAMA, work)
    assert more == 32768 * 32 * (4096 * 2 + 32 * 4)  # 8.1 GiB


def test_offload_moves_the_inputs_of_the_layers_into_pinned_memory_of_the_host():
    work = training(layout("zero3"), tokens=32768, has_checkpointing=True)
    there, moved = (
        sizes(LLAMA, work._replace(has_offload=has_offload))["activations"] for has_offload in (False, True)
    )
    inputs = 32768 * 32 * 4096 * 2
    assert (there.device - moved.device, moved.host) == (inputs, pytest.approx(1.6 * inputs))
    on_cpu = sizes(LLAMA, work._replace(has_offload=True, device="cpu"))["activations"]
    assert on_cpu == there


MEASURED = {  # the largest GiB of a rank, by infra/bench/capacity.py; the first one by the demo
    "demo": (SMOLLM2, "zero2", {"ranks": 2, "tokens": 1024}, 5.726),
    "fused": (SMOLLM2, "zero2", {"ranks": 2, "tokens": 1024}, 4.715),
    "embedded": (SMOLLM2, "zero2", {"ranks": 2, "tokens": 1024, "head": "dense"}, 4.738),
    "zero3": (WIDE, "zero3", {"ranks": 2, "tokens": 1024, "head": "dense", "value_bytes": 4}, 2.342),
    "checkpointing": (WIDE, "zero2", {"tokens": 2048, "head": "dense", "has_checkpointing": True}, 1.938),
    "pairs": (WIDE, "zero2", {"tokens": 2048, "head": "dense"}, 2.345),  # DPO, two answers of 1,024 tokens
}
NOTHING = 0.51  # of a rank that trains 100,000 weights


@pytest.mark.parametrize("name", MEASURED)
def test_memory_on_a_cpu_is_within_15_percent_of_measured_peaks(name):
    shape, file, work, peak = MEASURED[name]
    rows = sizes(shape, training(layout(file), device="cpu", **work))
    assert rows.pop("Python and libraries").device == pytest.approx(NOTHING * GIB, rel=1e-6)
    assert sum(row.device for row in rows.values()) == pytest.approx((peak - NOTHING) * GIB, rel=0.15)


@pytest.mark.parametrize(
    ("file", "adapter", "peak"),
    [
        ("zero2", None, 27.8),
        ("zero3", None, 28.6),
        ("zero3_offload", None, 9.7),
        ("zero2", 16 * LLAMA_1B.linear_ends, 9.3),
    ],
)
def test_memory_on_a_gpu_is_within_15_percent_of_the_peaks_of_one_h200(file, adapter, peak):
    """infra/bench/README.md: packs of 32,768, gradient checkpointing, fused head; what PyTorch allocated."""
    work = training(layout(file), tokens=32768, has_checkpointing=True, adapter=adapter)
    rows = sizes(LLAMA_1B, work)
    rows.pop("CUDA, NCCL, allocator")
    assert sum(row.device for row in rows.values()) == pytest.approx(peak * GIB, rel=0.15)


@given(
    name=st.sampled_from(["zero2", "zero3", "zero3_offload"]), ranks=st.integers(1, 64),
    tokens=st.integers(8, 40_000), has_checkpointing=st.booleans(), size=st.sampled_from([2, 4]),
)  # fmt: skip
def test_more_ranks_never_need_more_and_more_tokens_never_less(name, ranks, tokens, has_checkpointing, size):
    def total(ranks, tokens):
        work = training(
            layout(name), ranks=ranks, tokens=tokens, has_checkpointing=has_checkpointing, value_bytes=size
        )
        return sum(row.device + row.host for row in memory.parts(QWEN, work))

    assert total(ranks + 1, tokens) <= total(ranks, tokens) <= total(ranks, tokens + 1)
