"""`longwriter capacity`: the report, what it refuses, and what it asks the hub."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from longwriter.cli import profile
from tests.unit.capacity.test_config import MODELS
from tests.unit.cli.checkout import PARAMS, set_params

ROOT = Path.cwd()
CONFIGS = ROOT / MODELS
PAPER = yaml.safe_load(profile.applied("paper"))


@pytest.fixture
def pipeline(checkout):
    """A checkout whose stages have not run."""
    Repo.init(no_scm=True).close()
    outs = {"base_model": "data/base_model/weights", "pack": "data/pack/train.parquet"}
    stages = {name: {"cmd": "true", "outs": [out]} for name, out in outs.items()}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    return checkout


def reported(run, *words):
    code, out, err = run("capacity", "--json", *words)
    assert err == ""
    return code, json.loads(out)


def test_a_base_model_of_8k_is_refused_and_the_parameter_that_is_offered_cures_it(pipeline, run):
    base = {**PAPER["base_model"], "source": f"path:{folder(pipeline, 'glm-4-9b')}", "rope_scaling": None}
    set_params(PAPER, base_model=base)
    code, report = reported(run, "--gpus", "8x80")
    assert code == 2
    [refusal] = report["errors"]
    assert refusal.startswith("the positions of the model reach 8,192 tokens, but pack.max_length is 32,768")
    assert report["licence"] == "other"
    set_params(PAPER, base_model={**base, "rope_scaling": PAPER["base_model"]["rope_scaling"]})
    code, report = reported(run, "--gpus", "8x80")
    assert (code, report["errors"], report["model"]["context"]) == (0, [], 131072)


def test_the_checkpoints_of_each_training_are_those_kept_the_best_one_and_one_being_written(pipeline, run):
    base = {**PAPER["base_model"], "source": f"path:{folder(pipeline, 'glm-4-9b')}"}
    set_params(PAPER, base_model=base, sft={**PAPER["sft"], "eval_steps": 50, "publish": "best"})
    report = reported(run, "--gpus", "8x80")[1]
    point = 14 * 9_399_951_360  # ZeRO-3: 14 bytes for each weight
    assert report["checkpoints"] == {"sft": 3 * point, "dpo": 2 * point}


def test_heads_that_ranks_cannot_share_are_refused_before_anything_is_paid(pipeline, run):
    base = {**PAPER["base_model"], "source": f"path:{folder(pipeline, 'qwen2.5-7b')}", "rope_scaling": None}
    set_params(PAPER, base_model=base, training={**PAPER["training"], "sequence_ranks": 8})
    code, report = reported(run, "--gpus", "8x80")
    assert code == 2
    [refusal] = report["errors"]
    assert refusal.startswith(
        "training.sequence_ranks is 8, which cannot share 28 heads and 4 key heads: set it to"
    )
    set_params(PAPER, base_model=base, training={**PAPER["training"], "sequence_ranks": 4})
    code, out, _ = run("capacity", "--gpus", "8x80")
    assert code == 0
    assert "8 ranks (4 share a pack) on cuda" in out
    assert "not measured: ranks that share a pack: tried on CPU ranks only" in out


def test_a_writer_that_vllm_could_not_serve_is_refused_and_packs_shared_by_nodes_are_named(pipeline, run):
    base = {**PAPER["base_model"], "source": f"path:{folder(pipeline, 'qwen2.5-7b')}", "rope_scaling": None}
    Path("hosts").write_text("a slots=6\nb slots=2\n")
    vllm = {"tensor_parallel": 2, "data_parallel": 8, "memory_share": 0.9, "prefix_caching": True}
    local = {
        **PAPER["llm"],
        "engine": "vllm",
        "model": "elsewhere",
        "base_url": None,
        "api_key_env": "",
        "vllm": vllm,
    }
    training = {**PAPER["training"], "sequence_ranks": 4, "hostfile": "hosts"}
    set_params(PAPER, base_model=base, training=training, write={**PAPER["write"], "llm": local})
    code, report = reported(run, "--gpus", "8x80")
    assert code == 2
    assert report["errors"] == [
        "write.llm.vllm asks for 2 x 8 GPUs, and there are 8: lower tensor_parallel or data_parallel"
    ]
    [advice] = report["advice"]
    assert advice.startswith(
        "training.sequence_ranks is 4, which does not divide the slots of a (6), b (2): ranks of"
    )


def folder(place, name):
    """A folder with the config of a model and its card, but no weights."""
    made = place / "model"
    made.mkdir()
    shutil.copyfile(CONFIGS / f"{name}.json", made / "config.json")
    (made / "README.md").write_text("---\nlicense: other\n---\n# A model\n")
    return made


def test_a_model_that_is_not_fetched_yet_is_reported_as_unknown(pipeline, run):
    set_params(PARAMS)
    code, report = reported(run)
    assert (code, report["model"]) == (0, None)
    assert report["not_measured"] == [
        "the model: the GGUF is not fetched yet; the check is repeated when base_model has run, "
        "and --model CONFIG.json makes it now"
    ]


def test_a_profile_with_another_model_is_not_computed_for_the_model_that_is_fetched(pipeline, run):
    set_params(PARAMS)
    weights = pipeline / "data" / "base_model" / "weights"
    weights.mkdir(parents=True)
    shutil.copyfile(CONFIGS / "smollm2-135m.json", weights / "config.json")
    assert reported(run)[1]["model"]["layers"] == 30
    other = {"source": f"path:{folder(pipeline, 'glm-4-9b')}", "sha256": None}
    (pipeline / "mine.yaml").write_text(yaml.safe_dump({"base_model": other}))
    assert reported(run, "--profile", "mine.yaml", "--gpus", "8x80")[1]["model"]["layers"] == 40


def test_what_does_not_fit_this_machine_has_exit_code_2_and_a_cure(pipeline, run):
    set_params(
        PAPER, base_model={**PAPER["base_model"], "source": f"path:{pipeline}/model", "rope_scaling": None}
    )
    (pipeline / "model").mkdir()
    shutil.copyfile(CONFIGS / "qwen2.5-7b.json", pipeline / "model" / "config.json")
    code, out, err = run("capacity", "--gpus", "8x8")
    assert (code, err) == (2, "")
    assert "does not fit: sft: a rank needs" in out
    assert "no layout of infra/deepspeed fits" in out


def test_the_table_shows_the_parts_of_a_rank_and_what_was_never_measured(pipeline, run):
    words = ("--profile", "paper", "--gpus", "8x80", "--model", str(CONFIGS / "qwen2.5-7b.json"))
    code, out, _ = run("capacity", *words)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "model qwen2, 7,615,616,512 parameters, context 131,072 tokens" in lines
    assert "optimizer (AdamW, fp32) 10.64 0.00 10.64 0.00" in lines
    assert "checkpoints of SFT 99.30" in lines
    assert "not measured: speed on GPUs: an assumed share of the peak; several GPUs were never tried" in lines


def test_a_layout_with_offload_that_is_not_needed_is_named_with_a_better_one(pipeline, run):
    base = {
        **PAPER["base_model"],
        "source": f"path:{folder(pipeline, 'qwen2.5-7b')}",
        "rope_scaling": None,
    }
    training = {**PAPER["training"], "deepspeed": "infra/deepspeed/zero3_offload.json"}
    set_params(PAPER, base_model=base, training=training)
    code, out, _ = run("capacity", "--gpus", "8x80")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "optimizer (AdamW, fp32) 0.00 17.02 0.00 17.02" in lines
    assert any(
        line.startswith("advice: SFT and DPO also fit with training.deepspeed: infra/deepspeed/zero2.json")
        for line in lines
    )


@pytest.mark.parametrize("words", ["80", "0x80", "8x", "8x80:", "x", "8x80x2", "1" * 99])
def test_gpus_of_another_form_are_refused(pipeline, run, words):
    code, out, err = run("capacity", "--gpus", words)
    assert (code, out) == (2, "")
    assert "allowed: NUMBERxGIB, such as 8x80, or with a name, 8x80:A100" in err
