import sys

from longwriter.models import servers as serving

TALKS = "import sys; print('out' * 99_999); print('err', file=sys.stderr)"


def test_a_server_that_logs_to_stdout_is_never_held_up_and_all_is_in_its_log(tmp_path):
    log = tmp_path / "vllm.log"
    server = serving._start([sys.executable, "-c", TALKS], log, prints_url=False)
    try:
        assert server.wait(20) == 0
    finally:
        server.kill()
    words = log.read_text()
    assert "out" * 99_999 in words
    assert "err" in words


def test_a_server_that_tells_its_url_is_read_and_logs_the_rest(tmp_path):
    talks = "import sys; print('url'); print('err', file=sys.stderr)"
    log = tmp_path / "llama.cpp.log"
    with serving._start([sys.executable, "-c", talks], log, prints_url=True) as server:
        assert server.stdout.readline() == b"url\n"
    assert log.read_text() == "err\n"


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
