"""Tries a chat template in a process of its own, with limits of time, memory and length.

A chat template is a program that comes with a model. Jinja's sandbox keeps it from files and refuses `range(10**9)`,
but two nested loops, `10**10**9` or `'a' * 10**9` would hold a stage for ever or fill its memory. A process that
reaches a limit can be ended. A thread that computes such a number cannot.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

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
    cure = "set base_model.chat_template, or choose another base_model.source"
    _run({"template": template, "special_tokens": special_tokens}, cpu_s, "the chat template", cure)


def check_folder(folder: Path, cpu_s: int = _CPU_S) -> None:
    """Check the chat template of a model folder as `check` does; the other process reads it, too.

    A folder without a template, or with one that cannot be read, is left to the engine, which says so.
    """
    _run({"folder": str(folder)}, cpu_s, f"the chat template of {folder}", "choose another model")


def _run(task: dict[str, Any], cpu_s: int, what: str, cure: str) -> None:
    """Let another process do a task of `main`; raise ModelUnusable if it reaches a limit."""
    child = [sys.executable, "-m", __name__]
    try:
        code = subprocess.run(
            child,
            input=json.dumps({**task, "cpu_s": cpu_s}),
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
        raise ModelUnusable(f"{what} {reason}: {cure}")


def _template_of(folder: Path) -> str | None:
    """Return the chat template of a model folder; None if it has none. A damaged file raises its reader's error."""
    jinja, settings, weights = (
        folder / name for name in ("chat_template.jinja", "tokenizer_config.json", "model.gguf")
    )
    template: Any = None
    if weights.is_file() and not any(folder.glob("*.safetensors")):  # only then is it served as it is
        from longwriter.models.base.gguf_file import GGUFFile

        field = GGUFFile(weights).fields.get("tokenizer.chat_template")
        template = field and field.contents()
    elif jinja.is_file():
        template = jinja.read_text(encoding="utf-8")
    elif settings.is_file():
        template = json.loads(settings.read_text(encoding="utf-8")).get("chat_template")
    return template if isinstance(template, str) else None


def main() -> int:
    """Render the chat with the template that standard input holds, or whose folder it names; return the exit code."""
    from transformers.utils.chat_template_utils import render_jinja_template

    task = json.load(sys.stdin)
    limit = int(time.process_time()) + 1 + task["cpu_s"]
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 1))
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    try:
        template = task["template"] if "template" in task else _template_of(Path(task["folder"]))
        for has_opening in (False, True) if template else ():
            texts, _ = render_jinja_template(
                [_CHAT],
                chat_template=template,
                add_generation_prompt=has_opening,
                **task.get("special_tokens", {}),
            )
            if len(texts[0]) > _CHARS:
                return _TOO_LONG
    except MemoryError:
        return _TOO_LARGE
    except Exception:  # its errors are reported by `chat.configure`, or by the engine
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
