"""`longwriter endpoint`: sets an OpenAI-compatible endpoint of your own as planner and writer in params.yaml."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from longwriter.cli import checkout, profile


def endpoint(
    model: Annotated[str, typer.Argument(help="Name of the model there, such as gpt-4o")],
    url: Annotated[str | None, typer.Option(help="https://HOST/v1 of the endpoint (default: OpenAI)")] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(help="Environment variable with the key, '' = none (default: as in params.yaml)"),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=1, help="Most requests at once (default: as in params.yaml)")
    ] = None,
    max_cost_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Budget of a stage in USD (default: as in params.yaml)")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the keys into params.yaml")] = False,
) -> None:
    """Set the keys of params.yaml that let an endpoint of your own plan and write; sends no request.

    Penalties on repetition are set to null, because most endpoints have none. If the endpoint does not take another
    setting, the first stage that uses it names the keys to change.

    Example: longwriter endpoint qwen3 --url http://localhost:8000/v1 --api-key-env "" --apply
    """
    checkout.require()
    options = {"api_key_env": api_key_env, "max_concurrency": concurrency, "max_cost_usd": max_cost_usd}
    llm: dict[str, Any] = {"engine": "external", "model": model, "base_url": url}
    llm |= {key: value for key, value in options.items() if value is not None}
    no_penalty = {"repetition_penalty": None}
    changes = {
        "llm": llm,
        "plan": {"llm": None, "sampling": no_penalty},
        "write": {"llm": None, "sampling": no_penalty, "direct_sampling": no_penalty},
    }
    profile.offer(
        changes, f"the endpoint of {model}", apply, 'longwriter write "…" --words 500, then python -m flows'
    )
