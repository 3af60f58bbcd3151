"""Starts servers for `longwriter chat` and `longwriter serve`, with the engine and precision of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from longwriter.chat import weights
from longwriter.io import files
from longwriter.llm.client import Endpoint
from longwriter.models import servers
from longwriter.params import Params


@contextmanager
def serve(names: Sequence[str], params: Params, slots: int) -> Iterator[dict[str, Endpoint]]:
    """Yield {name: endpoint} of models that answer until the block ends.

    Args:
        names: Models, as `weights.folder` takes them.
        params: The section `serving` says how they are served.
        slots: Requests that a model answers at once.

    Raises:
        UserError, BadRecord: as `weights.folder`.
        ModelUnusable: the engine cannot serve a model.
    """
    serving = params.serving.model_copy(update={"max_concurrency": slots})
    base = files.DATA / "base_model" / "weights"
    folders = {name: weights.folder(name, params) for name in names}
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
