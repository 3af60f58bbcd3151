import io
import json
from collections import Counter

import pytest

from longwriter.errors import BadRecord, Unavailable, UserError
from longwriter.exclusions import decontamination
from longwriter.instructions.candidates import screen_sources
from longwriter.instructions.screening import ScreeningLimits
from longwriter.sources import files as sources

LIMITS = ScreeningLimits(
    ["en"],
    1000,
    1000,
    {},
    {},
    decontamination.index(["Tell a tale of the sea, in 300 words, for a child of ten."]),
)


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(count):
    """Return lines: of each ten one is malformed, one French, one with a long text, one from a benchmark."""
    made = [{"prompt": f"Tell of stone {n}.", "language": "en", "type": "xy"[n % 2]} for n in range(count)]
    for n in range(0, count, 10):
        made[n] = {"prompt": n}
        made[n + 1]["language"] = "fr"
        made[n + 2]["length"] = 5000
        made[n + 3]["prompt"] = "tell a TALE of the sea in 300 words for a child of ten"
    return "".join(json.dumps(row) + "\n" for row in made)


def screened(path):
    """Return all that is known of the candidates, and the rejections."""
    rejected = io.BytesIO()
    with screen_sources(sources.chunks(str(path), "*"), LIMITS, rejected) as candidates:
        names = list(candidates.cells)
        known = [
            (candidates[at], int(candidates.ids()[at]), names[candidates.cell_places()[at]], candidates.benchmark_hits.get(at), candidates.signatures()[at].tolist())
            for at in range(len(candidates))
        ]  # fmt: skip
        return (
            known,
            [json.loads(line) for line in rejected.getvalue().splitlines()],
            candidates.reasons,
            candidates.first_malformed,
        )


def test_many_processes_find_what_one_finds_in_the_same_order(tmp_path):
    (tmp_path / "a.jsonl").write_text(rows(6500))
    known, rejected, reasons, malformed = screened(tmp_path / "a.jsonl")
    (tmp_path / "parts").mkdir()
    one = ([], [], Counter())
    for part, first in enumerate(range(0, 6500, 1500)):  # a chunk each: screened in this process
        lines = rows(6500).splitlines(keepends=True)[first : first + 1500]
        (tmp_path / "parts" / f"{part}.jsonl").write_text("".join(lines))
        for store, more in zip(one, screened(tmp_path / "parts" / f"{part}.jsonl"), strict=False):
            store.update(more) if isinstance(store, Counter) else store.extend(more)
    assert [(item.prompt, *rest) for item, *rest in known] == [(item.prompt, *rest) for item, *rest in one[0]]
    assert len(rejected) == len(one[1]) == 3 * 650
    assert reasons == one[2] == {"malformed": 650, "language": 650, "too_long_for_writer": 650}
    assert len(known) == 6500 - 3 * 650
    assert malformed == f"{tmp_path}/a.jsonl:1: prompt: text is needed, found int"


def test_a_dask_cluster_screens_the_same_rows_as_the_processes_of_this_machine(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="needs the package distributed: .[dask]")
    (tmp_path / "a.jsonl").write_text(rows(8500))
    here = screened(tmp_path / "a.jsonl")
    with distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", cluster.scheduler_address)
        there = screened(tmp_path / "a.jsonl")
        tasks = cluster.scheduler.cumulative_worker_metrics
        assert any("execute" in key for key in tasks), "the workers have done it"
    assert there == here


def test_a_dask_cluster_that_is_away_or_not_installed_ends_the_stage_in_one_line(tmp_path, monkeypatch):
    (tmp_path / "a.jsonl").write_text(rows(8500))
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    monkeypatch.setattr("longwriter.instructions.candidates._CLUSTER_TIMEOUT_S", 1)
    with pytest.raises((Unavailable, UserError)) as ended:
        screened(tmp_path / "a.jsonl")
    assert "DASK_SCHEDULER_ADDRESS" in str(ended.value)
    assert "\n" not in str(ended.value)


def test_a_candidate_is_known_by_id_cell_and_the_benchmark_that_it_repeats(tmp_path):
    (tmp_path / "a.jsonl").write_text(rows(10))
    known = screened(tmp_path / "a.jsonl")[0]
    item, number, cell, hit, signature = known[0]
    assert (item.origin, number) == (f"{tmp_path}/a.jsonl:4", int(item.instruction_id, 16))
    assert cell == ("en", "y", "0-499")
    assert hit == "Tell a tale of the sea, in 300 words, for a child of ten."
    assert len(signature) == 128
    assert [hit for *_, hit, _ in known[1:]] == [None] * 6


def test_an_empty_source_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n\n")
    with pytest.raises(BadRecord, match=r"a\.jsonl: no file of the pattern .* holds a row"):
        screened(tmp_path / "a.jsonl")


def test_more_malformed_rows_than_allowed_stop_with_the_first(tmp_path):
    (tmp_path / "a.jsonl").write_text(rows(20))
    with screen_sources(sources.chunks(str(tmp_path), "*"), LIMITS, io.BytesIO()) as candidates:
        candidates.check_malformed(0.1, "chats")
        with pytest.raises(BadRecord, match=r"2 of 20 rows of chats .*a\.jsonl:1: prompt: text is needed"):
            candidates.check_malformed(0.09, "chats")
