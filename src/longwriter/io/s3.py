"""Objects of an S3 bucket: the keys under a prefix, and their bytes as streams.

Credentials, region and endpoint (AWS_ENDPOINT_URL) come from the environment, as boto3 reads them.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import IO, Any, NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

from longwriter.errors import BadRecord, Unavailable, without_password

_OLD_CHECKSUMS = {
    name: "when_required" for name in ("request_checksum_calculation", "response_checksum_validation")
}
_TRIAL = b"longwriter doctor" * 64
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def keys(url: str) -> list[str]:
    """Return the keys under `s3://bucket/prefix`, sorted; if the URL names an object, its key is included.

    Raises:
        BadRecord: the bucket does not exist or cannot be read with these credentials.
        Unavailable: the server does not answer.
    """
    bucket, prefix = parts(url)
    with translated_errors(url):
        pages = _client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        matches = [item["Key"] for page in pages for item in page.get("Contents", [])]
    below = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
    return sorted(key for key in matches if key == prefix or key.startswith(below))


@contextmanager
def stream(url: str) -> Iterator[IO[bytes]]:
    """Yield an object as a stream. While it is read, errors are raised as `keys` raises them."""
    bucket, key = parts(url)
    with translated_errors(url):
        body: Any = _client().get_object(Bucket=bucket, Key=key)["Body"]
        try:
            yield body
        finally:
            body.close()


@contextmanager
def copied(url: str) -> Iterator[IO[bytes]]:
    """Yield an object as a temporary file, for formats that are read from their end; raises as `keys` does."""
    bucket, key = parts(url)
    with tempfile.TemporaryFile() as file, translated_errors(url):
        _client().download_fileobj(bucket, key, file)
        file.seek(0)
        yield file


class Preflight(NamedTuple):
    """What `preflight` saw: region of the bucket and of the settings, and the server's clock minus this one's."""

    region: str | None
    expected_region: str | None
    skew_s: float | None


def preflight(url: str, settings: Mapping[str, str]) -> Preflight:
    """Write an object below `s3://bucket/prefix` by a multipart upload, read it, and remove it.

    Args:
        url: A bucket, and a prefix in it.
        settings: `endpointurl`, `region`, `profile`, `access_key_id` and `secret_access_key`, as in a DVC
            remote; what is missing comes from the environment.

    Raises:
        BadRecord: no such bucket, wrong credentials or clock, or the server refuses boto3's checksums.
        Unavailable: the server does not answer.
    """
    bucket, prefix = parts(url)
    key = f"{prefix.rstrip('/')}/longwriter-doctor-{uuid.uuid4().hex}".lstrip("/")
    with translated_errors(url):
        try:
            return _try_upload(_client_of(settings), bucket, key)
        except (BotoCoreError, ClientError) as error:
            if getattr(error, "operation_name", "HeadBucket") == "HeadBucket":
                raise  # it sends no checksum
            try:
                _try_upload(_client_of(settings, **_OLD_CHECKSUMS), bucket, key)
            except (BotoCoreError, ClientError):
                pass  # something else is wrong: the first error says what
            else:
                names = " ".join(f"AWS_{name.upper()}=when_required" for name in _OLD_CHECKSUMS)
                raise BadRecord(
                    f"{url}: the server does not know boto3's checksums: export {names}"
                ) from None
            raise


def _try_upload(client: Any, bucket: str, key: str) -> Preflight:
    head = client.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    try:
        part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=_TRIAL)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)
    except (BotoCoreError, ClientError):
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        raise
    try:
        content = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    finally:
        client.delete_object(Bucket=bucket, Key=key)
    if content != _TRIAL:
        raise BadRecord(f"s3://{bucket}/{key}: the server gives back other bytes than were written")
    skew = None
    with contextlib.suppress(ValueError, TypeError):  # no date that can be read
        skew = (parsedate_to_datetime(head.get("date", "")) - datetime.now(UTC)).total_seconds()
    return Preflight(head.get("x-amz-bucket-region"), client.meta.region_name, skew)


def _client_of(settings: Mapping[str, str], **config: str) -> Any:
    session = boto3.Session(profile_name=settings.get("profile"))
    return session.client(
        "s3", endpoint_url=settings.get("endpointurl"), region_name=settings.get("region"),
        aws_access_key_id=settings.get("access_key_id"), aws_secret_access_key=settings.get("secret_access_key"),
        config=Config(retries={"total_max_attempts": 2}, connect_timeout=10, read_timeout=30, **config),
    )  # fmt: skip


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
def translated_errors(url: str) -> Iterator[None]:
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
