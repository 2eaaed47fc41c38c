"""A sender who may hang up while he waits, and a reader who may be slow, or stand still."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stream.web.depth_api.work import Hold
from stream.web.http_errors import CLIENT_GONE, Refusal

T = TypeVar("T")

PIECE_BYTES = 1 << 18
STALL_S = 20.0
"""A reader who takes no piece for so long is given up."""


class ImageResponse(Response):
    """Sent piece by piece, so that the server never holds a copy of it all; ``hold`` is free when it is sent."""

    def __init__(self, body: bytes, media_type: str, headers: dict[str, str], hold: Hold) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._hold = hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._hold:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            body = memoryview(self.body)
            try:
                for start in range(0, len(body), PIECE_BYTES):
                    piece = bytes(body[start : start + PIECE_BYTES])
                    async with asyncio.timeout(STALL_S):
                        await send({"type": "http.response.body", "body": piece, "more_body": True})
                async with asyncio.timeout(STALL_S):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                return  # the server closes a connection whose answer is not complete


async def while_connected(request: Request, made: asyncio.Future[T]) -> T:
    """What ``made`` comes to, unless the sender of ``request``, whose body is read, hangs up before: Refusal 499."""
    connected = asyncio.ensure_future(_until_gone(request))
    try:
        either: set[asyncio.Future[Any]] = {made, connected}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not made.done():
            raise Refusal(CLIENT_GONE, "the sender is gone")
        return made.result()
    finally:
        connected.cancel()
        await asyncio.wait({connected})


async def _until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
