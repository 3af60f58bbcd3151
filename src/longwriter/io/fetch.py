"""Files from the web: each one is named by its URL and its sha256, and kept in .lw, so that it is fetched once."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from longwriter.errors import BadParams, BadRecord, Unavailable
from longwriter.io import files

log = logging.getLogger(__name__)

FOLDER = files.LOCAL / "web"
MAX_BYTES = 100 * 2**20
_TIMEOUT_S = 60
_CONNECT_S = 10
_TOO_MANY_REQUESTS = 429


def by_hash(url: str, sha256: str, key: str) -> Path:
    """Return a file of the web that has this hash; it is fetched if it is not kept already.

    Args:
        url: http:// or https://; redirects are followed, also to other hosts, but not from https:// to http://.
        sha256: Its hash in hex.
        key: Key of params.yaml that names the file, for errors.

    Raises:
        BadParams: the server has no such file, or the file has another hash, and is not kept; or a redirect is not encrypted.
        BadRecord: the file has more than `MAX_BYTES`.
        Unavailable: the server does not answer now.
    """
    file = FOLDER / f"{sha256}{PurePosixPath(urlsplit(url).path).suffix}"
    if file.is_file() and files.sha256(file) == sha256:
        return file
    log.info("fetching %s", url)
    content = _content(url, key)
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise BadParams(
            f"{key}: {url} has sha256 {actual}, but {sha256} is expected: the file is not used; check the source, "
            "or correct the hash if you trust the file"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_bytes(content)
    part.replace(file)
    return file


def _content(url: str, key: str) -> bytes:
    """Return the body of `GET url`; raises as `by_hash` does."""
    import httpx2  # takes 100 ms, and most runs fetch nothing

    def refuse_downgrade(answer: httpx2.Response) -> None:
        if answer.has_redirect_location and answer.url.scheme == "https":
            target = answer.url.join(answer.headers["location"])
            if target.scheme != "https":
                raise BadParams(
                    f"{key}: {url} leads to {target}, which is not encrypted: name another address, or a copy of the "
                    "file by its path"
                )

    content = bytearray()
    try:
        with (
            httpx2.Client(
                follow_redirects=True,
                timeout=httpx2.Timeout(_TIMEOUT_S, connect=_CONNECT_S),
                event_hooks={"response": [refuse_downgrade]},
            ) as client,
            client.stream("GET", url) as answer,
        ):
            status = answer.status_code
            if status >= 500 or status == _TOO_MANY_REQUESTS:
                raise Unavailable(f"{key}: {url} answers with status {status}: run it again later")
            if status != 200:
                raise BadParams(f"{key}: {url} answers with status {status}, not 200: check the address")
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > MAX_BYTES:
                    raise BadRecord(f"{key}: {url} has more than {MAX_BYTES:,} bytes: name another file")
    except (httpx2.TransportError, httpx2.TooManyRedirects) as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(
            f"{key}: cannot fetch {url} ({reason}): run it again, or name a copy of the file by its path"
        ) from None
    return bytes(content)
