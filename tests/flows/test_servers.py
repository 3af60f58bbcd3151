"""Which stages of a flow get the model server of the stage before, and their order."""

from __future__ import annotations

import pytest

from flows import servers
from longwriter.models import server_keeper
from tests.unit import test_repository as repository
from tests.unit.models import test_server_keeper as stages

folder = stages.folder  # the fixture


def test_what_one_model_answers_stands_together_and_all_else_keeps_its_place() -> None:
    names = [
        "dpo", "fitness", "generate@base-a", "generate@base-b", "generate@sft-a", "generate@sft-b",
        "short_prompts@base", "short_prompts@sft", "score@base-a", "register",
    ]  # fmt: skip
    assert servers.in_order(names) == [
        "dpo", "fitness", "generate@base-a", "generate@base-b", "short_prompts@base", "generate@sft-a",
        "generate@sft-b", "short_prompts@sft", "score@base-a", "register",
    ]  # fmt: skip


@pytest.mark.parametrize("names", [[], ["plan", "write"], ["short_prompts@sft"], ["score@a-b", "report@b"]])
def test_stages_without_two_that_one_model_answers_keep_their_order(names: list[str]) -> None:
    assert servers.in_order(names) == names


def test_the_server_stays_for_each_stage_that_may_ask_a_model_and_for_no_training() -> None:
    served = repository.SOURCE / "longwriter/models/servers.py"
    may_ask = {
        repository.family(name)
        for name in repository.NAMES
        if served in repository.reached(repository.module(name))
    }
    assert may_ask == servers.ASKING
    assert not {"sft", "dpo"} & servers.ASKING


@pytest.mark.usefixtures("folder")
def test_the_memory_of_the_server_is_free_before_a_training() -> None:
    with server_keeper.keep():
        server, _ = stages.use()
        servers.prepare("short_prompts@sft")
        assert not stages.has_ended(server)
        servers.prepare("sft")
        assert stages.has_ended(server)
