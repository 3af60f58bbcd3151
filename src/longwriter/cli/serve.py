"""`longwriter serve`: serves models of this checkout by an OpenAI-compatible API, and by a page that shows two."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from longwriter.cli import checkout


def serve(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="base_model, sft, dpo …, folders, or versions in MLflow's registry (candidate, 3) "
            "(default: base_model and register.model)"
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of 127.0.0.1; 0 = any free one", min=0, max=65535)] = 8600,
    slots: Annotated[int, typer.Option(help="Requests that each model answers at once", min=1, max=256)] = 2,
) -> None:
    """Serve models on this machine until Ctrl-C: a page to compare two, and an OpenAI-compatible API.

    Only programs on this machine can reach it; requests of other web pages are refused. Settings that a request
    leaves out, such as temperature and max_tokens, are those of the benchmark (params.yaml: generate).

    Example: longwriter serve base_model candidate, then open http://127.0.0.1:8600, or
    curl http://127.0.0.1:8600/v1/chat/completions -H 'Content-Type: application/json' -d '{"model": "candidate",
    "messages": [{"role": "user", "content": "Write about rain in 100 words."}]}'
    """
    checkout.require()
    from longwriter import params
    from longwriter.chat import serving, web, weights
    from longwriter.io import access, files, process
    from longwriter.web import door

    settings = params.load()
    process.exit_on_sigterm()
    with access.kept_private(files.LOCAL), door.listen(port) as listener:
        names = list(dict.fromkeys(models or _default(weights.available(), weights.default(settings))))
        folders = {name: weights.folder(name, settings) for name in names}
        typer.echo(f"serve: starting {', '.join(names)} …")
        with serving.serve(folders, settings, slots) as endpoints:
            address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            typer.echo(f"serve: page  {address}")
            typer.echo(f"serve: API   {address}/v1 (OpenAI-compatible; models {', '.join(names)}; no key)")
            typer.echo("serve: Ctrl-C stops it")
            with contextlib.suppress(KeyboardInterrupt):
                door.serve(web.app(endpoints, settings), listener)
    typer.echo("serve: stopped")


def _default(available: list[str], preferred: str) -> list[str]:
    """Return the base model, if its weights are here, and the model to register."""
    return [name for name in ("base_model", preferred) if name in available]
