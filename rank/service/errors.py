"""What a caller is told when something cannot be done: a status and one sentence, no traceback, path or user id."""

import json
import logging
import re
import secrets
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from prectr.shared.errors import PrectrError

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("prectr.rank.service")
PATH = re.compile(r"(?:[A-Za-z]:\\|~?/)[^\s:,;'\"]*[/\\]([^\s/\\:,;'\"]*)")


class RefusedError(Exception):
    """A request that is answered with `status` and one sentence that says what to send."""

    def __init__(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.headers = status, sentence, headers


def refusal(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    """The answer to a request that is refused: {"error": sentence}."""
    # Letters as they are; a lone half of a surrogate pair, quoted from the request, is no UTF-8 and stays an escape.
    body = json.dumps({"error": sentence}, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(body, status, headers=headers, media_type="application/json")


def add_handlers(app: FastAPI) -> None:
    """Every error that a route can end with becomes a sentence."""

    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RefusedError)
        return refusal(error.status, error.sentence, error.headers)

    async def unfit(_: Request, error: Exception) -> Response:
        return refusal(422, PATH.sub(r"\1", str(error)))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return refusal(422, sentence_of(error.errors()))

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = {
            400: "the body is not JSON: send one JSON object, with every string in double quotes.",
            404: "there is no such address: /docs lists them.",
            405: f"{request.method} does not go here: /docs says which method does.",
        }.get(error.status_code, str(error.detail))
        return refusal(error.status_code, sentence, dict(error.headers or {}))

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(PrectrError, unfit)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unknown)


def sentence_of(errors: Any) -> str:
    """The first of pydantic's findings as a sentence: where, what was wrong, and how many more there are."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return "the body is not JSON: send one JSON object, with every string in double quotes."
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:80] or "the body"
    rest = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no such field: leave it out, or look in /docs how it is spelt{rest}."
    if first["type"] == "missing":
        return f"{where} is missing: send it{rest}."
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message[:1].lower()}{message[1:]}{rest}".rstrip(".") + "."


class Shield:
    """Around the whole application: an error nobody foresaw becomes a 500 with a number, which the log has too."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the last frame before the server, which would print a traceback
            number = secrets.token_hex(4)
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("error %s: %s in %s, line %s", number, type(error).__name__, place.name, place.lineno)
            if not started:
                sentence = f"something went wrong here, not with what you sent; the log calls it {number}."
                await refusal(500, sentence)(scope, receive, send)
