"""A source in a bucket, on a server that speaks S3 over a real socket."""

import gzip
import socket

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longwriter.errors import BadRecord, Unavailable
from longwriter.schemas.rows import SourceRow
from longwriter.sources import files as sources
from tests import buckets

LINE = b'{"prompt": "a"}\n'


@pytest.fixture(scope="module")
def moto(tmp_path_factory):
    with buckets.server(tmp_path_factory.mktemp("moto")) as (env, client):
        yield env, client


@pytest.fixture
def bucket(moto, monkeypatch, tmp_path):
    """A filled bucket; the environment names the server, as it would for the stage."""
    env, client = moto
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    client.create_bucket(Bucket="chats")
    pq.write_table(pa.table({"prompt": ["p", "q"]}), tmp_path / "c.parquet")
    for key, body in {
        "en/a.jsonl": LINE * 3,
        "en/deep/b.jsonl.gz": gzip.compress(LINE * 2),
        "en/c.parquet": (tmp_path / "c.parquet").read_bytes(),
        "en/README.md": b"no row",
        "en-old/a.jsonl": LINE,
        "en/._a.jsonl": b"\0",
        "en/.cache/a.jsonl": LINE,
        "broken/a.jsonl.gz": gzip.compress(LINE * 1000)[:40],
    }.items():
        client.put_object(Bucket="chats", Key=key, Body=body)
    return moto


def read(source, pattern="**/*"):
    return [item for chunk in sources.chunks(source, pattern) for item in sources.rows(chunk)]


def test_every_object_under_a_prefix_is_read_by_its_format(bucket):
    a, b = SourceRow("a"), "s3://chats/en"
    assert read(b) == [
        (f"{b}/a.jsonl:1", a), (f"{b}/a.jsonl:2", a), (f"{b}/a.jsonl:3", a),
        (f"{b}/c.parquet:1", SourceRow("p")), (f"{b}/c.parquet:2", SourceRow("q")),
        (f"{b}/deep/b.jsonl.gz:1", a), (f"{b}/deep/b.jsonl.gz:2", a),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "pattern", "rows"),
    [
        ("s3://chats/en/", "*.jsonl", 3),
        ("s3://chats/en", "**/*.jsonl*", 5),
        ("s3://chats/en", "*/*.gz", 2),
        ("s3://chats/en", "*/*.GZ", 2),
        ("s3://chats", "en/**/*.jsonl*", 5),
        ("s3://chats", "**/.*/*", 1),
        ("s3://chats/en/a.jsonl", "**/*", 3),
        ("s3://chats", "*/a.jsonl", 4),
    ],
)
def test_the_pattern_holds_below_the_prefix(bucket, source, pattern, rows):
    assert len(read(source, pattern)) == rows


def test_a_key_may_hold_every_character(bucket):
    _, client = bucket
    for key in ("odd/a b?c#d.jsonl", "odd/e//f.JSONL"):
        client.put_object(Bucket="chats", Key=key, Body=LINE)
    assert [where for where, _ in read("s3://chats/odd")] == [
        "s3://chats/odd/a b?c#d.jsonl:1", "s3://chats/odd/e//f.JSONL:1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("s3://chats/nowhere", r"no file matches \*\*/\* below s3://chats/nowhere"),
        ("s3://no-such-bucket/a", "NoSuchBucket"),
        ("s3://", r"s3://: the name of a bucket must follow s3://, as in s3://bucket/prefix"),
        ("s3:///en", r"s3:///en: the name of a bucket must follow"),
        (
            "s3://me:secret@chats/en",
            r"s3://chats/en: the name of a bucket must follow .*credentials come from the env",
        ),
        ("s3://chats/broken", r"s3://chats/broken/a\.jsonl\.gz breaks off"),
    ],
)
def test_a_source_that_is_missing_or_not_whole_is_an_error(bucket, source, told):
    with pytest.raises(BadRecord, match=told):
        read(source)


def test_a_server_that_cannot_be_reached_can_be_tried_again(bucket, monkeypatch):
    with socket.socket() as taken:  # bound, not listening: nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(Unavailable, match=r"s3://chats/en.*AWS_ENDPOINT_URL"):
            read("s3://chats/en")


def test_missing_credentials_are_an_error(bucket, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BadRecord, match="s3://chats/en: no credentials: set AWS_ACCESS_KEY_ID"):
        read("s3://chats/en")
