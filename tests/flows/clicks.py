"""A person at a web page: a headless Chromium that clicks on words, driven by its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.flows.browser import CHROMIUM

_PATIENCE_S = 90.0
_FIND = """(() => {
  const word = new RegExp(WORD);
  const items = [...document.querySelectorAll('a,button,span,div,p')].filter(
    (item) => item.offsetParent && word.test((item.innerText || '').trim()));
  const item = items[items.length - 1];
  if (!item) return null;
  const link = item.closest('a');
  if (link) link.removeAttribute('target');  // stay in this tab
  item.scrollIntoView({block: 'center'});
  const box = item.getBoundingClientRect();
  // MLflow lays a handle over some words, and a veil over folded ones: as a person, click where the word is free.
  const y = box.y + box.height / 2;
  const x = [0.5, 0.2, 0.8].map((share) => box.x + box.width * share).find((x) => {
    const top = document.elementFromPoint(x, y);
    return top && (item.contains(top) || top.contains(item));
  });
  return x === undefined ? null : [x, y];
})()"""


class Page:
    """A tab of the browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            reply = json.loads(self._socket.recv(_PATIENCE_S))
            if reply.get("id") == self._number:
                return reply["result"]

    def _value(self, script: str) -> Any:
        return self._call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def open(self, url: str) -> None:
        """Go to an address, as a person types it."""
        self._call("Page.navigate", url=url)

    def text(self) -> str:
        """Return what the page shows."""
        return str(self._value("document.body.innerText"))

    def click(self, word: str) -> None:
        """Click on the innermost, last element whose whole text fits the regular expression; wait for it first."""
        end = time.monotonic() + _PATIENCE_S
        place, before = None, None
        while place is None or place != before:  # until the page has stopped moving
            assert time.monotonic() < end, (
                f"no {word!r} on the page that is free to click:\n{self.text()[:3000]}"
            )
            time.sleep(0.7)
            before, place = place, self._value(_FIND.replace("WORD", json.dumps(f"^{word}$")))
        for kind in ("mousePressed", "mouseReleased"):
            self._call(
                "Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1
            )
        time.sleep(1)

    def title(self) -> str:
        """Return the title of the page."""
        return str(self._value("document.title"))

    def resize(self, width: int, height: int) -> None:
        """Give the window a size in pixels."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def below(self, selector: str) -> float:
        """Return how many pixels of the elements that fit the CSS selector lie below the window."""
        script = f"""Math.max(...[...document.querySelectorAll({json.dumps(selector)})].map(
            (item) => item.getBoundingClientRect().bottom)) - window.innerHeight"""
        return float(self._value(script))

    def height(self, field: str) -> float:
        """Return the height of the element with an id, in pixels."""
        return float(self._value(f"document.getElementById({json.dumps(field)}).clientHeight"))

    def write(self, field: str, text: str) -> None:
        """Type into the field with an id."""
        self._value(f"document.getElementById({json.dumps(field)}).focus()")
        self._call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press and let go of a key, by its name in DOM events."""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key)

    def click_label(self, label: str) -> None:
        """Click on a button that shows no text, by its label for screen readers; wait for it first."""
        selector = f"button[aria-label='{label}']"
        button = f"document.querySelector({json.dumps(selector)})"
        end = time.monotonic() + _PATIENCE_S
        while not self._value(f"Boolean({button})"):
            assert time.monotonic() < end, f"no button {label!r} on the page"
            time.sleep(0.3)
        self._value(f"{button}.click()")

    def wait_for(self, text: str) -> None:
        """Wait until the page shows a text."""
        end = time.monotonic() + _PATIENCE_S
        while text not in self.text():
            assert time.monotonic() < end, f"no {text!r} on the page:\n{self.text()[:3000]}"
            time.sleep(0.3)

    def picture(self, file: Path, width: int = 1500, height: int = 950) -> None:
        """Write a PNG of the upper left part of the page, in pixels."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", clip=clip)["data"]))


@contextlib.contextmanager
def chromium(profile: Path, rule: str) -> Iterator[Page]:
    """Yield a page of a new Chromium; `rule` is one of `--host-resolver-rules`."""
    assert CHROMIUM, "Chromium is missing: apt install chromium"
    words = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--remote-debugging-port=0", f"--user-data-dir={profile}", "--window-size=1500,1100", "--no-proxy-server",
        f"--host-resolver-rules={rule}", "about:blank",
    ]  # fmt: skip
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as child:
        try:
            assert child.stderr is not None
            host = next(found[1] for line in child.stderr if (found := re.search("ws://([^/]+)/", line)))
            with urllib.request.urlopen(f"http://{host}/json", timeout=30) as answer:
                tabs = json.load(answer)
            url = next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")
            with connect(url, max_size=None) as socket:
                yield Page(socket)
        finally:
            child.terminate()
