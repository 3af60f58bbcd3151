"""Votes are on disk when they are acknowledged, and count once."""

import pytest

from longwriter.errors import BadRecord, UserError
from longwriter.io import files
from longwriter.records import Vote
from longwriter.review import ballot, pairs


def vote(rater="ann", label="first", first="one", second="two", reason=""):
    return Vote(prompt="Write.", first=first, second=second, vote=label, rater=rater, reason=reason)


def test_a_rater_votes_once_on_a_pair_in_whatever_order_it_stands(tmp_path):
    with ballot.open_folder(tmp_path / "new") as box:
        assert box.add(vote())
        assert not box.add(vote(label="second"))
        assert not box.add(vote(first="two", second="one"))
        assert box.add(vote("ben", "tie", reason="Both.\nReally “both”."))
    rows = files.read_jsonl(tmp_path / "new/review.jsonl", Vote)
    assert [(row.rater, row.vote, row.reason) for row in rows] == [
        ("ann", "first", ""),
        ("ben", "tie", "Both.\nReally “both”."),
    ]


def test_votes_count_after_a_restart_and_a_line_cut_by_a_kill_does_not(tmp_path):
    with ballot.open_folder(tmp_path) as box:
        box.add(vote())
    whole = (tmp_path / "review.jsonl").read_bytes()
    for size in range(1, len(whole), 7):
        (tmp_path / "review.jsonl").write_bytes(whole + vote("ben").model_dump_json().encode()[:size])
        with ballot.open_folder(tmp_path) as box:
            assert box.has("ann", pairs.voted_pair_id(vote()))
            assert not box.has("ben", pairs.voted_pair_id(vote()))
        assert (tmp_path / "review.jsonl").read_bytes() == whole


def test_a_review_without_a_vote_leaves_no_file_that_would_make_a_stage_stale(tmp_path):
    with ballot.open_folder(tmp_path), pytest.raises(UserError), ballot.open_folder(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_servers_do_not_write_one_file(tmp_path):
    with (
        ballot.open_folder(tmp_path),
        pytest.raises(UserError, match="another `longwriter review` writes"),
        ballot.open_folder(tmp_path),
    ):
        pass


def test_a_line_that_is_no_vote_is_named_and_nothing_is_lost(tmp_path):
    (tmp_path / "review.jsonl").write_text('{"prompt": "x"}\n', encoding="utf-8")
    with pytest.raises(BadRecord, match=r"review\.jsonl:1"), ballot.open_folder(tmp_path):
        pass
    assert (tmp_path / "review.jsonl").read_text(encoding="utf-8") == '{"prompt": "x"}\n'
