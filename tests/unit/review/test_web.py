"""The review page: a real server behind its door, and a person in a browser."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from longwriter.contest import upstream_files
from longwriter.evaluation.answers import Prompt, generation_of
from longwriter.fitness import votes
from longwriter.io import files
from longwriter.records import Judgement, Vote
from longwriter.review import ballot, pairs, web
from tests.flows import clicks
from tests.serving import served

CHECKOUT = Path.cwd()
HOSTILE = "</article><script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\">"
TOPICS = ("a lighthouse keeper", "rain in the harbour", "how a clock is repaired")


def generations(word, markup=""):
    return [
        generation_of(
            Prompt(f"p{key}", f"Write a story of 300 words about {topic}.", "Story", "en", 300),
            f"{topic.capitalize()}, and what became of it.\n\n"
            + "\n\n".join(
                [f"Then {topic} {word} and nobody in the town knew why it had come so far. " * 6] * 9
            )
            + markup,
            finish_reason="stop",
            max_tokens=9,
            call_ids=[word],
        )
        for key, topic in enumerate(TOPICS)
    ]


LISTED = pairs.review_pairs({"base_model": generations("slept"), "sft": generations("sang", HOSTILE)})


@contextmanager
def serving(folder):
    """Serve the page of votes; yield its URL."""
    with ballot.open_folder(folder) as box, served(web.app(LISTED, box, 0)) as url:
        yield url


def voted(folder):
    return files.read_jsonl(folder / ballot.NAME, Vote)


def test_two_people_vote_and_go_on_after_a_restart_and_fitness_reads_their_votes(tmp_path):
    with serving(tmp_path) as url:
        first = httpx2.post(f"{url}/next", json={"rater": "Ann"}).json()
        assert (first["done"], first["total"]) == (0, 3)
        body = {
            "rater": " Ann ",
            "pair_id": first["pair"]["pair_id"],
            "choice": "right",
            "reason": " Livelier. ",
        }
        second = httpx2.post(f"{url}/vote", json=body).json()
        assert (second["done"], second["pair"]["pair_id"] != first["pair"]["pair_id"]) == (1, True)
        again = httpx2.post(f"{url}/vote", json=body | {"choice": "left"})
        assert again.status_code == 409
        assert httpx2.post(f"{url}/next", json={"rater": "Ben"}).json()["done"] == 0
    with serving(tmp_path) as url:
        assert httpx2.post(f"{url}/next", json={"rater": "Ann"}).json() == second
    [vote] = voted(tmp_path)
    assert (vote.first, vote.second) == (first["pair"]["left"], first["pair"]["right"])
    assert (vote.rater, vote.vote, vote.reason) == ("Ann", "second", "Livelier.")
    marks = {
        (vote.prompt, text): Judgement(dimensions={}, quality_score=mark, analysis="", judge="j", call_ids=[])
        for text, mark in ((vote.first, 10.0), (vote.second, 60.0))
    }
    assert votes.agreement([vote], marks, 0.95).accuracy.value == 1.0


GOOD = {"rater": "Ann", "pair_id": LISTED[0].pair_id, "choice": "tie"}


@pytest.mark.parametrize(
    ("path", "content", "status", "message"),
    [
        ("/next", b"{", 400, "the body is not JSON"),
        ("/next", b"{}", 400, "rater: a name"),
        ("/next", b'{"rater": " "}', 400, "rater: a name"),
        ("/next", b'{"rater": "\\u0000"}', 400, "rater: a name"),
        ("/next", b'{"rater": "\\ud800"}', 400, "rater: a name"),
        ("/next", b'{"rater": "' + b"x" * 61 + b'"}', 400, "rater: a name"),
        ("/vote", {"pair_id": "gone"}, 404, "pair_id: there is no such pair"),
        ("/vote", {"pair_id": ["x"]}, 404, "pair_id: there is no such pair"),
        ("/vote", {"choice": "first"}, 400, "choice: one of left, tie, right"),
        ("/vote", {"choice": 1}, 400, "choice: one of left, tie, right"),
        ("/vote", {"reason": 1}, 400, "reason: a text"),
        ("/vote", {"reason": "x" * 2001}, 400, "reason: a text"),
        (
            "/vote",
            b'{"rater": "Ann", "pair_id": "PAIR", "choice": "tie", "reason": "\\ud800"}',
            400,
            "reason: ",
        ),
    ],
)
def test_a_bad_request_is_refused_in_words_and_writes_nothing(tmp_path, path, content, status, message):
    with serving(tmp_path) as url:
        if isinstance(content, dict):
            reply = httpx2.post(f"{url}{path}", json=GOOD | content)
        else:
            reply = httpx2.post(f"{url}{path}", content=content.replace(b"PAIR", LISTED[0].pair_id.encode()))
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, status)
    assert reply.json()["error"]["message"].startswith(message)
    assert not (tmp_path / ballot.NAME).exists()


@pytest.mark.parametrize("path", ["/vote", "/next"])
def test_a_client_that_goes_away_within_its_request_leaves_no_traceback(tmp_path, capfd, path):
    with serving(tmp_path) as url:
        host = url.removeprefix("http://")
        name, port = host.split(":")
        with socket.create_connection((name, int(port))) as client:
            head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99\r\n\r\n"
            client.sendall(head.encode() + b'{"rater":')
            client.shutdown(socket.SHUT_WR)
            client.recv(1)  # until the server has closed the connection
        assert httpx2.post(f"{url}/next", json=GOOD).status_code == 200
    assert "Traceback" not in capfd.readouterr().err
    assert not (tmp_path / ballot.NAME).exists()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "shop.example"},
        {"Origin": "http://shop.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "http://shop.example/page"},
    ],
)
def test_a_page_of_another_site_cannot_vote(tmp_path, headers):
    with serving(tmp_path) as url:
        reply = httpx2.post(f"{url}/vote", json=GOOD, headers=headers)
        assert httpx2.get(url, headers={"Host": "shop.example"}).status_code == 403
    assert reply.status_code == 403
    assert not (tmp_path / ballot.NAME).exists()


def test_the_command_keeps_each_vote_when_it_is_killed(tmp_path):
    for name in ("params.yaml", "src", "infra"):
        (tmp_path / name).symlink_to(CHECKOUT / name)
    words = []
    for model, word in (("a", "slept"), ("b", "sang")):
        path = tmp_path / f"{model}.jsonl"
        path.write_text(f"{json.dumps(upstream_files.pred_row(generations(word)[0]))}\n", encoding="utf-8")
        words += ["--pred", str(path)]
    command = [
        sys.executable,
        "-m",
        "longwriter.cli.main",
        "review",
        *words,
        "--votes",
        "votes",
        "--port",
        "0",
    ]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as child:
        assert child.stdout is not None
        url = next(found[0] for line in child.stdout if (found := re.search(r"http://[\d.:]+", line)))
        transport = httpx2.HTTPTransport(retries=50)
        with httpx2.Client(transport=transport, timeout=60) as client:
            pair = client.post(f"{url}/next", json={"rater": "Ann"}).json()["pair"]
            body = {"rater": "Ann", "pair_id": pair["pair_id"], "choice": "tie"}
            assert client.post(f"{url}/vote", json=body).json()["pair"] is None
        child.send_signal(signal.SIGKILL)
    [vote] = voted(tmp_path / "votes")
    assert (vote.rater, vote.vote) == ("Ann", "tie")


def long_answers(word):
    """Return an answer of 10,000 words to a prompt of 600 words."""
    instruction = (
        "Write a report of 10000 words. "
        + "It says how the harbour, the mill and the school came to be. " * 50
    )
    text = "\n\n".join(" ".join([word] * 99 + ["end."]) for _ in range(100))
    prompt = Prompt("p", instruction, "Report", "en", 10_000)
    return [generation_of(prompt, text, finish_reason="stop", max_tokens=9, call_ids=[word])]


@pytest.mark.services
@pytest.mark.parametrize(("width", "height"), [(1500, 760), (1280, 600), (1024, 480), (700, 600), (390, 700)])
def test_the_buttons_stay_in_a_small_window_below_answers_of_ten_thousand_words(tmp_path, width, height):
    listed = pairs.review_pairs({"a": long_answers("slept"), "b": long_answers("sang")})
    with (
        ballot.open_folder(tmp_path) as box,
        served(web.app(listed, box, 0)) as url,
        clicks.chromium(tmp_path / "profile", "MAP nothing.example 127.0.0.1") as page,
    ):
        page.resize(width, height)
        page.open(url)
        page.wait_for("Your name")
        page.write("rater", "Ann")
        page.click("Start")
        page.wait_for("Ann: 0 of 1")
        if target := os.environ.get("REVIEW_PNG"):
            page.picture(Path(target).with_suffix(f".{width}x{height}.png"), width, height)
        assert page.below(".vote button, #reason") <= 0
        assert page.height("left") >= 100


@pytest.mark.services
def test_a_person_votes_by_keyboard_and_goes_on_in_a_browser(tmp_path):
    with (
        serving(tmp_path) as url,
        clicks.chromium(tmp_path / "profile", "MAP nothing.example 127.0.0.1") as page,
    ):
        page.open(url)
        page.wait_for("Your name")
        page.write("rater", "Ann")
        page.click("Start")
        page.wait_for("Ann: 0 of 3")
        page.picture(tmp_path / "review.png", 1500, 1000)
        page.write("reason", "1 of them is livelier")
        page.press("Escape")
        page.press("ArrowDown")
        page.press("ArrowLeft")
        page.wait_for("Ann: 1 of 3")
        page.press("2")
        page.wait_for("Ann: 2 of 3")
        page.open(url)
        page.wait_for("Your name")
        page.click("Start")
        page.wait_for("Ann: 2 of 3")
        page.click(".*Right is better")
        page.wait_for("You have voted on all pairs. Thank you.")
        assert page.title() == "LongWriter: which answer is better?"
    assert [(row.vote, row.reason) for row in voted(tmp_path)] == [
        ("first", "1 of them is livelier"), ("tie", ""), ("second", ""),
    ]  # fmt: skip
    if target := os.environ.get("REVIEW_PNG"):
        shutil.copyfile(tmp_path / "review.png", target)
