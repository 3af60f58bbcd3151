"""The templates for clusters: SLURM's variables exist, SIGTERM saves, and the manifest fits the schema of JobSet."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

CLUSTER = Path("infra/cluster").absolute()
SCHEMA = Path("tests/golden/jobset_schema.json").absolute()
WAIT_S = 120

# https://slurm.schedmd.com/sbatch.html, section "Output environment variables"
SLURM = {
    "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "n[1-2]", "SLURM_GPUS_ON_NODE": "8", "SLURM_SUBMIT_DIR": "/home/me",
}  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose `dvc` and `scontrol` are stubs; each call of a stub is a line of `calls`."""
    (tmp_path / "infra").mkdir()
    shutil.copytree(CLUSTER, tmp_path / "infra/cluster")
    (tmp_path / "params.yaml").write_text("training:\n  hostfile: .lw/hosts\n")
    binaries = tmp_path / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "activate").write_text(f"PATH={binaries}:$PATH\n")
    dvc = "state=.lw/checkpoints/sft-1; until [ -e $state/stop ] || [ ! -e $state/running ]; do sleep 0.05; done; exit $CODE"
    scontrol = '[ "$1" = requeue ] || printf "n1\\nn2\\n"'
    for name, body in {"dvc": dvc, "scontrol": scontrol}.items():
        (binaries / name).write_text(f'#!/bin/sh\necho "{name} $*" >>calls\n{body}\n')
        (binaries / name).chmod(0o755)
    return tmp_path


def start(checkout: Path, script: str, *words: str, code: int = 0) -> subprocess.Popen[bytes]:
    path = f"{checkout / '.venv/bin'}{os.pathsep}/usr/bin{os.pathsep}/bin"
    environment = {**SLURM, "SLURM_SUBMIT_DIR": str(checkout), "PATH": path, "CODE": str(code)}
    return subprocess.Popen(
        ["bash", f"infra/cluster/{script}", *words], cwd=checkout, env=environment, stderr=subprocess.PIPE
    )


def calls(checkout: Path) -> list[str]:
    file = checkout / "calls"
    return file.read_text().splitlines() if file.is_file() else []


def test_a_job_writes_its_nodes_and_trains_the_stages_that_are_named(checkout: Path) -> None:
    assert start(checkout, "slurm.sbatch", "sft", "dpo").wait(WAIT_S) == 0
    assert (checkout / ".lw/hosts").read_text() == "n1 slots=8\nn2 slots=8\n"
    assert calls(checkout) == ["scontrol show hostnames n[1-2]", "dvc repro --single-item sft dpo"]


def test_sigterm_saves_the_step_and_the_job_comes_back(checkout: Path) -> None:
    state = checkout / ".lw/checkpoints/sft-1"
    state.mkdir(parents=True)
    (state / "running").touch()
    job = start(checkout, "slurm.sbatch", code=255)
    end = time.monotonic() + WAIT_S
    while "dvc repro --single-item sft" not in calls(checkout):
        assert time.monotonic() < end
        time.sleep(0.02)
    job.send_signal(signal.SIGTERM)
    assert job.wait(WAIT_S) == 75
    assert (state / "stop").is_file()
    assert calls(checkout)[-1] == "scontrol requeue 7"


def test_a_training_that_fails_is_not_started_again(checkout: Path) -> None:
    assert start(checkout, "slurm.sbatch", code=255).wait(WAIT_S) == 255
    assert "scontrol requeue 7" not in calls(checkout)


def test_a_checkout_without_the_hostfile_in_its_parameters_is_refused(checkout: Path) -> None:
    (checkout / "params.yaml").write_text("training:\n  hostfile: null\n")
    _, error = (job := start(checkout, "train.sh")).communicate(timeout=WAIT_S)
    assert (job.returncode, calls(checkout)) == (2, [])
    assert error == b"train: set training.hostfile to .lw/hosts in params.yaml\n"


def test_the_job_uses_only_variables_that_slurm_sets() -> None:
    text = (CLUSTER / "slurm.sbatch").read_text() + (CLUSTER / "train.sh").read_text()
    assert set(re.findall(r"SLURM_\w+", text)) == set(SLURM)


def test_the_manifest_fits_the_schema_of_jobset_and_its_parts_name_each_other() -> None:
    account, role, binding, jobset = yaml.safe_load_all((CLUSTER / "kubernetes.yaml").read_text())
    schema = json.loads(SCHEMA.read_text())
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(jobset)] == []
    jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["backofLimit"] = 0
    assert [error.message for error in jsonschema.Draft202012Validator(schema).iter_errors(jobset)] != []
    head, workers = (job["template"]["spec"] for job in jobset["spec"]["replicatedJobs"])
    pod = head["template"]["spec"]
    names = {item["metadata"]["name"] for item in (account, role, binding)}
    assert names == {binding["roleRef"]["name"], binding["subjects"][0]["name"], pod["serviceAccountName"]}
    env = {item["name"]: item["value"] for item in pod["containers"][0]["env"]}
    assert int(env["NODES"]) == 1 + workers["parallelism"] == 1 + workers["completions"]
    assert int(env["GPUS"]) == pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    [script] = pod["containers"][0]["args"]
    assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0
    assert f"jobset-name={jobset['metadata']['name']}" in script


def test_the_manifests_of_prefect_fit_the_schema_of_kubernetes_and_name_each_other() -> None:
    folder = CLUSTER / "prefect"
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    names = kustomization["resources"]
    assert sorted([*names, "kustomization.yaml"]) == sorted(path.name for path in folder.iterdir())
    parts = [part for name in names for part in yaml.safe_load_all((folder / name).read_text())]
    for part in parts:
        kubernetes_validate.validate(part, "1.32", strict=True)
    server, service, policy, *workers = parts
    labels = server["spec"]["template"]["metadata"]["labels"]
    selectors = (server["spec"]["selector"]["matchLabels"], service["spec"]["selector"])
    assert (*selectors, policy["spec"]["podSelector"]["matchLabels"]) == (labels, labels, labels)
    for worker, pool in zip(workers, ("cpu", "gpu"), strict=True):
        pod = worker["spec"]["template"]["spec"]
        [container] = pod["containers"]
        assert worker["kind"] == "StatefulSet"  # its pod keeps its name, which a deployment of Prefect holds
        assert f"--pool {pool} " in container["args"][0]
        assert container["env"] == [
            {
                "name": "PREFECT_API_URL",
                "value": f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}/api",
            }
        ]
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (pool == "gpu")
    del workers[0]["spec"]["template"]["spec"]["containers"][0]["name"]
    with pytest.raises(kubernetes_validate.ValidationError, match="name"):
        kubernetes_validate.validate(workers[0], "1.32", strict=True)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="needs kubectl")
def test_kustomize_renders_every_manifest_of_prefect_with_the_image_and_the_label() -> None:
    words = ["kubectl", "kustomize", str(CLUSTER / "prefect")]
    rendered = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    parts = list(yaml.safe_load_all(rendered))
    for part in parts:
        kubernetes_validate.validate(part, "1.32", strict=True)
    pods = [part["spec"]["template"] for part in parts if "template" in part["spec"]]
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {
        "registry.example.com/longwriter:latest"
    }
    assert all(pod["metadata"]["labels"]["app.kubernetes.io/part-of"] == "longwriter" for pod in pods)
    assert len(pods) == 3
