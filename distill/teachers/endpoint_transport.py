"""The line to a server: what it may do with a request and how much of an answer is read.

A prompt goes to the address it was meant for and nowhere else, so redirects are answers, not followed. An answer, head
and body, has one deadline, however it trickles, and a greatest size; it is asked for uncompressed, so that its size is
what it takes.
"""

from __future__ import annotations

import asyncio

import httpx2

MOST_BYTES = 8 << 20
"""Of an answer: a thousand listed tokens take a hundredth of it."""


class WholeAnswer(httpx2.AsyncBaseTransport):
    """Reads each answer whole, within `seconds` and `most_bytes`.

    Args:
        inner: what carries a request; None: the network.
    """

    def __init__(
        self, seconds: float, most_bytes: int = MOST_BYTES, inner: httpx2.AsyncBaseTransport | None = None
    ) -> None:
        self.seconds, self.most_bytes = seconds, most_bytes
        self.inner = inner or httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """The whole answer.

        Raises:
            httpx2.ReadTimeout: it was not there in time.
            httpx2.ReadError: it is longer than it may be, or compressed.
        """
        try:
            async with asyncio.timeout(self.seconds):
                response = await self.inner.handle_async_request(request)
                try:
                    body = await self._read(response, request)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise httpx2.ReadTimeout("no whole answer in time", request=request) from error
        return httpx2.Response(response.status_code, headers=response.headers, content=body, request=request)

    async def _read(self, response: httpx2.Response, request: httpx2.Request) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise httpx2.ReadError("the answer is compressed, which was not asked for", request=request)
        body = bytearray()
        async for part in response.aiter_raw():
            body += part
            if len(body) > self.most_bytes:
                raise httpx2.ReadError(f"the answer is longer than {self.most_bytes:,} bytes", request=request)
        return bytes(body)

    async def aclose(self) -> None:
        await self.inner.aclose()


def http_client(seconds: float, most_bytes: int = MOST_BYTES) -> httpx2.AsyncClient:
    """A client for one server: no redirects, whole answers."""
    return httpx2.AsyncClient(
        transport=WholeAnswer(seconds, most_bytes),
        follow_redirects=False,
        headers={"Accept-Encoding": "identity"},
        timeout=httpx2.Timeout(seconds),
    )
