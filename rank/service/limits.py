"""Before a body is parsed: who may speak to the service at all, what it must be, and how long it may be."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from prectr.rank.service.errors import Application, Receive, RefusedError, Scope, Send, refusal
from prectr.rank.service.settings import Settings

SECONDS_FOR_A_BODY = 20.0
"""A sender that stalls holds nothing up."""


class Limits:
    """Reads the whole body, up to the limit, and hands it on; refuses foreign hosts and bodies that are not JSON."""

    def __init__(self, app: Application, settings: Settings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            self._check_host(headers.get("host", ""))
            body = await self._body(scope["method"], headers, receive)
        except RefusedError as error:
            # Whatever is still coming is not read, so the connection cannot be used again.
            await refusal(error.status, error.sentence, {"connection": "close"})(scope, receive, send)
            return
        handed_on = False

        async def whole() -> MutableMapping[str, Any]:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, send)

    def _check_host(self, host: str) -> None:
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if self.settings.hosts and name.strip("[]").lower() not in self.settings.hosts:
            raise RefusedError(
                421, f"this service answers to {', '.join(self.settings.hosts)} only: call it by that name."
            )

    async def _body(self, method: str, headers: dict[str, str], receive: Receive) -> bytes:
        most = self.settings.most_bytes
        too_long = RefusedError(
            413, f"the body is longer than {most:,} bytes: send fewer candidates or events at once."
        )
        length = headers.get("content-length", "0")
        if length.isascii() and length.isdigit() and int(length[:20]) > most:
            raise too_long
        parts, size = list[bytes](), 0
        try:
            async with asyncio.timeout(SECONDS_FOR_A_BODY):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise RefusedError(400, "the connection ended before the body did: send all of it.")
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > most:
                        raise too_long
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise RefusedError(
                408, f"no whole body came within {SECONDS_FOR_A_BODY:.0f} seconds: send it again."
            ) from None
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if size and method in ("POST", "PUT", "DELETE") and kind != "application/json":
            # Also what keeps other sites' forms out: a browser asks before it sends JSON elsewhere.
            raise RefusedError(415, "the body must be JSON: send it with content-type: application/json.")
        return b"".join(parts)
