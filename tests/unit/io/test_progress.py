"""Long work: which row begins when, who fails first, what the bar shows, what is held in memory."""

import asyncio
import os
import re
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longwriter.io import files, progress
from longwriter.records import Instruction, Rejection
from tests.unit.builders import instruction


def run(rows, worker, keep, **options):
    return asyncio.run(progress.each_to(rows, worker, keep, "write", **{"concurrency": 2, **options}))


@pytest.mark.parametrize(
    ("weights", "order"), [([1, 3, 2, 3], [1, 3, 2, 0]), ([0, 0, 1], [2, 0, 1]), (None, [0, 1, 2]), ([], [])]
)
def test_the_heaviest_row_begins_first_and_equals_begin_in_their_order(weights, order):
    begun = []

    async def worker(row, tick):
        begun.append(row)

    run(
        range(3 if weights is None else len(weights)), worker, lambda *_: None, concurrency=1, weights=weights
    )
    assert begun == order


def test_so_many_rows_are_under_way_as_there_are_workers_and_no_task_waits_for_its_turn():
    under_way, seen, tasks = set(), [], []

    async def worker(row, tick):
        under_way.add(row)
        await asyncio.sleep(0.001)
        seen.append(len(under_way))
        tasks.append(len(asyncio.all_tasks()))
        under_way.remove(row)

    run(range(40), worker, lambda *_: None, concurrency=7)
    assert max(seen) == 7
    assert max(tasks) == 7 + 1


def test_fewer_rows_than_workers_are_all_under_way():
    both = asyncio.Barrier(2)

    async def worker(row, tick):
        await asyncio.wait_for(both.wait(), 60)

    run(range(2), worker, lambda *_: None, concurrency=64)


def test_a_row_is_read_when_a_worker_begins_it_and_its_result_is_stored_before_the_next():
    told = []

    class Rows:
        def __len__(self):
            return 3

        def __getitem__(self, position):
            told.append(f"read {position}")
            return position

    async def worker(row, tick):
        return row * 10

    run(Rows(), worker, lambda position, result: told.append(f"keep {position}: {result}"), concurrency=1)
    assert told == ["read 0", "keep 0: 0", "read 1", "keep 1: 10", "read 2", "keep 2: 20"]


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 5))
def test_results_are_read_back_in_the_order_of_the_rows(tmp_path_factory, weights, concurrency):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("spool"))
        with files.spool(Instruction, Rejection) as done:

            async def worker(row, tick):
                for _ in range(weights[row]):
                    await asyncio.sleep(0)
                if row % 3 == 2:
                    return Rejection(row_id=str(row), stage="plan", reason="refused", detail="潮")
                return instruction(str(row))

            run(range(len(weights)), worker, done.put, concurrency=concurrency, weights=weights)
            found = [row.row_id if isinstance(row, Rejection) else row.prompt for row in done]
    assert found == [str(row) for row in range(len(weights))]


def test_the_first_failure_is_raised_itself_and_ends_the_others_and_no_row_begins_after_it():
    begun, ended = [], []

    async def worker(row, tick):
        begun.append(row)
        if row == 1:
            raise LookupError("row 1")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(row)
            raise ValueError("a later failure") from None

    with pytest.raises(LookupError, match="row 1"):
        run(range(9), worker, lambda *_: None, concurrency=3)
    assert begun == [0, 1, 2]
    assert sorted(ended) == [0, 2]


def test_a_result_that_cannot_be_kept_ends_the_work():
    begun = []

    async def worker(row, tick):
        begun.append(row)

    def keep(position, result):
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run(range(9), worker, keep, concurrency=1)
    assert begun == [0]


def on_a_terminal(monkeypatch, work):
    """Return what `work` shows on a terminal; a terminal is live, a file gets a line in ten seconds."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    os.set_blocking(master, False)
    shown = b""
    with os.fdopen(slave, "w", encoding="utf-8") as terminal, os.fdopen(master, "rb", buffering=0) as screen:
        monkeypatch.setattr("sys.stderr", terminal)
        work()
        terminal.flush()
        while part := screen.read(4096):  # None: nothing more is there
            shown += part
    return shown.decode()


def test_the_bar_moves_within_a_long_row_with_the_time_that_is_left(monkeypatch):
    async def worker(row, tick):
        for _ in range(3):
            await asyncio.sleep(0.6)  # the bar is drawn twice a second
            tick(1)

    shown = on_a_terminal(
        monkeypatch,
        lambda: asyncio.run(
            progress.each_to(
                ["a"], worker, lambda *_: None, "write", lambda: "$0.02", concurrency=1, weights=[4],
                unit="paragraphs",
            )
        ),
    )  # fmt: skip
    assert re.search(r"write:\s+25%.* 1/4 \[\d\d:\d\d<\d\d:\d\d, .*paragraphs.*\$0\.02\]", shown)
    assert "4/4" in shown


def test_the_bar_is_drawn_again_while_no_row_ends(monkeypatch):
    notes = []

    def note():
        notes.append(f"{len(notes)} tokens")
        return notes[-1]

    async def worker(row):
        async with asyncio.timeout(60):
            while len(notes) < 4:
                await asyncio.sleep(0.01)

    shown = on_a_terminal(monkeypatch, lambda: asyncio.run(progress.each(["a"], worker, "write", note)))
    assert re.search(r"0/1 \[.* 2 tokens\]", shown)


def test_a_row_that_ends_early_counts_its_rest_and_none_counts_more_than_its_weight(capfd):
    async def worker(row, tick):
        tick(row)

    run([0, 2, 9], worker, lambda *_: None, weights=[3, 3, 1])
    assert "7/7" in capfd.readouterr().err


def test_each_returns_results_in_the_rows_order_however_long_they_take():
    async def worker(row):
        await asyncio.sleep(row / 100)
        return row

    assert asyncio.run(progress.each([3, 1, 2], worker, "plan")) == [3, 1, 2]


def test_each_raises_the_first_failure_itself():
    async def worker(row):
        await asyncio.sleep(row / 100)
        raise LookupError(str(row))

    with pytest.raises(LookupError, match=r"^1$"):
        asyncio.run(progress.each([60, 1, 2], worker, "plan"))
