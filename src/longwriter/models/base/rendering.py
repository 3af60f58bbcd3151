"""Tries a chat template in a process of its own, with limits of time, memory and length.

A chat template is a program that comes with a model. Jinja's sandbox keeps it from files and refuses `range(10**9)`,
but two loops in each other, `10**10**9` or `'a' * 10**9` would hold a stage for ever or fill its memory. A process
that reaches a limit can be ended; a thread inside a large power cannot.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time

from longwriter.errors import ModelUnusable

_CPU_S = 20  # a template needs some milliseconds
_WALL_S = 300
_MEMORY = 2**30
_CHARS = 1_000_000  # longest system prompts of published templates: some thousand
_TOO_LONG, _TOO_LARGE = 3, 4
_CHAT = [
    {"role": "user", "content": "1"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": "3"},
]


def check(template: str, special_tokens: dict[str, str], cpu_s: int = _CPU_S) -> None:
    """Return if a template renders a chat of three messages, or refuses it, within the limits.

    Args:
        template: The template.
        special_tokens: Texts that it may write by name, such as `bos_token`.
        cpu_s: Seconds of CPU time that it may take.

    Raises:
        ModelUnusable: it takes too long, too much memory, or writes too much.
    """
    child = [sys.executable, "-m", __name__]
    task = json.dumps([template, special_tokens, cpu_s])
    try:
        code = subprocess.run(
            child,
            input=task,
            text=True,
            timeout=_WALL_S,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
    except subprocess.TimeoutExpired:
        code = -signal.SIGXCPU
    reasons = {
        -signal.SIGXCPU: f"does not end within {cpu_s} seconds",
        -signal.SIGKILL: f"does not end within {cpu_s} seconds, or fills the memory",
        _TOO_LONG: f"writes more than {_CHARS:,} characters for three short messages",
        _TOO_LARGE: f"takes more than {_MEMORY // 2**20:,} MiB for three short messages",
    }
    if code:
        reason = reasons.get(code, f"ends its process with {code}")
        raise ModelUnusable(
            f"the chat template {reason}: set base_model.chat_template, or choose another base_model.source"
        )


def main() -> int:
    """Render the chat with the template from standard input, and return the exit code."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template, special_tokens, cpu_s = json.load(sys.stdin)
    limit = int(time.process_time()) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    for has_opening in (False, True):
        try:
            texts, _ = render_jinja_template(
                [_CHAT], chat_template=template, add_generation_prompt=has_opening, **special_tokens
            )
        except MemoryError:
            return _TOO_LARGE
        except Exception:  # its errors are reported by `chat.configure`
            return 0
        if len(texts[0]) > _CHARS:
            return _TOO_LONG
    return 0


if __name__ == "__main__":
    sys.exit(main())
