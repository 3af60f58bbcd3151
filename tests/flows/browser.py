"""A page that attacks web servers from a real Chromium, and what it could read.

The page tries every way in which a browser sends requests to another origin. `Victim` is a server without a
door: it shows that each of these requests really leaves the browser and could be read.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NAMES = ("shop.example", "rebound.example")  # resolved to 127.0.0.1 by the browser
REPORT_S = 180


class Aim(NamedTuple):
    """Where the page sends its requests; `body` is JSON that would change the server."""

    origin: str
    write: str
    read: str
    body: dict[str, Any]


_PAGE = """<!doctype html><meta charset="utf-8"><body><script>
const aims = AIMS;
const seen = [];
const text = (aim) => JSON.stringify(aim.body);
const at = (aim, path, way) => aim.origin + path + (path.includes('?') ? '&' : '?') + 'way=' + way;
const fetched = (method, type, mode, credentials = 'omit') => async (aim, way) => {
  const path = method === 'GET' ? aim.read : aim.write;
  const options = {method, mode, credentials};
  if (method !== 'GET') { options.body = text(aim); options.headers = {'Content-Type': type}; }
  const answer = await fetch(at(aim, path, way), options);
  return answer.type === 'opaque' ? '' : answer.status + ' ' + await answer.text();
};
const form = (enctype) => (aim, way) => new Promise((done) => {
  const frame = document.createElement('iframe');
  frame.name = way + aims.indexOf(aim);
  document.body.append(frame);
  const form = Object.assign(document.createElement('form'),
    {method: 'POST', enctype, action: at(aim, aim.write, way), target: frame.name});
  const field = document.createElement('input');
  field.name = text(aim).slice(0, -1) + ',"x":"';
  field.value = '"}';
  form.append(field);
  document.body.append(form);
  form.submit();
  setTimeout(() => { try { done(frame.contentDocument.body.innerText) } catch { done('') } }, 6000);
});
const element = (tag, key) => (aim, way) => new Promise((done) => {
  const item = document.createElement(tag);
  item.onload = () => { let words = tag === 'iframe' ? '' : 'loaded';
    if (tag === 'iframe') try { words = item.contentDocument.body.innerText } catch {}
    done(words); };
  item.onerror = () => done('');
  item[key] = at(aim, tag === 'img' ? '/pixel.gif' : aim.read, way);
  if (tag === 'link') item.rel = 'stylesheet';
  document.body.append(item);
});
const ways = {
  'GET': fetched('GET', '', 'cors'),
  'GET credentials': fetched('GET', '', 'cors', 'include'),
  'GET no-cors': fetched('GET', '', 'no-cors'),
  'POST json': fetched('POST', 'application/json', 'cors'),
  'POST json credentials': fetched('POST', 'application/json', 'cors', 'include'),
  'POST text': fetched('POST', 'text/plain', 'cors'),
  'POST text no-cors': fetched('POST', 'text/plain', 'no-cors', 'include'),
  'POST urlencoded no-cors': fetched('POST', 'application/x-www-form-urlencoded', 'no-cors'),
  'PUT': fetched('PUT', 'application/json', 'cors'),
  'PATCH': fetched('PATCH', 'application/json', 'cors'),
  'DELETE': fetched('DELETE', 'application/json', 'cors'),
  'form urlencoded': form('application/x-www-form-urlencoded'),
  'form text': form('text/plain'),
  'form multipart': form('multipart/form-data'),
  'beacon': async (aim, way) => { navigator.sendBeacon(at(aim, aim.write, way), text(aim)); return ''; },
  'img': element('img', 'src'),
  'script': element('script', 'src'),
  'stylesheet': element('link', 'href'),
  'iframe': element('iframe', 'src'),
  'EventSource': (aim, way) => new Promise((done) => {
    const source = new EventSource(at(aim, aim.read, way));
    source.onopen = () => { done('opened'); source.close(); };
    source.onerror = () => { done(''); source.close(); };
  }),
  'WebSocket': (aim, way) => new Promise((done) => {
    const peer = new WebSocket(at(aim, '/api/events/in', way).replace('http', 'ws'));
    peer.onopen = () => { peer.send(text(aim)); done('opened'); };
    peer.onerror = () => done('');
  }),
};
const tries = Object.entries(ways).flatMap(([way, send]) => aims.map(async (aim) => {
  const late = new Promise((done) => setTimeout(() => done(''), 60000));
  const words = await Promise.race([send(aim, encodeURIComponent(way)).catch(() => ''), late]);
  seen.push({origin: aim.origin, way, words});
}));
Promise.all(tries).then(() => fetch('/report', {method: 'POST', body: JSON.stringify(seen)}));
</script>"""


class Victim(ThreadingHTTPServer):
    """A server without a door; `ways` are the ways by which requests reached it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _VictimHandler)
        self.ways: set[tuple[str, str]] = set()  # (way, method)


class _VictimHandler(BaseHTTPRequestHandler):
    server: Victim

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        for way in parse_qs(urlsplit(self.path).query).get("way", []):
            self.server.ways.add((way, self.command))
        is_pixel = self.path.startswith("/pixel.gif")
        body = b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\0;" if is_pixel else b"secret=1"
        kind = (
            "image/gif" if is_pixel else "text/event-stream" if "EventSource" in self.path else "text/plain"
        )
        kind = (
            "text/javascript"
            if "way=script" in self.path
            else "text/css"
            if "way=stylesheet" in self.path
            else kind
        )
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Access-Control-Allow-Methods", "PUT, PATCH, DELETE, POST")
        self.send_header("Access-Control-Allow-Headers", "content-type")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output free of requests."""


class _Site(ThreadingHTTPServer):
    """Serves the attacking page, and takes its report."""

    def __init__(self, page: str) -> None:
        super().__init__(("127.0.0.1", 0), _SiteHandler)
        self.page, self.report = page.encode(), ""
        self.has_report = threading.Event()


class _SiteHandler(_VictimHandler):
    server: _Site  # type: ignore[assignment]

    def _answer(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if self.path == "/report":
            self.server.report = content.decode()
            self.server.has_report.set()
        else:
            self.wfile.write(self.server.page)

    do_GET = do_POST = _answer


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    """Run a server in a thread; yield its port."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _command(profile: Path, *words: str) -> list[str]:
    assert CHROMIUM, "Chromium is missing: apt install chromium"
    rules = ", ".join(f"MAP {name} 127.0.0.1" for name in NAMES)
    return [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        f"--user-data-dir={profile}", f"--host-resolver-rules={rules}", "--no-proxy-server", *words,
    ]  # fmt: skip


def attack(host: str, aims: Sequence[Aim], profile: Path) -> dict[tuple[str, str], str]:
    """Open the page under a host name in Chromium; return {(origin, way): what the page could read}."""
    site = _Site(_PAGE.replace("AIMS", json.dumps([aim._asdict() for aim in aims])))
    with serving(site) as port:
        command = _command(profile, f"http://{host}:{port}/")
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert site.has_report.wait(REPORT_S), "the page has sent no report"
        finally:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(10)
            child.kill()
    return {(row["origin"], row["way"]): row["words"] for row in json.loads(site.report)}


def page_text(url: str, profile: Path) -> str:
    """Return the HTML of a page after its scripts have run."""
    words = ("--virtual-time-budget=30000", "--dump-dom", url)
    done = subprocess.run(_command(profile, *words), capture_output=True, text=True, timeout=240, check=False)
    return done.stdout
