import asyncio
import io

import pytest

from longwriter.edges.llm import Endpoint, connect
from longwriter.params import LLMParams, Sampling
from tests.scripted_server import scripted

SAMPLING = Sampling(temperature=0.8, max_tokens=9, top_p=None, repetition_penalty=1.1, stop=["."], seed=0)
PARAMS = LLMParams(
    engine="llama.cpp", model="folder", base_url=None, api_key_env="", extra_body={}, context_tokens=64,
    max_concurrency=4, timeout_s=30, max_retries=0,
)  # fmt: skip


async def capabilities(endpoint, cache):
    async with connect(endpoint, PARAMS, SAMPLING, cache, io.StringIO()) as llm:
        return llm.capabilities


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with scripted(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.mark.parametrize(("is_local", "times"), [(True, 1), (False, 2)])
def test_only_an_engine_of_this_pipeline_is_remembered(tmp_path, server, is_local, times):
    endpoint = Endpoint(server.url, "folder@1234", "none", is_local)
    before = len(server.requests("probe"))
    first = asyncio.run(capabilities(endpoint, tmp_path / "r.sqlite"))
    once = len(server.requests("probe")) - before
    assert asyncio.run(capabilities(endpoint, tmp_path / "r.sqlite")) == first
    assert first.json_schema
    assert first.repetition_penalty == "repetition_penalty"
    assert len(server.requests("probe")) - before == times * once > 0


def test_a_key_never_shows():
    assert "secret" not in repr(Endpoint("http://127.0.0.1/v1", "m", "secret"))
