"""The image that a request brings: as its body, or as a part of a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic

from starlette.requests import Request
from starlette.types import Message

from stream.web.depth_api.multipart import AROUND_BYTES, PART, Form
from stream.web.depth_api.work import Hold
from stream.web.http_errors import CLIENT_GONE, Refusal

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
            raise Refusal(408, "the image came too slowly: send it again, or a smaller one") from error


def too_large(most: int) -> Refusal:
    return Refusal(413, f"the upload has more than {most / 1e6:.3g} MB: scale the image down, or save it as JPEG")


PATIENCE_S = 20.0
HASHED_AT_ONCE = 1 << 20
"""Bytes, about a millisecond."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that came whole, and what a form said besides."""

    data: bytes = field(repr=False)
    fields: dict[str, str]

    async def digest(self) -> str:
        """SHA-256 of the image's bytes, in hexadecimal; others on the event loop have their turn meanwhile."""
        content = sha256()
        for start in range(0, len(self.data), HASHED_AT_ONCE):
            content.update(memoryview(self.data)[start : start + HASHED_AT_ONCE])
            await asyncio.sleep(0)
        return content.hexdigest()


@dataclass(frozen=True, slots=True)
class UploadReader:
    """Reads images of at most ``max_bytes``; ``patience_s``: see ``Body``."""

    max_bytes: int
    patience_s: float = PATIENCE_S

    async def read(self, request: Request, hold: Hold) -> Upload:
        """The image of ``request``, whose bytes ``hold`` grows by.

        Raises Refusal: 415 for another content type, 400 for a form that is none, and what ``Body`` raises.
        """
        said = request.headers.get("content-type", "")
        kind = said.partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._form(said, Body(request, hold, self.max_bytes + AROUND_BYTES, self.patience_s))
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise Refusal(415, f'send an image as image/jpeg or the like, or a form with the file "{PART}"')
        body, whole = Body(request, hold, self.max_bytes, self.patience_s), bytearray()
        while (piece := await body.piece()) is not None:
            whole += piece
        return Upload(bytes(whole), {})

    async def _form(self, content_type: str, body: Body) -> Upload:
        form = Form(content_type)
        while (piece := await body.piece()) is not None:
            form.write(piece)
        image = form.finish()
        if len(image) > self.max_bytes:
            raise too_large(self.max_bytes)
        return Upload(image, form.fields)
