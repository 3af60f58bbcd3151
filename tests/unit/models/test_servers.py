import asyncio
import stat
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import psutil
import pytest

from longwriter.errors import ModelUnusable
from longwriter.llm.client import connect
from longwriter.models import server_keeper
from longwriter.models import servers as serving
from longwriter.params import LLMParams, Sampling, ServingParams, VllmParams
from longwriter.web import net

LOCAL = {
    "engine": "llama.cpp", "base_url": None, "api_key_env": "", "extra_body": {}, "context_tokens": 256,
    "max_concurrency": 2, "requests_per_minute": None, "tokens_per_minute": None, "max_cost_usd": None,
    "timeout_s": 60, "max_retries": 0,
}  # fmt: skip
GREEDY = Sampling(temperature=0, max_tokens=4, top_p=None, repetition_penalty=None, stop=[], seed=0)

TALKS = "import sys; print('out' * 99_999); print('err', file=sys.stderr)"


def test_a_server_that_logs_to_stdout_is_never_held_up_and_all_is_in_its_log(tmp_path):
    log = tmp_path / "vllm.log"
    server = server_keeper.start([sys.executable, "-c", TALKS], "", log)
    try:
        assert server.wait(120) == 0
    finally:
        server.kill()
    words = log.read_text()
    assert "out" * 99_999 in words
    assert "err" in words


def test_a_local_model_answers_on_a_socket_that_only_its_user_can_reach_and_on_no_port(tiny_model, tmp_path):
    params = LLMParams.model_validate(LOCAL | {"model": str(tiny_model)})
    with serving.serve(params, tmp_path) as endpoint:
        folder = Path(endpoint.socket).parent
        [server] = [
            child for child in psutil.Process().children() if "llamacpp_server" in " ".join(child.cmdline())
        ]
        assert not [item for item in server.net_connections("inet") if item.status == psutil.CONN_LISTEN]
        assert net.is_healthy("http://localhost/health", endpoint.socket)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

        async def ask():
            async with connect(
                endpoint, params, GREEDY, tmp_path / "replay.sqlite", tmp_path / "calls"
            ) as llm:
                whole = await llm.ask("Say yes.", GREEDY)
                begun = await llm.ask("Say yes.", GREEDY, opening="The tide")
                return whole, begun

        whole, begun = asyncio.run(ask())
        assert whole.usage.completion_tokens >= 1
        assert begun.text.startswith("The tide")  # it is continued, not answered
        assert begun.usage.prompt_tokens > whole.usage.prompt_tokens
    assert not folder.exists()
    assert not server.is_running()


def named(folder, **changed):
    """Return the name of the conversion of some weights, of which some part is another."""
    parts = {"model.safetensors": "weights", "model.gguf": "tokenizer", "precision": "F16"} | changed
    for name in ("model.safetensors", "model.gguf"):
        (folder / name).write_text(parts[name])
    return serving._conversion(folder, folder / "model.gguf", parts["precision"])


def test_a_conversion_is_known_by_weights_template_precision_and_converter(tmp_path, monkeypatch):
    names = [named(tmp_path)]
    assert named(tmp_path) == names[0]
    assert names[0].endswith("-F16")
    names += [named(tmp_path, **{part: "Q8_0"}) for part in ("model.safetensors", "model.gguf", "precision")]
    monkeypatch.setattr(serving, "CONVERTER", serving.CONVERTER + 1)
    assert len({*names, named(tmp_path)}) == 5


SERVING = ServingParams(
    engine="llama.cpp", precision="F16", context_tokens=512, max_concurrency=1, timeout_s=60, max_retries=0
)


def test_a_folder_with_only_a_gguf_is_served_as_it_is_in_every_precision(tmp_path):
    (tmp_path / "model.gguf").write_bytes(b"weights")
    params = LLMParams.model_validate(LOCAL | {"model": str(tmp_path), "precision": "F16"})
    assert serving._weights(params)[0] == tmp_path / "model.gguf"


def test_a_conversion_whose_bytes_have_changed_is_made_again(tiny_model, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    model = Path(serving.local(tiny_model, tiny_model, SERVING).model) / "model.gguf"
    whole, made = model.read_bytes(), model.stat().st_mtime_ns
    serving.local(tiny_model, tiny_model, SERVING)
    assert model.stat().st_mtime_ns == made
    for damaged in (whole[:-1000], whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]):
        caplog.clear()
        model.write_bytes(damaged)
        serving.local(tiny_model, tiny_model, SERVING)
        assert model.read_bytes() == whole
        assert "damaged" in caplog.text


def test_a_writer_is_served_in_the_precision_that_its_section_names(tiny_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = LLMParams.model_validate(LOCAL | {"model": str(tiny_model)})
    file, _ = serving._weights(own)
    assert file == tiny_model / "model.gguf"
    converted, name = serving._weights(own.model_copy(update={"precision": "Q8_0"}))
    assert converted.parent.parent == Path(".lw/served")
    assert name.partition("@")[0].endswith("-Q8_0")
    compared = serving.local(tiny_model, tiny_model, SERVING.model_copy(update={"precision": "Q8_0"}))
    assert converted.parent == Path(compared.model)  # the benchmark uses the same file


GPUS = VllmParams(tensor_parallel=2, data_parallel=4, memory_share=0.8, prefix_caching=False)


def test_every_setting_of_vllm_reaches_its_command(tmp_path, monkeypatch):
    package = ModuleType("vllm")
    package.__spec__ = ModuleSpec("vllm", None)
    monkeypatch.setitem(sys.modules, "vllm", package)
    (tmp_path / "model.safetensors").write_bytes(b"")
    serving_params = ServingParams(
        engine="vllm",
        precision="BF16",
        context_tokens=40960,
        max_concurrency=64,
        timeout_s=60,
        max_retries=1,
        vllm=GPUS,
    )
    params = serving.local(tmp_path, tmp_path, serving_params)
    command = serving._command(params, tmp_path, "m@1", "s.sock", gpu_share=0.5)
    assert command[command.index("vllm.entrypoints.openai.api_server") + 1 :] == [
        "--model", str(tmp_path), "--served-model-name", "m@1", "--uds", "s.sock",
        "--max-num-seqs", "64", "--max-model-len", "40960", "--gpu-memory-utilization", "0.40",
        "--tensor-parallel-size", "2", "--data-parallel-size", "4", "--no-enable-prefix-caching",
    ]  # fmt: skip


def test_without_settings_vllm_has_its_own():
    assert serving._vllm_options(None, 1.0) == []
    assert serving._vllm_options(None, 0.5) == ["--gpu-memory-utilization", "0.45"]
    cached = GPUS.model_copy(update={"prefix_caching": True})
    assert serving._vllm_options(cached, 1.0)[-1] == "--enable-prefix-caching"


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV, a memory fault: the GGUF is damaged, or its chat template"),
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL: somebody killed it, or the kernel did because memory was short"),
        ("os.kill(os.getpid(), 40)", "ended by signal 40"),
        ("os._exit(3)", "exit 3"),
    ],
)  # fmt: skip
def test_a_server_that_ends_at_its_start_says_how_in_words_and_names_its_log(tmp_path, ends, told):
    log = tmp_path / "server.log"
    command = [sys.executable, "-c", f"import os; print('loading', flush=True); {ends}"]
    with pytest.raises(ModelUnusable) as error, server_keeper.running(command, log) as server:
        serving._wait_healthy(server, "llama.cpp", log)
    assert told in str(error.value)
    assert str(error.value).endswith(f"; see {log}: loading")
