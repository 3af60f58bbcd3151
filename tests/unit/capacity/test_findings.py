"""What does not fit, in sentences, and what would."""

import pytest

from longwriter.capacity import findings, speed
from longwriter.capacity.memory import GIB, Layout, Part
from tests.unit.capacity.shapes import GLM, LLAMA, QWEN, training

ZERO2 = Layout(2, False, False, 200_000_000, 10**9)
ZERO3 = ZERO2._replace(stage=3)
OFFLOAD = ZERO3._replace(host_optimizer=True, host_weights=True)
NEEDS = {"pack.max_length": 32768, "dpo.max_length": 4096, "serving.context_tokens": 40960}


def test_a_model_of_8k_tokens_is_refused_for_packs_of_32k_with_what_to_do():
    assert findings.context(GLM, NEEDS, is_gguf=False) == (
        "the positions of the model reach 8,192 tokens, but pack.max_length is 32,768 and serving.context_tokens is "
        "40,960: lower them, choose a base_model.source with a longer context, or set base_model.rope_scaling, "
        "such as {rope_type: yarn, factor: 5.0}"
    )
    assert "rope_scaling" not in findings.context(GLM, NEEDS, is_gguf=True)


def test_a_model_with_the_context_is_not_refused():
    assert findings.context(LLAMA, NEEDS, is_gguf=False) is None
    assert findings.context(GLM._replace(context=40960), NEEDS, is_gguf=False) is None
    assert findings.context(GLM._replace(context=None), NEEDS, is_gguf=False) is None


def test_glm_fits_eight_gpus_of_80_gib_without_offload():
    work = training(ZERO3, ranks=8, tokens=32768, has_checkpointing=True)
    assert findings.overfull(GLM, work, 80 * GIB, None) is None


def test_for_a_training_that_does_not_fit_the_fastest_layout_that_does_is_named():
    work = training(ZERO2, ranks=8, tokens=32768)
    trouble = findings.overfull(QWEN, work, 80 * GIB, None)
    assert trouble.startswith("a rank needs ") and trouble.endswith("a GPU has 80.0 GiB")
    layouts = {"a": work, "b": work._replace(layout=ZERO3), "c": work._replace(layout=OFFLOAD)}
    assert findings.cure(QWEN, work, layouts, 80 * GIB, None) == (
        "it fits with training.gradient_checkpointing: true"
    )
    assert findings.cure(QWEN, work, layouts, 40 * GIB, None) == (
        "it fits with training.deepspeed: b and training.gradient_checkpointing: true"
    )
    assert findings.cure(QWEN, work, layouts, 8 * GIB, None).startswith("no layout of infra/deepspeed fits")


def test_ranks_that_share_packs_are_named_where_no_layout_is_enough():
    work = training(ZERO3, ranks=8, tokens=262_144, has_checkpointing=True)
    layouts = {"a": work, "b": work._replace(layout=OFFLOAD)}
    assert findings.cure(QWEN, work, layouts, 60 * GIB, None).startswith("no layout of infra/deepspeed fits")
    advice = "it fits with training.sequence_ranks: 4"
    assert findings.cure(QWEN, work, layouts, 60 * GIB, None, [2, 4]) == advice
    assert findings.overfull(QWEN, work._replace(sequence_ranks=4), 60 * GIB, None) is None


def test_offload_needs_the_memory_of_the_host():
    work = training(OFFLOAD, ranks=8, tokens=32768, has_checkpointing=True)
    assert findings.overfull(GLM, work, 80 * GIB, 512 * GIB) is None
    assert findings.overfull(GLM, work, 80 * GIB, 128 * GIB) == (
        "training with 8 ranks needs 252.1 GiB of memory, the machine has 128.0 GiB"
    )


def test_ranks_on_a_cpu_need_the_memory_of_the_machine():
    work = training(ZERO2, device="cpu", ranks=2)
    assert "2 ranks needs" in findings.overfull(QWEN, work, None, 24 * GIB)


def test_llama_8b_with_lora_needs_more_than_24_gib_at_32k_and_fits_at_4k():
    work = training(ZERO2, tokens=32768, has_checkpointing=True, adapter=16 * LLAMA.linear_ends)
    assert findings.overfull(LLAMA, work, 24 * GIB, None) is not None
    assert findings.overfull(LLAMA, work._replace(tokens=4096), 24 * GIB, None) is None


def test_a_full_disk_is_named_with_its_room():
    rows = [Part("checkpoints", 440 * GIB), Part("models", 60 * GIB)]
    assert findings.full_disk(rows, 600 * GIB) is None
    assert findings.full_disk(rows, None) is None
    assert findings.full_disk(rows, 100 * GIB).startswith(
        "models and checkpoints need 500.0 GiB of disk, 100.0"
    )


@pytest.mark.parametrize(("gpu", "gpus", "number"), [(80, 8, 1), (24, 8, 2), (24, 1, None)])
def test_the_fewest_gpus_serve_one_request_of_full_length(gpu, gpus, number):
    assert findings.tensor_parallel(LLAMA, gpus, gpu * GIB, 65536) == number


@pytest.mark.parametrize(
    ("gpu", "gpus", "layout", "words"),
    [
        (80, 8, (1, 8), None),
        (24, 8, (2, 4), None),  # one GPU alone would hold no request
        (24, 8, (1, 8), "a GPU of 24.0 GiB holds no such request beside the weights: set serving.vllm.tensor_parallel to 2"),
        (12, 8, (2, 4), "2 GPUs of 12.0 GiB hold no such request beside the weights: set serving.vllm.tensor_parallel to 4"),
        (24, 1, (1, 1), "a GPU of 24.0 GiB holds no such request beside the weights: take more or larger GPUs, or lower"),
        (80, 8, (4, 4), "serving.vllm asks for 4 x 4 GPUs, and there are 8: lower tensor_parallel or data_parallel"),
        (80, 8, (3, 1), "serving.vllm.tensor_parallel is 3, which does not divide the 32 heads of the model"),
    ],
)  # fmt: skip
def test_a_server_that_would_not_start_after_the_training_is_refused_before_it(gpu, gpus, layout, words):
    problem = findings.unserved(LLAMA, gpus, gpu * GIB, findings.Server("serving", 65536, *layout))
    assert problem is None if words is None else words in problem


def test_the_share_of_memory_that_vllm_may_take_decides_what_it_holds():
    half = findings.Server("llm", 65536, memory_share=0.3)
    assert findings.unserved(LLAMA, 1, 80 * GIB, half._replace(memory_share=0.9)) is None
    assert findings.unserved(LLAMA, 1, 80 * GIB, half) == (
        "llm.context_tokens is 65,536, and a GPU of 80.0 GiB holds no such request beside the weights: raise "
        "llm.vllm.memory_share, which is 0.3, or lower llm.context_tokens"
    )
    assert findings.tensor_parallel(LLAMA, 8, 80 * GIB, 65536, share=0.3) == 2


def test_of_a_model_that_is_not_known_only_the_number_of_gpus_is_checked():
    assert findings.unserved(None, 2, 8 * GIB, findings.Server("llm", 65536, 2, 1)) is None
    problem = findings.unserved(None, 2, 8 * GIB, findings.Server("plan.llm", 65536, 2, 2))
    assert problem.startswith("plan.llm.vllm asks for 2 x 2 GPUs, and there are 2")


def test_the_cache_of_a_token_has_keys_and_values_of_all_layers():
    assert findings.cache_bytes(LLAMA) == 2 * 32 * 8 * 128 * 2  # 128 KiB


def test_speed_is_a_share_of_the_peak():
    work = training(ZERO3, ranks=8, tokens=8)
    assert speed.flops_a_token(LLAMA, work) == pytest.approx(6 * (8_030_261_248 - 525_336_576), rel=1e-3)
    assert speed.tokens_per_s(LLAMA, work, speed.peak("NVIDIA H100 80GB HBM3", None)) == pytest.approx(
        8 * 0.4 * 989e12 / (6 * 7.505e9), rel=1e-3
    )


@pytest.mark.parametrize(
    ("name", "gib", "peak"),
    [
        ("NVIDIA H100 PCIe", 80, ("H100 PCIe", False)),
        ("NVIDIA A100-SXM4-80GB", 80, ("A100", False)),
        ("NVIDIA GeForce RTX 4090", 24, ("RTX 4090", False)),
        ("A100", 80, ("A100", False)),
        (None, 80, ("H100", True)),
        (None, 33, None),
        ("Unknown 9000", 80, None),
    ],
)
def test_a_gpu_is_known_by_name_or_assumed_by_memory(name, gib, peak):
    known = speed.peak(name, gib * GIB)
    assert (known and (known.name, known.is_assumed)) == peak
