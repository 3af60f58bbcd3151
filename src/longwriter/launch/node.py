"""Runs a command on one node of several, and ends it when the head node is gone.

`nodes.py` starts this file on each node over ssh, srun or kubectl. The first line of standard input holds the
command and its variables. So they are in no file and in no command line, which each user of the node could read.
The head node keeps standard input open. When standard input ends, the head or the connection to it is gone, and
this process ends the ranks within a few seconds.

It imports only the standard library, because the path of `longwriter` is one of the variables.

Run: `python -I node.py < REQUEST`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

_GRACE_S = 8.0  # time for the ranks to end after SIGTERM
_CHUNK_BYTES = 65536
_INPUT = 0  # read without Python's buffer, whose lock a waiting thread would hold when Python ends


def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        chunk = os.read(_INPUT, 1)
        if not chunk:
            sys.exit("the head node ended before it said what to run")
        line += chunk
    return line


def _end_with_head(ranks: subprocess.Popen[bytes]) -> None:
    """Wait until standard input ends, then end the ranks."""
    while os.read(_INPUT, _CHUNK_BYTES):
        pass
    ranks.terminate()
    try:
        ranks.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        ranks.kill()


def main() -> int:
    """Run the requested command; return its exit code, or 128 + the signal that ended it, as a shell does."""
    request = json.loads(_first_line())
    ranks = subprocess.Popen(
        request["command"],
        env={**os.environ, **request["environment"]},
        cwd=request["folder"],
        stdin=subprocess.DEVNULL,
    )
    threading.Thread(target=_end_with_head, args=(ranks,), daemon=True).start()
    code = ranks.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
