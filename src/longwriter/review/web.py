"""The web server of `longwriter review`; `web/door.py` refuses requests of other web pages before they get here."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from longwriter.chat.web import Refusal, json_body, page_file, refusal_response
from longwriter.records import Vote
from longwriter.review import pairs
from longwriter.review.ballot import Ballot
from longwriter.review.pairs import ReviewPair

_HERE = Path(__file__).parent
_NAME_CHARS, _REASON_CHARS = 60, 2000  # at most
_VOTES = {"left": "first", "tie": "tie", "right": "second"}


def app(listed: Sequence[ReviewPair], ballot: Ballot, seed: int) -> Starlette:
    """Return the application.

    Args:
        listed: The pairs to vote on.
        ballot: Where votes go.
        seed: Seed of the order of pairs and sides.
    """

    def state(rater: str) -> Response:
        """Reply with the next pair of a rater (null = none is left), and how many are done."""
        rater_pairs = pairs.for_rater(listed, rater, seed)
        open_pairs = [pair for pair in rater_pairs if not ballot.has(rater, pair.pair_id)]
        pair = open_pairs[0]._asdict() if open_pairs else None
        return JSONResponse(
            {"done": len(rater_pairs) - len(open_pairs), "total": len(rater_pairs), "pair": pair}
        )

    async def next_pair(request: Request) -> Response:
        return state(_rater(await json_body(request)))

    async def vote(request: Request) -> Response:
        body = await json_body(request)
        rater = _rater(body)
        rater_pairs = {pair.pair_id: pair for pair in pairs.for_rater(listed, rater, seed)}
        if not ballot.add(_vote(body, rater, rater_pairs)):
            raise Refusal(409, "you have voted on this pair before")
        return state(rater)

    return Starlette(
        routes=[
            Route("/", page_file(_HERE / "page.html")),
            Route("/page.js", page_file(_HERE / "page.js")),
            Route("/page.css", page_file(_HERE / "page.css")),
            Route("/next", next_pair, methods=["POST"]),
            Route("/vote", vote, methods=["POST"]),
        ],
        exception_handlers={Refusal: refusal_response},
    )


def _rater(body: Mapping[str, Any]) -> str:
    """Return the name of a rater in one form, however it was typed."""
    value = body.get("rater")
    name = " ".join(unicodedata.normalize("NFKC", value).split()) if isinstance(value, str) else ""
    if not name or len(name) > _NAME_CHARS or not name.isprintable():
        raise Refusal(400, f"rater: a name of 1 to {_NAME_CHARS} characters is needed")
    return name


def _vote(body: Mapping[str, Any], rater: str, rater_pairs: Mapping[str, ReviewPair]) -> Vote:
    pair_id, choice, reason = body.get("pair_id"), body.get("choice"), body.get("reason", "")
    if not isinstance(pair_id, str) or pair_id not in rater_pairs:
        raise Refusal(404, "pair_id: there is no such pair")
    if not isinstance(choice, str) or choice not in _VOTES:
        raise Refusal(400, f"choice: one of {', '.join(_VOTES)} is needed")
    if not isinstance(reason, str) or len(reason) > _REASON_CHARS:
        raise Refusal(400, f"reason: a text of at most {_REASON_CHARS:,} characters is needed")
    pair = rater_pairs[pair_id]
    fields = {"prompt": pair.prompt, "first": pair.left, "second": pair.right, "vote": _VOTES[choice]}
    try:
        reason.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can express but UTF-8 cannot
        raise Refusal(400, "reason: the text has broken characters") from None
    return Vote.model_validate(fields | {"rater": rater, "reason": reason.strip()})
