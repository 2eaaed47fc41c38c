"""Reads the image of a request, sent as the body or as a field of a form, with limits on its size and its duration."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256
from time import monotonic

from starlette.requests import Request
from starlette.types import Message

from stream.web.depth_api.memory import Reservation
from stream.web.depth_api.multipart import FORM_OVERHEAD_BYTES, IMAGE_FIELD, Form
from stream.web.http_errors import CLIENT_CLOSED_REQUEST, RequestError

MIN_BYTES_PER_S = 8_000
"""Slower than any phone's network; an upload that stays below this rate is cut off after its grace period."""
GRACE_S = 20.0
"""Every sender has this long, however slow."""
HASH_CHUNK_BYTES = 1 << 20
"""Hashed at a time, which takes about a millisecond."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A complete image, and the other fields of its form."""

    data: bytes = field(repr=False)
    fields: dict[str, str]

    async def digest(self) -> str:
        """SHA-256 of the image's bytes, in hexadecimal; yields to the event loop between chunks."""
        content = sha256()
        for start in range(0, len(self.data), HASH_CHUNK_BYTES):
            content.update(memoryview(self.data)[start : start + HASH_CHUNK_BYTES])
            await asyncio.sleep(0)
        return content.hexdigest()


@dataclass(frozen=True, slots=True)
class UploadReader:
    """Reads images of at most ``max_bytes``; see ``UploadBody`` for ``grace_s``."""

    max_bytes: int
    grace_s: float = GRACE_S

    async def read(self, request: Request, reservation: Reservation) -> Upload:
        """Read the image of ``request``, adding its bytes to ``reservation``.

        Raises RequestError: 415 for an unsupported content type, 400 for an invalid form, and see ``UploadBody``.
        """
        content_type = request.headers.get("content-type", "")
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type == "multipart/form-data":
            max_bytes = self.max_bytes + FORM_OVERHEAD_BYTES
            return await self._read_form(content_type, UploadBody(request, reservation, max_bytes, self.grace_s))
        if not media_type.startswith("image/") and media_type != "application/octet-stream":
            message = f'send an image as image/jpeg or the like, or a form with the file "{IMAGE_FIELD}"'
            raise RequestError(415, message)
        body, data = UploadBody(request, reservation, self.max_bytes, self.grace_s), bytearray()
        while (chunk := await body.read_chunk()) is not None:
            data += chunk
        return Upload(bytes(data), {})

    async def _read_form(self, content_type: str, body: UploadBody) -> Upload:
        form = Form(content_type)
        while (chunk := await body.read_chunk()) is not None:
            form.write(chunk)
        image = form.finish()
        if len(image) > self.max_bytes:
            raise _too_large(self.max_bytes)
        return Upload(image, form.fields)


class UploadBody:
    """A streamed request body of at most ``max_bytes``, each chunk of which is added to ``reservation``.

    The sender has ``grace_s``, and one second more for every ``MIN_BYTES_PER_S`` bytes that have arrived.
    """

    def __init__(self, request: Request, reservation: Reservation, max_bytes: int, grace_s: float) -> None:
        self._request, self._reservation, self._max_bytes = request, reservation, max_bytes
        self._start_s, self._grace_s = monotonic(), grace_s
        self._received, self._ended = 0, False

    async def read_chunk(self) -> bytes | None:
        """The next bytes; None at the end.

        Raises RequestError: 408 for a sender that is too slow, 413 for too many bytes (by Content-Length before any are
        read), 429 when all uploads together hold too much memory, 499 when the client disconnects.
        """
        if self._content_length() > self._max_bytes:
            raise _too_large(self._max_bytes)
        if self._ended:  # a further receive would wait until the client disconnects
            return None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise RequestError(CLIENT_CLOSED_REQUEST, "the client has disconnected")
        chunk: bytes = message.get("body", b"")
        self._ended = not message.get("more_body", False)
        self._received += len(chunk)
        if self._received > self._max_bytes:
            raise _too_large(self._max_bytes)
        self._reservation.grow(len(chunk))
        return chunk

    def _content_length(self) -> int:
        """0 if the header is missing; h11 has already rejected a value that is not a number."""
        return int(self._request.headers.get("content-length", "0"))

    async def _receive(self) -> Message:
        left_s = self._start_s + self._grace_s + self._received / MIN_BYTES_PER_S - monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                return await self._request.receive()
        except TimeoutError as error:
            raise RequestError(408, "the image came too slowly: send it again, or a smaller one") from error


def _too_large(max_bytes: int) -> RequestError:
    message = f"the upload has more than {max_bytes / 1e6:.3g} MB: scale the image down, or save it as JPEG"
    return RequestError(413, message)
