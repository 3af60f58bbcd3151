"""The band of the headline numbers, from real files and branches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows import headlines
from longwriter.tracking import git


def nights(*values: float) -> list[dict[str, float]]:
    return [{"sft-a S_l": value} for value in values]


@pytest.mark.parametrize(
    ("today", "earlier", "is_low"),
    [
        (50.0, (60, 61, 59, 60, 62), True),
        (58.5, (60, 61, 59, 60, 62), False),  # within two standard deviations
        (90.0, (60, 61, 59, 60, 62), False),
        (50.0, (60, 61, 59, 60), False),  # too few nights
        (50.0, (60, 60, 60, 61, 61, 59), False),  # of six nights, three scored anew
        (50.0, (*[60, 61] * 5, 1000), True),  # the eleventh night does not count
        (50.0, (), False),
    ],
)
def test_a_number_is_low_below_two_standard_deviations_of_at_least_five_nights(
    today: float, earlier: tuple[float, ...], is_low: bool
) -> None:
    assert bool(headlines.below_band({"sft-a S_l": today}, nights(*earlier))) is is_low


def test_a_low_number_is_named_with_its_bound_and_a_new_model_has_none() -> None:
    assert headlines.below_band({"new S_l": 1.0, "sft-a S_l": 50.0}, nights(60, 61, 59, 60, 62)) == [
        "sft-a S_l is 50, below 58.12: the last 5 nights that scored it have a mean of 60.4, less two standard "
        "deviations"
    ]


def test_the_numbers_of_the_checkout_and_of_a_branch_are_those_of_which_more_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert headlines.now(pytest.fail) == {}
    file = Path("data/score/sft-a/headline.json")
    file.parent.mkdir(parents=True)
    git.run("init", "-q", "-b", "main")
    for length in (60.0, 50.0):
        file.write_text(
            json.dumps({"in": 3, "kept": 3, "S_l": length, "ended": 0.5, "loops": 0.9, "S_q": None})
        )
        if length == 60:
            git.run("add", "-A")
            git.run("-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qm", "x")
    assert headlines.now(pytest.fail) == {"sft-a S_l": 50.0, "sft-a ended": 0.5}
    assert headlines.of("main", pytest.fail) == {"sft-a S_l": 60.0, "sft-a ended": 0.5}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> nightly\n",
        b"[]",
        b'{"S_l": "high"}',
        b'{"S_l": NaN}',
        b'{"S_l": 1e999}',
        b'{"S_l": true}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
    ids=lambda content: repr(content[:16]),
)
def test_a_broken_file_on_a_branch_is_left_out_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    for item, text in (("broken", content), ("sft-é", b'{"S_l": 60, "S_q": null, "note": "x"}')):
        Path("data/score", item).mkdir(parents=True)
        Path("data/score", item, "headline.json").write_bytes(text)
    git.run("init", "-q", "-b", "main")
    git.run("add", "-A")
    git.run("-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "-qm", "x")
    warnings: list[str] = []
    assert headlines.of("main", warnings.append) == headlines.now(warnings.append) == {"sft-é S_l": 60.0}
    places = (
        "main:data/score/broken/headline.json is left out: ",
        "data/score/broken/headline.json is left out: ",
    )
    assert [line.startswith(place) for line, place in zip(warnings, places, strict=True)] == [
        True,
        True,
    ]
    assert not any("\n" in line or len(line) > 300 for line in warnings)
