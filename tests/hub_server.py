"""A server that speaks the Hugging Face hub's HTTP, for tests: repositories of files, at one commit each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT, TOKEN = "c0ffee" + "0" * 34, "hf_onlyForThisTest"


@contextmanager
def server(folder: Path, gated: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the URL of a hub whose repositories are folder/{datasets,models}/OWNER/NAME.

    Args:
        folder: Its folders are the repositories.
        gated: OWNER/NAME of the repositories that need `TOKEN`.
    """
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folder, gated))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{serving.server_address[1]}"
    finally:
        serving.shutdown()
        serving.server_close()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, folder: Path, gated: frozenset[str], *connection: object) -> None:
        self.folder, self.gated = folder, gated
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        words = self.path.partition("?")[0].strip("/").split("/")
        is_api = words[0] == "api"
        words = words[1:] if is_api else words
        kind = words.pop(0) if words[0] in ("datasets", "models") else "models"
        if len(words) < 4:
            return self._refuse(404, "EntryNotFound")
        repo, (what, revision), path = "/".join(words[:2]), words[2:4], "/".join(words[4:])
        root = self.folder / kind / repo
        if not root.is_dir():
            return self._refuse(404, "RepoNotFound")
        if repo in self.gated and self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self._refuse(403, "GatedRepo")
        if revision not in ("main", COMMIT):
            return self._refuse(404, "RevisionNotFound")
        files = [file for file in sorted(root.rglob("*")) if file.is_file()]
        if not is_api:
            if root / path not in files:
                return self._refuse(404, "EntryNotFound")
            body = (root / path).read_bytes()
            return self._answer(200, body, {"ETag": f'"{len(body)}"', "X-Repo-Commit": COMMIT})
        names = {str(file.relative_to(root)): file.stat().st_size for file in files}
        if what == "tree":
            entries = [
                {"type": "file", "path": name, "size": size, "oid": "0" * 40} for name, size in names.items()
            ]
            matches = [entry for entry in entries if str(entry["path"]).startswith(path)]
            if not matches:
                return self._refuse(404, "EntryNotFound")
            return self._answer(200, json.dumps(matches).encode())
        siblings = [{"rfilename": name} for name in names]
        self._answer(200, json.dumps({"id": repo, "sha": COMMIT, "siblings": siblings}).encode())

    do_HEAD = do_GET

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, b"{}", {"X-Error-Code": code, "X-Error-Message": code})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""
