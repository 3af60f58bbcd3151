"""What a machine has: GPUs, memory and disk of this one, or the GPUs of another one that a text describes."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import psutil

from longwriter.capacity.memory import GIB
from longwriter.errors import UserError

_GPUS = re.compile(r"(?P<number>[1-9]\d{0,4})x(?P<gib>[1-9]\d{0,3})(?::(?P<name>[\w. -]{1,40}))?")
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container


class Machine(NamedTuple):
    """A machine with its GPUs."""

    gpus: int
    gpu_bytes: int | None
    """Memory of the smallest GPU; None = there is none."""
    gpu: str | None
    """Name of the GPU; None = not known, or there is none."""
    host_bytes: int | None
    """Memory beside the GPUs; None = not known."""
    disk_bytes: int | None
    """Free disk below the checkout; None = not known."""
    is_this: bool
    """Whether it is the machine on which this process runs."""

    def has_package(self, name: str) -> bool | None:
        """Tell whether a Python package is installed; None = not known."""
        return importlib.util.find_spec(name) is not None if self.is_this else None


def this() -> Machine:
    """Return this machine; looking at GPUs takes some of their memory until this process ends."""
    import torch

    cards = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    smallest = min(cards, key=lambda card: card.total_memory, default=None)
    host = psutil.virtual_memory().total
    if _LIMIT.is_file() and (limit := _LIMIT.read_text(encoding="ascii").strip()).isdigit():
        host = min(host, int(limit))
    return Machine(
        gpus=len(cards),
        gpu_bytes=smallest and smallest.total_memory,
        gpu=smallest and smallest.name,
        host_bytes=host,
        disk_bytes=shutil.disk_usage(Path.cwd()).free,
        is_this=True,
    )


def from_text(text: str) -> Machine:
    """Return a machine of which only the GPUs are known.

    Args:
        text: `NUMBERxGIB` or `NUMBERxGIB:NAME`, such as `8x80` or `8x80:A100`.

    Raises:
        UserError: the text has another form.
    """
    match = _GPUS.fullmatch(text.strip())
    if match is None:
        raise UserError(
            f"--gpus: found {text[:60]!r}; allowed: NUMBERxGIB, such as 8x80, or with a name, 8x80:A100"
        )
    size = int(match["gib"]) * GIB
    return Machine(int(match["number"]), size, match["name"], host_bytes=None, disk_bytes=None, is_this=False)
