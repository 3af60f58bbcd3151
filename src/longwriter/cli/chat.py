"""`longwriter chat`: talks to a model of this checkout in the terminal."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from longwriter.cli import checkout
from longwriter.errors import ModelUnusable, UserError
from longwriter.text import inert


def chat(
    model: Annotated[
        str | None,
        typer.Argument(
            help="base_model, sft, dpo …, a folder, or a version in MLflow's registry (candidate, 3, models:/longwriter/3) "
            "(default: register.model)"
        ),
    ] = None,
) -> None:
    """Talk to a model: one line is one message, /new begins a new conversation, Ctrl-D ends.

    An answer is shown while it is written. It ends at the latest at the limit of the benchmark's answers
    (generate.max_tokens_per_word and generate.sampling.max_tokens); Ctrl-C ends the chat at once. A line after each
    answer shows its number of words, and the number that your message asked for.

    Example: echo "Write a story about a harbour in 200 words." | longwriter chat sft
    """
    checkout.require()
    from longwriter import params
    from longwriter.chat import serving, weights
    from longwriter.io import access, files, process

    settings = params.load()
    process.exit_on_sigterm()
    with access.kept_private(files.LOCAL):
        name = model or weights.default(settings)
        folders = {name: weights.folder(name, settings)}
        typer.echo(f"{name}: starting …", err=True)
        with serving.serve(folders, settings, slots=1) as endpoints:
            endpoint = endpoints[name]
            limit = settings.generate.sampling.max_tokens
            typer.echo(
                f"{name} is ready ({endpoint.model}); an answer has at most {limit:,} tokens "
                "(generate.sampling.max_tokens); /new begins a new conversation, Ctrl-D or Ctrl-C ends",
                err=True,
            )
            messages: list[dict[str, str]] = []
            while (line := _line()) is not None:
                if line == "/new":
                    messages = []
                elif line:
                    messages += [{"role": "user", "content": line}]
                    try:
                        answer = _answer(endpoint, messages, settings)
                    except ModelUnusable as error:
                        messages.pop()
                        _refuse(str(error), settings.serving.context_tokens)
                    else:
                        messages += [{"role": "assistant", "content": answer}]


def _refuse(reason: str, context_tokens: int) -> None:
    """Print why a message got no answer; in a terminal the chat goes on, a script ends.

    Raises:
        ModelUnusable: the messages do not come from a terminal.
    """
    sentence = (
        f"{reason}. Message and answers together may have {context_tokens:,} tokens "
        "(serving.context_tokens): shorten the message, or begin a new conversation with /new"
    )
    if not sys.stdin.isatty():
        raise ModelUnusable(sentence)
    typer.echo(inert.terminal(sentence), err=True)


def _line() -> str | None:
    """Return the next message; None at the end of the input.

    Raises:
        UserError: the input is not UTF-8.
    """
    if sys.stdin.isatty():
        typer.echo("\nyou> ", nl=False, err=True)
    try:
        line = sys.stdin.readline()
        line.encode()  # some locales read bytes that are not UTF-8 as lone surrogates
    except UnicodeError:
        raise UserError("the message is not UTF-8: convert it first, for example with iconv") from None
    return line.strip() if line else None


def _answer(endpoint: Any, messages: list[dict[str, str]], settings: Any) -> str:
    """Print an answer while it is written, and its measures; return it."""
    from longwriter.chat import measures, requests

    started, text, reason = time.monotonic(), "", ""
    for piece, end in requests.stream(endpoint, messages, settings, settings.serving.timeout_s):
        text += piece
        reason = end or reason
        typer.echo(inert.terminal(piece), nl=False)
    numbers = measures.measure(messages[-1]["content"], text)
    typer.echo(f"\n\n{measures.sentence(numbers, time.monotonic() - started, reason)}")
    return text
