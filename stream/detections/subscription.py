"""Boxes that detectors send over ZeroMQ: the newest set of each stream, while it is young enough."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic_ns
from typing import TYPE_CHECKING, Self

from stream.client.link import Link
from stream.core.clock import NS_PER_MS, NowNs
from stream.detections.message import FAMILY, LARGEST_BYTES, BoxSet, parse_boxes
from stream.detections.rejections import Refusals
from stream.detections.settings import BoxTopicSettings
from stream.errors import SourceError, WireError
from stream.frames import Frame
from stream.objects import Box
from stream.wire.names import TOPIC_BYTES, subscription

if TYPE_CHECKING:
    import zmq

CONNECTION_ENDS_BYTES = 4 * LARGEST_BYTES
"""ZeroMQ ends a connection over a larger message, before it takes the memory; a smaller one is ours to refuse."""
LOOK_AGAIN_MS = 500
"""So often connections are looked at, and made again where ZeroMQ has given up."""


class BoxTopic:
    """A detector like any other while it is open (``with``): call it with a frame. Raises UsageError for an endpoint.

    Its thread takes messages as they come, so that the age of a set counts from its arrival; of those of a stream that
    come at once the newest. Detectors may be absent, come and go; what they send wrongly is refused and counted. It may
    be opened again.
    """

    def __init__(
        self,
        settings: BoxTopicSettings,
        streams: Sequence[str],
        refusals: Refusals | None = None,
        now_ns: NowNs = monotonic_ns,
    ) -> None:
        self._settings, self._streams, self._now_ns = settings, frozenset(streams), now_ns
        self.refusals = refusals or Refusals()
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._newest: dict[str, tuple[BoxSet, int]] = {}
        self._failure: Exception | None = None
        self.sets = 0
        """Messages that were taken."""

    def __enter__(self) -> Self:
        self._closing.clear()
        self._failure = None
        with ExitStack() as undo:
            woken, self._waker = socket.socketpair()
            undo.callback(woken.close)
            undo.callback(self._waker.close)
            links = undo.enter_context(self._connected())
            self._thread = threading.Thread(target=self._run, args=(links, woken), name="boxes", daemon=True)
            self._thread.start()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._closing.set()
        self._waker.send(b"\0")
        self._thread.join()
        self._undo.close()

    def __call__(self, frame: Frame) -> Sequence[Box]:
        """Of the frame's camera, in its pixels; none where the newest set is older than ``max_age_ms``."""
        with self._lock:
            if self._failure is not None:
                raise SourceError(f"boxes can no longer be received: {self._failure}") from self._failure
            boxes, arrived_ns = self._newest.get(frame.camera, (None, 0))
        if boxes is None or self._now_ns() - arrived_ns > self._settings.max_age_ms * NS_PER_MS:
            return ()
        return boxes.at(frame.size)

    @contextmanager
    def _connected(self) -> Iterator[list[Link]]:
        import zmq

        with ExitStack() as undo:
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            undo.callback(context.term)
            yield [self._link(undo, context, endpoint) for endpoint in self._settings.connect]

    def _link(self, undo: ExitStack, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Link:
        wanted = [subscription(f"{FAMILY}{stream}") for stream in sorted(self._streams)]
        link = Link(
            *(context, endpoint, wanted),
            keys=None,
            max_bytes=CONNECTION_ENDS_BYTES,
            latest=False,
            mono_ns=monotonic_ns,
        )
        undo.callback(link.close)
        return link

    def _run(self, links: Sequence[Link], woken: socket.socket) -> None:
        import zmq

        poller = zmq.Poller()
        for waiting in (woken, *(each for link in links for each in (link.socket, *link.monitors))):
            poller.register(waiting, zmq.POLLIN)
        try:
            while not self._closing.is_set():
                for link in links:
                    link.look()
                    self._take_some(link)
                poller.poll(LOOK_AGAIN_MS)
        except Exception as error:  # noqa: BLE001  # raised again by the next call
            with self._lock:
                self._failure = error

    def _take_some(self, link: Link) -> None:
        """The newest of each topic, but not for ever: a detector that never pauses does not keep the others away."""
        newest = {bytes(message[:TOPIC_BYTES]): message for message in link.receive_all()}
        for message in newest.values():
            self._take(message)

    def _take(self, message: memoryview) -> None:
        try:
            stream, boxes = parse_boxes(message)
        except WireError as error:
            self.refusals.add("malformed messages", f"a message was refused: {error}")
            return
        with self._lock:
            self.sets += 1
            self._newest[stream] = boxes, self._now_ns()
