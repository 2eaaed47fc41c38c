"""A request's body, piece by piece, with one eye on its size and one on the clock."""

from __future__ import annotations

import asyncio
from time import monotonic

from starlette.requests import Request
from starlette.types import Message

from stream.web.http_errors import CLIENT_GONE, Refusal
from stream.web.picture_memory import Hold

LEAST_BYTES_PER_S = 8_000
"""Slower than any phone's network; what comes more slowly than this, after some patience, is no upload."""


class Body:
    """Pieces of at most ``most`` bytes in all, whose bytes ``hold`` grows by.

    A sender has ``patience_s``, and a second more for every ``LEAST_BYTES_PER_S`` bytes that came.
    """

    def __init__(self, request: Request, hold: Hold, most: int, patience_s: float) -> None:
        self._request, self._hold, self._most = request, hold, most
        self._start_s, self._patience_s = monotonic(), patience_s
        self._received, self._ended = 0, False

    async def piece(self) -> bytes | None:
        """The next bytes; None at the end.

        Raises Refusal: 408 for a sender who is too slow, 413 for too many bytes (by what the request claims, before any
        is read), 429 when all uploads together hold too much.
        """
        if self._claimed() > self._most:
            raise too_large(self._most)
        if self._ended:
            return None
        message = await self._message()
        if message["type"] == "http.disconnect":
            raise Refusal(CLIENT_GONE, "the sender is gone")
        piece: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self._received += len(piece)
        if self._received > self._most:
            raise too_large(self._most)
        self._hold.grow(len(piece))
        return piece

    def _claimed(self) -> int:
        """Its length as the request has it; the server has seen that it is a number. 0: not said."""
        return int(self._request.headers.get("content-length", "0"))

    async def _message(self) -> Message:
        left_s = self._start_s + self._patience_s + self._received / LEAST_BYTES_PER_S - monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await self._request.receive()
        except TimeoutError as error:
            raise Refusal(408, "the picture came too slowly: send it again, or a smaller one") from error


def too_large(most: int) -> Refusal:
    return Refusal(413, f"the upload has more than {most / 1e6:.3g} MB: scale the picture down, or save it as JPEG")
