"""Which requests the door of a web server lets through."""

import asyncio
import socket
import threading
from contextlib import ExitStack, closing, contextmanager

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from longwriter.web import bodies, door

OWN = {"Host": "127.0.0.1:5000"}
TYPED = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
LINK = TYPED | {"Sec-Fetch-Site": "cross-site"}


def refusal(headers, method="GET", path="/api/things", kind="http"):
    items = headers.items() if isinstance(headers, dict) else headers
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in items]
    return door.refusal({"type": kind, "method": method, "path": path, "headers": raw}, ("/",))


@pytest.mark.parametrize(
    "headers",
    [
        OWN,  # the clients of Prefect and MLflow, curl
        {"Host": "localhost:5000"},
        {"Host": "LOCALHOST"},
        {"Host": "[::1]:5000"},
        OWN | {"Origin": "http://127.0.0.1:5000", "Sec-Fetch-Site": "same-origin"},
        {"Host": "localhost:5000", "Origin": "http://localhost:5000"},
        OWN | {"Referer": "http://127.0.0.1:5000/runs?page=2"},
        OWN | TYPED,
        OWN | TYPED | {"Referer": "http://blog.example/"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_programs_and_the_servers_own_pages_pass(headers, method):
    assert refusal(headers, method) is None
    assert refusal(headers, kind="websocket") is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Host": ""},
        {"Host": "rebound.example:5000"},
        {
            "Host": "rebound.example:5000",
            "Origin": "http://rebound.example:5000",
            "Sec-Fetch-Site": "same-origin",
        },
        {"Host": "127.0.0.1.nip.example"},
        {"Host": "127.0.0.1:5000@rebound.example"},
        {"Host": "localhost."},
        {"Host": "0.0.0.0:5000"},
        {"Host": "192.168.1.7:5000"},
        [("Host", "127.0.0.1:5000"), ("Host", "rebound.example")],
        OWN | {"Origin": "null"},
        OWN | {"Origin": ""},
        OWN | {"Origin": "http://shop.example"},
        OWN | {"Origin": "http://127.0.0.1:8080"},
        OWN | {"Origin": "http://localhost:5000"},
        OWN | {"Origin": "https://127.0.0.1:5000"},
        [*OWN.items(), ("Origin", "http://127.0.0.1:5000"), ("Origin", "http://shop.example")],
        OWN | {"Origin": "http://127.0.0.1:5000", "Sec-Fetch-Site": "cross-site"},
        OWN | {"Sec-Fetch-Site": "same-site"},
        OWN | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        OWN | {"Sec-Fetch-Site": "something-new"},
        OWN | {"Referer": "http://shop.example/cart"},
        OWN | {"Referer": "http://[broken"},
        OWN | LINK,
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_foreign_names_and_pages_of_other_origins_are_refused(headers, method):
    assert refusal(headers, method)
    assert refusal(headers, kind="websocket")


def test_a_link_on_another_page_opens_a_start_page_and_nothing_else():
    assert refusal(OWN | LINK, path="/") is None
    assert refusal(OWN | LINK, path="/api/things")
    assert refusal(OWN | LINK, "POST", "/")
    assert refusal(OWN | LINK | {"Sec-Fetch-Dest": "iframe"}, path="/")
    assert refusal(OWN | LINK | {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}, path="/")
    assert refusal(OWN | LINK | {"Origin": "http://shop.example"}, path="/")
    assert refusal({"Host": "rebound.example"} | LINK, path="/")


@given(st.text(st.characters(codec="latin-1"), max_size=40))
def test_no_header_value_crashes_the_door_or_opens_it_for_a_foreign_page(text):
    assert refusal(OWN | {"Origin": text}) or text.strip().lower() == "http://127.0.0.1:5000"
    assert refusal(OWN | {"Sec-Fetch-Site": text}) or text.strip().lower() in ("none", "same-origin")
    refusal({"Host": text, "Referer": text})


async def careless(scope, receive, send):
    """A server that lets every origin read everything."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    headers = [(b"access-control-allow-origin", b"*"), (b"x-frame-options", b"ALLOWALL"), (b"x-own", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"secret"})


@contextmanager
def serving(app):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()  # connections wait until the server is ready
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def send(port, *lines):
    with closing(socket.create_connection(("127.0.0.1", port), timeout=120)) as peer:
        end = [] if any(line.startswith("Connection") for line in lines) else ["Connection: close"]
        peer.sendall("\r\n".join([*lines, *end, "", ""]).encode())
        return b"".join(iter(lambda: peer.recv(65536), b"")).decode(errors="replace")


def test_a_real_server_behind_the_door_answers_its_own_page_and_no_other():
    upgrade = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    with serving(door.Door(careless)) as port:
        own = f"Host: 127.0.0.1:{port}"
        answer = send(port, "GET / HTTP/1.1", own)
        assert answer.startswith("HTTP/1.1 200")
        assert "x-own: 1" in answer
        assert "x-frame-options: SAMEORIGIN" in answer
        assert "access-control" not in answer
        assert "ALLOWALL" not in answer
        for refused in (
            send(port, "GET / HTTP/1.1", "Host: rebound.example"),
            send(port, "GET http://rebound.example/ HTTP/1.1", "Host: rebound.example"),
            send(port, "GET / HTTP/1.0"),
            send(
                port,
                "OPTIONS / HTTP/1.1",
                own,
                "Origin: http://shop.example",
                "Access-Control-Request-Method: PUT",
            ),
            send(port, "GET / HTTP/1.1", own, "Origin: http://shop.example", *upgrade),
        ):
            assert refused.startswith("HTTP/1.1 403")
            assert "secret" not in refused
            assert "access-control" not in refused
        assert send(port, "GET / HTTP/1.1", own, *upgrade).startswith("HTTP/1.1 101")


async def echo(scope, receive, send):
    """A server that answers with the length of the body, or "gone" if the client went away."""
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    text = b"gone" if message["type"] == "http.disconnect" else str(size).encode()
    headers = [(b"content-length", str(len(text)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def one_at_a_time(app):
    """Return an application that works on one request at a time, as Prefect on SQLite works on 100."""
    lock = asyncio.Lock()

    async def limited(scope, receive, send):
        async with lock:
            await app(scope, receive, send)

    return limited


def begin(port, length, body):
    """Send a POST without the end of its body; return its connection."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=120)
    head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {length}\r\n\r\n"
    peer.sendall(head.encode() + body)
    return peer


def rest(peer):
    return b"".join(iter(lambda: peer.recv(65536), b"")).decode(errors="replace")


def test_half_sent_requests_do_not_hold_a_server():
    with serving(door.Door(one_at_a_time(echo), wait_s=300)) as port, ExitStack() as peers:
        for _ in range(5):
            peers.enter_context(begin(port, 10, b"half"))
        assert send(port, "GET / HTTP/1.1", f"Host: 127.0.0.1:{port}").endswith("\r\n\r\n0")


def test_a_body_that_does_not_come_in_time_is_answered_and_its_connection_closed():
    with serving(door.Door(echo, wait_s=0.2)) as port:
        for sent in (b"", b"half"):
            with closing(begin(port, 10, sent)) as peer:
                assert rest(peer).startswith("HTTP/1.1 408")


def test_a_body_arrives_whole_whether_it_is_long_or_comes_in_parts():
    with serving(door.Door(echo)) as port:
        for size in (0, 10, 2**20, 5 * 2**20):
            with closing(begin(port, size, b"")) as peer:
                for start in range(0, size, 700_001):
                    peer.sendall(b"x" * min(700_001, size - start))
                peer.shutdown(socket.SHUT_WR)
                assert rest(peer).endswith(f"\r\n\r\n{size}")
        chunks = "".join(f"{len(part):x}\r\n{part}\r\n" for part in ("ab", "c" * 40))
        head = f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\nConnection: close"
        with closing(socket.create_connection(("127.0.0.1", port), timeout=120)) as peer:
            peer.sendall(f"{head}\r\n\r\n{chunks}0\r\n\r\n".encode())
            assert rest(peer).split("\r\n\r\n")[1].count("42") == 1


def test_a_client_that_stops_within_a_long_body_counts_as_gone():
    with serving(door.Door(echo, wait_s=3)) as port, closing(begin(port, 2**22, b"x" * 2**21)) as peer:
        answer = b""
        while not answer.endswith(b"gone") and (part := peer.recv(65536)):
            answer += part
        assert answer.endswith(b"gone")


def test_a_client_that_sends_a_byte_now_and_then_is_too_slow():
    async def read_slowly():
        async def receive():
            await asyncio.sleep(0.01)  # a byte is worth 2 ms
            return {"type": "http.request", "body": b"x", "more_body": True}

        await bodies.Body(receive, wait_s=0.05).hold()

    with pytest.raises(TimeoutError):
        asyncio.run(read_slowly())
