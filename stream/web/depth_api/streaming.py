"""Copes with slow and disconnecting clients: a response in chunks with a time limit, and waiting while connected."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stream.web.depth_api.memory import Reservation
from stream.web.http_errors import CLIENT_CLOSED_REQUEST, RequestError

T = TypeVar("T")

CHUNK_BYTES = 1 << 18
STALL_S = 20.0
"""A client that accepts no chunk for this long is disconnected."""


class ImageResponse(Response):
    """Sends its body in chunks, so that the server never buffers a copy; frees ``reservation`` when it is done."""

    def __init__(self, body: bytes, media_type: str, headers: dict[str, str], reservation: Reservation) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._reservation = reservation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._reservation:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            body = memoryview(self.body)
            try:
                for start in range(0, len(body), CHUNK_BYTES):
                    chunk = bytes(body[start : start + CHUNK_BYTES])
                    async with asyncio.timeout(STALL_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                return  # uvicorn closes a connection whose response is incomplete


async def while_connected(request: Request, result: asyncio.Future[T]) -> T:
    """Wait for ``result`` while the client of ``request``, whose body has been read, stays connected.

    Raises RequestError 499 when it disconnects first.
    """
    disconnect = asyncio.ensure_future(_disconnected(request))
    try:
        either: set[asyncio.Future[Any]] = {result, disconnect}
        # asyncio.wait leaves ``result`` running when this request is cancelled; other requests may wait for it, too.
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not result.done():
            raise RequestError(CLIENT_CLOSED_REQUEST, "the client has disconnected")
        return result.result()
    finally:
        disconnect.cancel()
        await asyncio.wait({disconnect})  # unlike await, does not raise its CancelledError


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
