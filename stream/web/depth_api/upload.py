"""The picture that a request brings: as its body, or as a part of a form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.requests import Request

from stream.web.depth_api.multipart import AROUND_BYTES, PART, Form
from stream.web.http_errors import Refusal
from stream.web.picture_memory import Hold
from stream.web.upload_body import Body, too_large

PATIENCE_S = 20.0
HASHED_AT_ONCE = 1 << 20
"""Bytes, about a millisecond."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that came whole, and what a form said besides."""

    data: bytes = field(repr=False)
    fields: dict[str, str]

    async def digest(self) -> str:
        """SHA-256 of the picture's bytes, in hexadecimal; others on the event loop have their turn meanwhile."""
        content = sha256()
        for start in range(0, len(self.data), HASHED_AT_ONCE):
            content.update(memoryview(self.data)[start : start + HASHED_AT_ONCE])
            await asyncio.sleep(0)
        return content.hexdigest()


@dataclass(frozen=True, slots=True)
class UploadReader:
    """Reads pictures of at most ``max_bytes``; ``patience_s``: see ``Body``."""

    max_bytes: int
    patience_s: float = PATIENCE_S

    async def read(self, request: Request, hold: Hold) -> Upload:
        """The picture of ``request``, whose bytes ``hold`` grows by.

        Raises Refusal: 415 for another content type, 400 for a form that is none, and what ``Body`` raises.
        """
        said = request.headers.get("content-type", "")
        kind = said.partition(";")[0].strip().lower()
        if kind == "multipart/form-data":
            return await self._form(said, Body(request, hold, self.max_bytes + AROUND_BYTES, self.patience_s))
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise Refusal(415, f'send a picture as image/jpeg or the like, or a form with the file "{PART}"')
        body, whole = Body(request, hold, self.max_bytes, self.patience_s), bytearray()
        while (piece := await body.piece()) is not None:
            whole += piece
        return Upload(bytes(whole), {})

    async def _form(self, content_type: str, body: Body) -> Upload:
        form = Form(content_type)
        while (piece := await body.piece()) is not None:
            form.write(piece)
        picture = form.finish()
        if len(picture) > self.max_bytes:
            raise too_large(self.max_bytes)
        return Upload(picture, form.fields)
