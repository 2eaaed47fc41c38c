"""What all viewers of one server share: notifications, the encoder, the cameras' statistics, and the viewer limit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from time import monotonic_ns

from stream.core.clock import NS_PER_S
from stream.web.camera_status import camera_lines
from stream.web.live.hub import ImageName, SharedView
from stream.web.live.jpeg_encoder import JpegEncoder
from stream.web.live.messages import to_json
from stream.web.live.notifier import Notifier
from stream.web.services import Services

MAX_VIEWERS = 64
"""WebSockets and Motion JPEG clients together; each may hold some MB in the kernel's buffers."""
VIEWER_LIMIT_REACHED = "the server has reached its limit of viewers; try again later"
STATISTICS_INTERVAL_S = 0.5


class LiveSession:
    """The viewers of one server. It belongs to one event loop, inside ``running``."""

    def __init__(self, services: Services) -> None:
        self.sink, self.controls = services.sink, services.controls
        self.has_image_service = services.images is not None
        self._services = services
        self._viewers = 0
        self._statistics, self._statistics_ns = "", 0
        self._notifier: Notifier | None = None
        self._encoder: JpegEncoder | None = None
        self.is_closing = False
        """True when the server is about to end; each viewer checks it and ends by itself."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside the block, listen to the sink and wake the viewers twice a second for new statistics."""
        self.is_closing = False
        self._notifier = Notifier(asyncio.get_running_loop())
        with (
            JpegEncoder(self.sink, self._services.settings.jpeg_quality) as self._encoder,
            self.sink.notifying(self._notifier.notify),
        ):
            ticking = asyncio.create_task(self._tick(self._notifier), name="web-statistics")
            try:
                yield
            finally:
                ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await ticking

    def close(self) -> None:
        """Ask every viewer to end. Any thread may call it."""
        # First, or a viewer that wakes up would find nothing new and wait again.
        self.is_closing = True
        self.notify_all()

    @contextmanager
    def viewer(self) -> Iterator[asyncio.Event]:
        """Count one viewer inside the block; the event is set when something may be new (``Notifier.listener``)."""
        assert self._notifier, "there are viewers only while the server runs"
        self._viewers += 1
        self.sink.count("viewers")
        try:
            with self._notifier.listener() as news:
                yield news
        finally:
            self._viewers -= 1
            self.sink.count("viewers", -1)

    @property
    def is_full(self) -> bool:
        """True if the viewer limit is reached."""
        return self._viewers >= MAX_VIEWERS

    def notify_all(self) -> None:
        """Wake every viewer. Any thread may call it."""
        if self._notifier:
            self._notifier.notify()

    async def jpegs(self, shared: SharedView, names: Sequence[ImageName]) -> list[bytes]:
        """See ``JpegEncoder.jpegs``."""
        assert self._encoder, "there are viewers only while the server runs"
        return await self._encoder.jpegs(shared, names)

    def statistics(self) -> str:
        """The message "stats", rebuilt at most twice a second for all viewers; the same object in between."""
        now = monotonic_ns()
        # 0.9: the timer ticks unevenly, and a tick that comes early must not skip an update.
        if not self._statistics or now - self._statistics_ns >= 0.9 * STATISTICS_INTERVAL_S * NS_PER_S:
            lines = camera_lines(self._services.stats(), self.sink)
            self._statistics, self._statistics_ns = to_json({"type": "stats", "cameras": lines}), now
        return self._statistics

    async def _tick(self, notifier: Notifier) -> None:
        while True:
            notifier.notify()
            await asyncio.sleep(STATISTICS_INTERVAL_S)
