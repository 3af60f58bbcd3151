"""Redirects, sizes, and accounts, over real sockets."""

import asyncio
import contextlib
import functools
import gzip
import json
import ssl
import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from longwriter.errors import EndpointUnavailable, ModelUnusable, NoAnswer
from tests.unit.llm.endpoint import SAMPLING, Server, client, completion, ok, run, serving


def ask(folder, *replies, prompts=("tell me",), **fields):
    """Return (what came of each prompt, asked at the same time; the server)."""

    async def go():
        async with serving() as server:
            server.reply_with(*replies)
            async with client(server, folder, **fields) as llm:
                asks = [llm.ask(prompt, SAMPLING) for prompt in prompts]
                return await asyncio.gather(*asks, return_exceptions=True), server

    return asyncio.run(go())


def ask_raw(folder, reply, tls=None):
    """Return what comes of one prompt to a server that sends the bytes `reply` and closes the connection."""

    async def answer(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()
        writer.close()

    async def go():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        raw = Server()
        raw.url = f"http{'s' if tls else ''}://localhost:{server.sockets[0].getsockname()[1]}/v1"
        async with server, client(raw, folder, max_retries=0) as llm:
            return await asyncio.gather(llm.ask("tell me", SAMPLING), return_exceptions=True)

    return asyncio.run(go())[0]


@pytest.mark.parametrize("end", ["", "/"])
def test_a_base_url_without_a_path_is_asked_and_its_missing_path_is_named(tmp_path, end):
    async def go():
        async with serving() as server:
            server.url = server.url.removesuffix("/v1") + end
            async with client(server, tmp_path, max_retries=0) as llm:
                return await asyncio.gather(llm.ask("tell me", SAMPLING), return_exceptions=True)

    [error] = asyncio.run(go())
    assert isinstance(error, ModelUnusable)
    assert "answered 404" in str(error)
    assert "The URL has no path: most endpoints need /v1 at its end" in str(error)


@pytest.mark.parametrize("head", ["HTTP/1.0 200 OK", "HTTP/1.1 200 OK\r\nConnection: close"])
def test_an_answer_may_end_with_its_connection(tmp_path, head):
    reply = f"{head}\r\nContent-Type: application/json\r\n\r\n{json.dumps(completion())}"
    assert ask_raw(tmp_path, reply.encode()).text == "yes"


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: 9\r\nContent-Length: 5\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        f"X: {'a' * 10**6}\r\n",
        "X: 1\r\n" * 10_000,
    ],
)
def test_a_reply_that_two_programs_would_read_differently_is_named_in_one_line(tmp_path, head):
    error = ask_raw(tmp_path, f"HTTP/1.1 200 OK\r\n{head}\r\nabc".encode())
    assert isinstance(error, EndpointUnavailable)
    assert "sent a reply that is not HTTP" in str(error)
    assert "\n" not in str(error)
    assert len(str(error)) < 900


def certificate(folder, name, days):
    """Return a server's TLS context with a certificate for `name` that begins `days` ago and lasts two days."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begin = datetime.now(UTC) - timedelta(days=days)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1, begin, begin + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


@pytest.mark.parametrize(
    ("name", "days", "is_known", "reason"),
    [
        ("localhost", 9, True, "certificate has expired"),
        ("other.example", 1, True, "Hostname mismatch"),
        ("localhost", 1, False, "self-signed certificate"),
    ],
)
def test_a_certificate_that_is_not_valid_ends_the_run_at_once(
    tmp_path, monkeypatch, name, days, is_known, reason
):
    tls = certificate(tmp_path, name, days)
    if is_known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    error = ask_raw(tmp_path, b"", tls)
    assert isinstance(error, ModelUnusable)
    assert reason in str(error)
    assert "\n" not in str(error)


def redirect(status, target):
    return lambda: web.Response(status=status, headers={"Location": target})


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_on_the_same_host_is_followed_with_the_same_request(tmp_path, status):
    (answer,), server = ask(tmp_path, redirect(status, "/v1/chat/completions?again=1"))
    assert answer.text == "yes"
    assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_another_host_gets_no_request(tmp_path, status):
    async def go():
        async with serving() as server, serving() as other:
            server.reply_with(redirect(status, f"{other.url}/chat/completions"))
            async with client(server, tmp_path) as llm:
                with pytest.raises(ModelUnusable) as error:
                    await llm.ask("tell me", SAMPLING)
            return str(error.value), server, other

    error, server, other = asyncio.run(go())
    assert (len(server.requests), other.requests) == (1, [])
    assert f"answered {status}: it redirects to {other.url.removesuffix('/v1')}. Neither key nor" in error
    assert "set llm.base_url to it" in error


@pytest.mark.parametrize("target", ["https://127.0.0.1/v1", "http://localhost:{port}/v1", "//evil.example/", "ftp://127.0.0.1:{port}/"])  # fmt: skip
def test_another_scheme_or_name_is_another_host(tmp_path, target):
    async def go():
        async with serving() as server:
            port = server.url.rsplit(":", 1)[1].removesuffix("/v1")
            server.reply_with(redirect(307, target.replace("{port}", port)))
            async with client(server, tmp_path) as llm:
                with pytest.raises(ModelUnusable, match="it redirects to"):
                    await llm.ask("tell me", SAMPLING)

    asyncio.run(go())


@pytest.mark.parametrize("target", ["http://[::1", "http://a.example:port/"])
def test_a_redirect_to_what_is_no_url_ends_the_run_in_one_line(tmp_path, target):
    (error,), server = ask(tmp_path, redirect(307, target))
    assert isinstance(error, ModelUnusable)
    assert "answered 307: it redirects to an address that is no URL" in str(error)
    assert len(server.requests) == 1


def test_a_redirect_shows_no_password_and_a_circle_ends(tmp_path):
    (error,), _ = ask(tmp_path, redirect(307, "https://ann:s3cret@other.example/v1"))
    assert isinstance(error, ModelUnusable)
    assert "https://other.example" in str(error)
    assert "s3cret" not in str(error)
    (error,), server = ask(tmp_path, *[redirect(308, "")] * 9, prompts=["tell more"])
    assert isinstance(error, ModelUnusable)
    assert "redirects in a circle" in str(error)
    assert len(server.requests) == 4


@pytest.mark.parametrize("status", [300, 303, 304])
def test_another_status_of_redirection_is_no_answer_to_a_post(tmp_path, status):
    (error,), server = ask(tmp_path, redirect(status, "/v1/login"))
    assert isinstance(error, ModelUnusable)
    assert f"answered {status}, which is no chat completion and names no other address" in str(error)
    assert len(server.requests) == 1


def test_a_redirect_without_a_target_is_not_followed(tmp_path):
    (error,), server = ask(tmp_path, lambda: web.Response(status=308))
    assert isinstance(error, ModelUnusable)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 203])
def test_a_completion_is_an_answer_under_any_status_of_success(tmp_path, status):
    (answer,), _ = ask(tmp_path, lambda: web.json_response(completion(), status=status))
    assert answer.text == "yes"


def test_a_success_without_a_completion_is_requested_again(tmp_path):
    (error,), server = ask(tmp_path, *[lambda: web.Response(status=202, text="later")] * 2, max_retries=1)
    assert "answered 202 with broken JSON: later (after 1 retries" in str(error)
    assert len(server.requests) == 2


def bomb(encoding, data):
    headers = {"Content-Encoding": encoding} if encoding else {}
    return lambda: web.Response(body=data, headers=headers, content_type="application/json")


async def endless(request):
    reply = web.StreamResponse(headers={"Content-Type": "application/json"})
    await reply.prepare(request)
    while True:
        await reply.write(b" " * 65536)


@functools.cache
def gzip_bomb():
    """Return a reply of 300 MB that are sent as 1 MB; made late, as each process of a run imports this file."""
    return bomb("gzip", gzip.compress(bytes(300_000_000), 1))


@pytest.mark.parametrize(
    "reply_of", [gzip_bomb, lambda: lambda: endless, lambda: bomb("", bytes(40_000_000))]
)
def test_a_body_without_end_is_cut_off_and_requested_again(tmp_path, reply_of):
    reply = reply_of()
    tracemalloc.start()
    try:
        (answer,), server = ask(tmp_path, reply)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (answer.text, len(server.requests)) == ("yes", 2)
    assert peak < 160e6


PLAIN = json.dumps(completion()).encode()


@pytest.mark.parametrize(
    ("encoding", "body", "what"),
    [
        ("gzip", PLAIN, "cannot be decompressed as gzip"),
        ("gzip", gzip.compress(PLAIN)[:-8] + bytes(8), "cannot be decompressed as gzip"),
        ("zstd", b"\x28\xb5\x2f\xfd\x20" + PLAIN, "is compressed as zstd, which was not asked for"),
    ],
)
def test_a_body_that_cannot_be_decompressed_is_named(tmp_path, encoding, body, what):
    head = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n\r\n"
    error = ask_raw(tmp_path / "200", f"HTTP/1.1 200 OK\r\n{head}".encode() + body)
    assert isinstance(error, EndpointUnavailable)
    assert what in str(error)
    assert "cannot be reached" not in str(error)
    error = ask_raw(tmp_path / "401", f"HTTP/1.1 401 No\r\n{head}".encode() + body)
    assert isinstance(error, ModelUnusable)
    assert f"answered 401: a body that {what}" in str(error)


def test_a_plain_answer_that_claims_an_unknown_compression_is_read(tmp_path):
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: {len(PLAIN)}\r\n\r\n"
    assert ask_raw(tmp_path, head.encode() + PLAIN).text == "yes"


@pytest.mark.parametrize(
    "rest",
    [
        f"Content-Length: {len(PLAIN) + 1}\r\n\r\n{PLAIN.decode()}",
        f"Transfer-Encoding: chunked\r\n\r\n{len(PLAIN):x}\r\n{PLAIN.decode()}\r\n",
    ],
)
def test_a_server_that_breaks_off_its_reply_is_not_called_unreachable(tmp_path, rest):
    error = ask_raw(tmp_path, f"HTTP/1.1 200 OK\r\n{rest}".encode())
    assert isinstance(error, EndpointUnavailable)
    assert "broke off its reply" in str(error)
    assert "cannot be reached" not in str(error)


def test_a_request_whose_replies_are_always_too_large_gets_that_error(tmp_path):
    (error,), _ = ask(tmp_path, *[gzip_bomb()] * 2, max_retries=1)
    assert isinstance(error, NoAnswer)
    assert "sent a reply of more than 34 MB: it is not read (after 1 retries" in str(error)


def test_a_compressed_answer_and_one_in_chunks_are_read(tmp_path):
    data = json.dumps(completion("潮 " * 1000)).encode()

    async def chunks(request):
        reply = web.StreamResponse(headers={"Content-Type": "application/json"})
        await reply.prepare(request)
        for begin in range(0, len(data), 1000):
            await reply.write(data[begin : begin + 1000])
        return reply

    for folder, reply in (("a", bomb("gzip", gzip.compress(data))), ("b", lambda: chunks)):
        (tmp_path / folder).mkdir()
        (answer,), server, _ = run(tmp_path / folder, [reply], ["tell me"])
        assert (answer.text, len(server.requests)) == ("潮 " * 1000, 1)


def budget(status=400):
    body = {
        "error": {
            "message": "Budget has been exceeded! Current cost: 9, Max budget: 9",
            "type": "budget_exceeded",
        }
    }
    return lambda: web.json_response(body, status=status)


@pytest.mark.parametrize("status", [400, 403, 429, 500, 200])
def test_an_account_without_money_ends_the_work_and_is_not_asked_again(tmp_path, status):
    prompts = [f"tell {n}" for n in range(12)]
    results, server = ask(tmp_path, *[ok] * 4, *[budget(status)] * 9, prompts=prompts, max_concurrency=2)
    kinds = {type(result).__name__ for result in results}
    assert kinds == {"Answer", "ModelUnusable"}
    assert 5 <= len(server.requests) <= 6  # those that were on the way
    error = next(result for result in results if isinstance(result, ModelUnusable))
    assert error.exit_code == 2
    assert f"/v1 answered {status}: Budget has been exceeded!" in str(error)
    assert "no row is rejected" in str(error)


def test_answers_from_before_an_account_was_empty_are_used_in_the_next_run(tmp_path):
    prompts = ["tell 0", "tell 1", "tell 2"]
    results, _ = ask(tmp_path, ok, ok, budget(), prompts=prompts, max_concurrency=1)
    assert isinstance(results[2], ModelUnusable)
    again, server, _ = run(tmp_path, [], prompts)
    assert ([answer.replayed for answer in again], len(server.requests)) == ([True, True, False], 1)
