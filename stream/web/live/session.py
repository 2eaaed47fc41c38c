"""What the viewers of one server share: news, the encoder, the cameras' figures, and how many may look at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic_ns

from stream.core.clock import NS_PER_S
from stream.web.camera_status import camera_lines
from stream.web.live.hub import ImageName, Shown
from stream.web.live.jpeg_encoder import Encoder
from stream.web.live.messages import to_json
from stream.web.live.notifier import Bell
from stream.web.services import Parts

MOST_VIEWERS = 64
"""Pages and MJPEG readers together; each may hold some MB in the kernel's buffers."""
STATISTICS_EVERY_S = 0.5


class Live:
    """Belongs to one event loop between ``opened``'s two ends."""

    def __init__(self, parts: Parts) -> None:
        self.sink, self.controls = parts.sink, parts.controls
        self.takes_images = parts.images is not None
        """Whether there is an image service beside the video."""
        self._parts = parts
        self._viewers = 0
        self._statistics, self._statistics_ns = "", 0
        self._bell: Bell | None = None
        self._encoder: Encoder | None = None
        self.is_closing = False
        """Viewers end by themselves when they see it."""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Listen to the sink, and keep the viewers awake, inside the block."""
        self.is_closing = False
        self._bell = Bell(asyncio.get_running_loop())
        with (
            Encoder(self.sink, self._parts.settings.jpeg_quality) as self._encoder,
            self.sink.heard_by(self._bell.ring),
        ):
            ticking = asyncio.create_task(self._tick(self._bell), name="web-figures")
            try:
                yield
            finally:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking

    def close(self) -> None:
        """Let every viewer end; from any thread."""
        self.is_closing = True
        if self._bell:
            self._bell.ring()

    @contextmanager
    def viewer(self) -> Iterator[asyncio.Event]:
        """Somebody who looks; the event is set whenever there may be news (see ``Bell.listener``)."""
        assert self._bell, "there are viewers only while the server runs"
        self._viewers += 1
        self.sink.count("viewers")
        try:
            with self._bell.listener() as news:
                yield news
        finally:
            self._viewers -= 1
            self.sink.count("viewers", -1)

    @property
    def is_full(self) -> bool:
        """No further viewer finds a place."""
        return self._viewers >= MOST_VIEWERS

    def tell_all(self) -> None:
        """Wake every viewer."""
        if self._bell:
            self._bell.ring()

    async def jpegs(self, shown: Shown, names: Sequence[ImageName]) -> list[bytes]:
        """See ``Encoder.jpegs``."""
        assert self._encoder, "there are viewers only while the server runs"
        return await self._encoder.jpegs(shown, names)

    def statistics(self) -> str:
        """The message "stats", made anew twice a second for all viewers together; the same object until then."""
        now = monotonic_ns()
        if (
            not self._statistics or now - self._statistics_ns >= 0.9 * STATISTICS_EVERY_S * NS_PER_S
        ):  # the clock ticks unevenly
            lines = camera_lines(self._parts.stats(), self.sink)
            self._statistics, self._statistics_ns = to_json({"type": "stats", "cameras": lines}), now
        return self._statistics

    async def _tick(self, bell: Bell) -> None:
        while True:
            bell.ring()
            await asyncio.sleep(STATISTICS_EVERY_S)
