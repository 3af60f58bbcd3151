import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch
from pydantic import ValidationError

from longwriter.errors import TrainingFailed, UserError
from longwriter.launch import launch
from longwriter.params import TrainingParams
from longwriter.params.training import LoraParams
from tests.unit.params.fields import LORA

TRAINING = TrainingParams(
    ranks="auto", device="auto", hostfile=None, remote_shell="ssh", timeout_s=600,
    deepspeed="infra/deepspeed/zero2.json", precision="fp32", attention="sdpa", loss_head="auto", gradient_checkpointing=False,
    save_steps=1000, keep_checkpoints=1,
)  # fmt: skip
TORCHRUN = "traceback : Signal 9 (SIGKILL) received by PID 77"

LOST_PEER = (
    "RuntimeError: [/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [127.0.0.1]:35035: "
    "Connection reset by peer"
)


@pytest.mark.parametrize(
    ("code", "words", "killed"),
    [
        (-15, "", True),
        (1, TORCHRUN, True),
        (75, "node n1 ended with exit code 255: ending all nodes", True),
        (1, LOST_PEER, True),
        (1, "ModuleNotFoundError: No module named 'trl'", False),
    ],
)
def test_a_killed_rank_or_a_lost_node_differs_from_a_rank_that_failed(code, words, killed):
    assert launch._was_killed(code, words) is killed


def test_a_hostfile_says_how_many_ranks_there_are_whatever_the_parameter(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("# two nodes\nnode1 slots=4\nnode2 slots=2\n")
    params = TRAINING.model_copy(update={"hostfile": str(hosts), "ranks": 3})
    assert launch.device_and_ranks(params, 12, "sft.batch_packs")[1] == 6


def test_a_head_node_without_gpus_trains_on_the_gpus_of_its_nodes(tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("node1 slots=8\n")
    with_nodes = TRAINING.model_copy(update={"hostfile": str(hosts)})
    assert launch.device_of(with_nodes, 0) == "cuda"
    assert launch.device_of(with_nodes.model_copy(update={"device": "cpu"}), 8) == "cpu"
    assert launch.device_and_ranks(with_nodes, 8, "sft.batch_packs") == ("cuda", 8)
    assert (launch.device_of(TRAINING, 0), launch.device_of(TRAINING, 1)) == ("cpu", "cuda")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error_before_any_rank_starts():
    with pytest.raises(
        UserError, match=r"^training\.device is cuda, and this machine has no GPU: set auto or cpu$"
    ):
        launch.device_and_ranks(TRAINING.model_copy(update={"device": "cuda"}), 4, "sft.batch_packs")


FLASH = TRAINING.model_copy(update={"attention": "flash_attention_2", "ranks": 1})


def test_flash_attention_without_its_package_is_an_error_before_any_rank_starts(monkeypatch):
    monkeypatch.setitem(sys.modules, "flash_attn", None)
    with pytest.raises(UserError, match=r"flash_attn, which is not.*set training\.attention: sdpa"):
        launch.device_and_ranks(FLASH, 4, "sft.batch_packs")


def test_ranks_share_packs_only_with_attention_that_needs_no_mask():
    for attention in ("eager", "flash_attention_2"):
        with pytest.raises(ValidationError) as error:
            TrainingParams(**{**TRAINING.model_dump(), "attention": attention, "sequence_ranks": 2})
        [conflict] = error.value.errors()[0]["ctx"]["conflicts"]
        assert conflict.key == ("sequence_ranks",)
        assert conflict.allowed == f"1 while training.attention is {attention}"
    assert TrainingParams(**{**TRAINING.model_dump(), "attention": "auto", "sequence_ranks": 2})


def test_the_packs_of_a_step_are_shared_by_groups_of_ranks():
    four = TRAINING.model_copy(update={"ranks": 4, "device": "cpu"})
    assert launch.device_and_ranks(four, 2, "sft.batch_packs", 2)[1] == 4
    with pytest.raises(UserError, match=r"sft.batch_packs is 2, which 4 ranks cannot share evenly"):
        launch.device_and_ranks(four, 2, "sft.batch_packs")
    with pytest.raises(UserError, match=r"training.sequence_ranks is 3, which does not divide 4 ranks"):
        launch.device_and_ranks(four, 2, "sft.batch_packs", 3)


def test_flash_attention_with_its_package_is_used(monkeypatch):
    package = ModuleType("flash_attn")
    package.__spec__ = ModuleSpec("flash_attn", None)
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    assert launch.device_and_ranks(FLASH, 4, "sft.batch_packs")[1] == 1


QUANTISED = LoraParams(**{**LORA, "quantised": True})


@pytest.mark.parametrize(
    ("has_gpu", "has_package", "lack"),
    [
        (False, True, "this machine has no GPU"),
        (False, None, "this machine has no GPU"),
        (True, False, "bitsandbytes is not installed here"),
    ],
)
def test_weights_in_four_bits_need_a_gpu_and_bitsandbytes(has_gpu, has_package, lack):
    assert launch.quantisation_problem(QUANTISED, "sft", has_gpu=has_gpu, has_package=has_package) == (
        f"sft.lora.quantised is true, which needs an NVIDIA GPU and the package bitsandbytes, and {lack}: "
        "pip install bitsandbytes on the machine of the GPUs, or set it to false"
    )


@pytest.mark.parametrize("has_package", [True, None])
def test_weights_in_four_bits_are_trained_on_a_gpu_with_bitsandbytes(has_package):
    assert launch.quantisation_problem(QUANTISED, "sft", has_gpu=True, has_package=has_package) is None
    assert launch.quantisation_problem(LoraParams(**LORA), "sft", has_gpu=False, has_package=False) is None
    assert launch.quantisation_problem(None, "sft", has_gpu=False, has_package=False) is None


def test_weights_in_four_bits_on_a_cpu_are_refused_before_any_rank_starts():
    with pytest.raises(UserError, match=r"^dpo\.lora\.quantised is true.* this machine has no GPU"):
        launch.check_quantised(QUANTISED, "dpo", "cpu")


def test_ranks_that_end_on_a_full_disk_are_no_failure_of_the_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "ranks.log"
    log.write_text("OSError: [Errno 28] No space left on device\nDatasetGenerationError: x")
    (tmp_path / launch.FAILED).write_text("rank 1: DatasetGenerationError: x")
    job = launch.Job.model_construct(kind="sft", checkpoints=str(tmp_path))
    error = launch._failure(job, 1, log)
    assert isinstance(error, UserError)
    assert str(error).startswith("disk full (")
    assert str(log) in str(error)
    log.write_text("DatasetGenerationError: x")
    assert isinstance(launch._failure(job, 1, log), TrainingFailed)
