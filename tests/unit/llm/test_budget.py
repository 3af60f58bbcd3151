import asyncio

import pytest

from longwriter.errors import BudgetReached, ModelUnusable
from longwriter.llm.client import Answer
from tests.unit.llm.endpoint import SAMPLING, client, run, serving


def test_max_cost_stops_before_the_next_request_and_goes_on_under_a_higher_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "infra").mkdir()
    table = "models: {m: {input: 1000, cached_input: null, output: 10000}}"  # an answer: $0.10 + $0.10
    (tmp_path / "infra" / "prices.yaml").write_text(table)
    external = {"engine": "external", "replay_as": "https://one.example/v1"}
    with pytest.raises(BudgetReached, match=r"\$0\.40.*max_cost_usd is 0\.3.*run again"):
        run(tmp_path, [], ["tell 0", "tell 1", "tell 2"], max_cost_usd=0.3, **external)
    answers, server, usage = run(tmp_path, [], ["tell 0", "tell 1", "tell 2"], max_cost_usd=9, **external)
    assert [answer.replayed for answer in answers] == [True, True, False]
    assert (len(server.requests), usage["cost_usd"]) == (1, 0.6)


def test_at_the_limit_only_what_is_under_way_still_ends(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "infra").mkdir()
    (tmp_path / "infra" / "prices.yaml").write_text(
        "models: {m: {input: 9000, cached_input: null, output: 0}}"
    )

    async def go():
        async with serving() as server:
            changed = {"engine": "external", "max_cost_usd": 0.5, "max_concurrency": 2}
            async with client(server, tmp_path, **changed) as llm:
                server.delay_s = 0.02
                asks = [llm.ask(f"tell {n}", SAMPLING) for n in range(9)]
                results = await asyncio.gather(*asks, return_exceptions=True)
            return results, len(server.requests)

    results, asked = asyncio.run(go())
    assert [type(result) for result in results] == [Answer] * asked + [BudgetReached] * (9 - asked)
    assert asked == 2


def test_a_limit_without_a_price_is_refused_before_the_first_call_and_without_one_has_no_cost(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelUnusable, match=r"infra/prices\.yaml has no price for m"):
        run(tmp_path, [], ["tell me"], engine="external", max_cost_usd=1.0)
    _, _, usage = run(tmp_path, [], ["tell me"], engine="external")
    assert "cost_usd" not in usage
    assert run(tmp_path, [], ["tell me"])[2]["cost_usd"] == 0
