"""A server that speaks S3, for tests: moto's, as a process of its own on a port of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.workspace import wait_for

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def server(folder: Path) -> Iterator[tuple[dict[str, str], Any]]:
    """Yield (environment that points to the server, client); `folder` gets the log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_CONFIG_FILE": str(folder / "none")}
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "moto.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        client = boto3.client(
            "s3", endpoint_url=env["AWS_ENDPOINT_URL"], region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test", config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )  # fmt: skip

        def is_up() -> bool:
            assert process.poll() is None, (folder / "moto.log").read_text()
            try:
                client.list_buckets()
            except (BotoCoreError, ClientError):
                return False
            return True

        wait_for(is_up, "moto_server answers")
        yield env, client
    finally:
        process.terminate()
        process.wait(120)
