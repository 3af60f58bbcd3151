"""Objects of an S3 bucket: the keys under a prefix, and their bytes as streams.

Credentials, region and endpoint (AWS_ENDPOINT_URL) come from the environment, as boto3 reads them.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from longwriter.errors import BadRecord, Unavailable, without_password

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def keys(url: str) -> list[str]:
    """Return the keys under `s3://bucket/prefix`, sorted; if the URL names an object, its key is included.

    Raises:
        BadRecord: the bucket does not exist or cannot be read with these credentials.
        Unavailable: the server does not answer.
    """
    bucket, prefix = parts(url)
    with _translated_errors(url):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        matches = [item["Key"] for page in pages for item in page.get("Contents", [])]
    below = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return sorted(key for key in matches if key == prefix or key.startswith(below))


@contextmanager
def stream(url: str) -> Iterator[IO[bytes]]:
    """Yield an object as a stream. Errors while it is read also become those of `keys`."""
    bucket, key = parts(url)
    with _translated_errors(url):
        body: Any = _client().get_object(Bucket=bucket, Key=key)["Body"]
        try:
            yield body
        finally:
            body.close()


@contextmanager
def copied(url: str) -> Iterator[IO[bytes]]:
    """Yield an object as a temporary file, for formats that are read from their end; raises as `keys` does."""
    bucket, key = parts(url)
    with tempfile.TemporaryFile() as file, _translated_errors(url):
        _client().download_fileobj(bucket, key, file)
        file.seek(0)
        yield file


def _client() -> Any:
    return boto3.Session().client("s3")  # a new session: the shared one keeps old credentials


def parts(url: str) -> tuple[str, str]:
    """Return (bucket, key or prefix) of `s3://bucket/key`; a key may hold any character, even `?` and `#`.

    Raises:
        BadRecord: the URL names no bucket, or its bucket holds other characters, such as a password.
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise BadRecord(
            f"{without_password(url)}: the name of a bucket must follow s3://, as in s3://bucket/prefix; "
            "credentials come from the environment"
        )
    return bucket, key


@contextmanager
def _translated_errors(url: str) -> Iterator[None]:
    """Turn errors of boto3 into BadRecord (to be fixed by a person) or Unavailable (another try can help)."""
    try:
        yield
    except NoCredentialsError:
        raise BadRecord(f"{url}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY") from None
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = Unavailable if status >= 500 or status == 429 else BadRecord
        raise kind(f"{url}: {error}") from None
    except BotoCoreError as error:  # no endpoint, or a connection lost during a read
        raise Unavailable(f"{url}: {error}: check AWS_ENDPOINT_URL and the network") from None
