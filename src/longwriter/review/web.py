"""The web server of `longwriter review`; `io/door.py` stands before it, as before the other servers."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from longwriter.chat.web import Refusal, json_body, page_file, refused
from longwriter.records import Vote
from longwriter.review import pairs
from longwriter.review.ballot import Ballot
from longwriter.review.pairs import ReviewPair

_HERE = Path(__file__).parent
_MOST_NAME, _MOST_REASON = 60, 2000  # characters
_VOTES = {"left": "first", "tie": "tie", "right": "second"}


def app(listed: Sequence[ReviewPair], ballot: Ballot, seed: int) -> Starlette:
    """Return the application.

    Args:
        listed: The pairs to vote on.
        ballot: Where votes go.
        seed: Seed of the order of pairs and sides.
    """

    def state(rater: str) -> Response:
        """Answer the next pair of a rater (null = none is left), and how many are done."""
        own = pairs.for_rater(listed, rater, seed)
        left = [pair for pair in own if not ballot.has(rater, pair.pair_id)]
        pair = left[0]._asdict() if left else None
        return JSONResponse({"done": len(own) - len(left), "total": len(own), "pair": pair})

    async def following(request: Request) -> Response:
        return state(_rater(await json_body(request)))

    async def vote(request: Request) -> Response:
        body = await json_body(request)
        rater = _rater(body)
        own = {pair.pair_id: pair for pair in pairs.for_rater(listed, rater, seed)}
        if not ballot.add(_vote(body, rater, own)):
            raise Refusal(409, "you have voted on this pair before")
        return state(rater)

    return Starlette(
        routes=[
            Route("/", page_file(_HERE / "page.html")),
            Route("/page.js", page_file(_HERE / "page.js")),
            Route("/page.css", page_file(_HERE / "page.css")),
            Route("/next", following, methods=["POST"]),
            Route("/vote", vote, methods=["POST"]),
        ],
        exception_handlers={Refusal: refused},
    )


def _rater(body: Mapping[str, Any]) -> str:
    """Return the name of a rater in one form, however it was typed."""
    value = body.get("rater")
    name = " ".join(unicodedata.normalize("NFKC", value).split()) if isinstance(value, str) else ""
    if not name or len(name) > _MOST_NAME or not name.isprintable():
        raise Refusal(400, f"rater: a name of 1 to {_MOST_NAME} characters is needed")
    return name


def _vote(body: Mapping[str, Any], rater: str, own: Mapping[str, ReviewPair]) -> Vote:
    pair_id, choice, reason = body.get("pair_id"), body.get("choice"), body.get("reason", "")
    if not isinstance(pair_id, str) or pair_id not in own:
        raise Refusal(404, "pair_id: there is no such pair")
    if not isinstance(choice, str) or choice not in _VOTES:
        raise Refusal(400, f"choice: one of {', '.join(_VOTES)} is needed")
    if not isinstance(reason, str) or len(reason) > _MOST_REASON:
        raise Refusal(400, f"reason: a text of at most {_MOST_REASON:,} characters is needed")
    pair = own[pair_id]
    fields = {"prompt": pair.prompt, "first": pair.left, "second": pair.right, "vote": _VOTES[choice]}
    try:
        reason.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can express but UTF-8 cannot
        raise Refusal(400, "reason: the text has broken characters") from None
    return Vote.model_validate(fields | {"rater": rater, "reason": reason.strip()})
