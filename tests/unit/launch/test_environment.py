import pytest

from longwriter.launch import environment

KEPT = {
    "PATH": "/bin", "HOME": "/home/a", "PYTHONPATH": "src", "NCCL_DEBUG": "INFO", "SSH_AUTH_SOCK": "/s",
    "TOKENIZERS_PARALLELISM": "true", "MLFLOW_DISABLE_TELEMETRY": "true", "KEYBOARD": "us", "MONKEY": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY", "PREFECT_API_KEY", "HF_TOKEN", "DB_PASSWORD", "CLIENT_SECRET", "TOKEN", "my_api_key",
        "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY",
        "AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "GOOGLE_APPLICATION_CREDENTIALS",
    ],
)  # fmt: skip
def test_a_secret_does_not_reach_the_ranks(name):
    assert environment.without_secrets({**KEPT, name: "x"}) == KEPT


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_ranks_find_what_they_need_and_no_secret(device):
    found = environment.of_ranks({**KEPT, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "x"}, device, 1)
    assert "HF_TOKEN" not in found
    assert (found["HF_HUB_OFFLINE"], found["TOKENIZERS_PARALLELISM"], found["PATH"]) == ("1", "false", "/bin")
    assert ("OMP_NUM_THREADS" in found) is (device == "cpu")
    assert ("TORCHDYNAMO_DISABLE" in found) is (device == "cpu")
    assert found.get("CUDA_VISIBLE_DEVICES") == ("" if device == "cpu" else None)


def test_each_rank_of_a_cpu_has_one_thread_or_more():
    assert environment.of_ranks({}, "cpu", 10_000)["OMP_NUM_THREADS"] == "1"


def test_other_nodes_get_the_settings_of_libraries_and_nothing_of_this_machine():
    sent = {
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "NCCL_DEBUG": "INFO", "LW_X": "1", "PYTHONPATH": "src",
        "LD_LIBRARY_PATH": "/lib", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "1", "OMP_NUM_THREADS": "4",
        "PYTORCH_ALLOC_CONF": "x", "LANG": "C.UTF-8", "CUDA_DEVICE_MAX_CONNECTIONS": "1",
    }  # fmt: skip
    kept = {
        "HF_TOKEN": "s", "LW_API_KEY": "s", "MLFLOW_TRACKING_URI": "s", "AWS_SECRET_ACCESS_KEY": "s", "PATH": "/bin",
        "HOME": "/root", "CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "1", "RANK": "0", "HOSTNAME": "a",
    }  # fmt: skip
    assert environment.for_nodes({**sent, **kept}) == sent
