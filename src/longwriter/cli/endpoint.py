"""`longwriter endpoint`: sets an OpenAI-compatible endpoint of your own as planner and writer in params.yaml."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer

from longwriter.cli import checkout, profile
from longwriter.errors import UserError


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
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Find the concurrency: send up to 190 short requests (about 15,000 tokens), more and more at once",
        ),
    ] = False,
    max_cost_usd: Annotated[
        float | None, typer.Option(min=0.0, help="Budget of a stage in USD (default: as in params.yaml)")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Write the keys into params.yaml")] = False,
) -> None:
    """Set the keys of params.yaml that let an endpoint of your own plan and write.

    Sends no request, except with --measure. Penalties on repetition are set to null, because most endpoints have
    none. If the endpoint does not take another setting, the first stage that uses it names the keys to change.

    Example: longwriter endpoint qwen3 --url http://localhost:8000/v1 --api-key-env "" --apply
    """
    checkout.require()
    if measure and concurrency is not None:
        raise UserError("--measure finds the concurrency, and --concurrency sets it: leave one of them out")
    options = {"api_key_env": api_key_env, "max_concurrency": concurrency, "max_cost_usd": max_cost_usd}
    llm: dict[str, Any] = {"engine": "external", "model": model, "base_url": url}
    llm |= {key: value for key, value in options.items() if value is not None}
    no_penalty = {"repetition_penalty": None}
    changes = {
        "llm": llm,
        "plan": {"llm": None, "sampling": no_penalty},
        "write": {"llm": None, "sampling": no_penalty, "direct_sampling": no_penalty},
    }
    if measure:
        llm["max_concurrency"] = _measured(changes)
    elif concurrency is None:
        now = profile.checked(changes).llm.max_concurrency
        typer.echo(
            f"llm.max_concurrency stays {now}: --measure finds the number that suits the endpoint", err=True
        )
    profile.offer(
        changes, f"the endpoint of {model}", apply, 'longwriter write "…" --words 500, then python -m flows'
    )


def _measured(changes: dict[str, Any]) -> int:
    """Return how many requests at once the endpoint of these values answers fastest; shows each round."""
    from longwriter.estimate import concurrency
    from longwriter.io import access, files, process

    settings = profile.checked(changes).llm
    process.exit_on_sigterm()

    def show(item: concurrency.Round) -> None:
        typer.echo(f"{item.requests:>4} at once: {item.answers_per_second:.2g} answers a second", err=True)

    with access.kept_private(files.LOCAL):
        folder = files.LOCAL / "endpoint"
        folder.mkdir(parents=True, exist_ok=True)
        rounds = asyncio.run(concurrency.measure(settings, folder / "calls.jsonl.zst", show))
    requests = concurrency.best(rounds)
    typer.echo(
        f"llm.max_concurrency: {requests}; more at once gain less than 10 %, or were not tried", err=True
    )
    return requests
