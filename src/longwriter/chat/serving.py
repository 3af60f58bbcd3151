"""Starts servers for `longwriter chat` and `longwriter serve`, with the engine and precision of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from longwriter.io import files
from longwriter.llm.client import Endpoint
from longwriter.models import servers
from longwriter.params import Params


@contextmanager
def serve(folders: Mapping[str, Path], params: Params, slots: int) -> Iterator[dict[str, Endpoint]]:
    """Yield {name: endpoint} of models that answer until the block ends.

    Args:
        folders: Name of each model and the folder of its weights, from `weights.folder`.
        params: The section `serving` says how they are served.
        slots: Requests that a model answers at once.

    Raises:
        ModelUnusable: the engine cannot serve a model.
    """
    serving = params.serving.model_copy(update={"max_concurrency": slots})
    base = files.DATA / "base_model" / "weights"
    with ExitStack() as running:
        yield {
            name: running.enter_context(
                servers.serve(
                    servers.local(folder, base, serving),
                    files.LOCAL / "logs" / "chat" / f"{number}",
                    gpu_share=1 / len(folders),
                )
            )
            for number, (name, folder) in enumerate(folders.items())
        }
