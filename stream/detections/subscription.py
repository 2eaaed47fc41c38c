"""Receive boxes from detectors over ZeroMQ: the newest set of each stream, up to a maximum age."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import monotonic_ns
from typing import TYPE_CHECKING, Self

from stream.client.link import Link
from stream.core.clock import NS_PER_MS, NowNs
from stream.detections.message import FAMILY, MAX_MESSAGE_BYTES, BoxSet, parse_boxes
from stream.detections.rejections import Rejections
from stream.detections.settings import BoxTopicSettings
from stream.errors import SourceError, WireError
from stream.frames import Frame
from stream.objects import Box
from stream.wire.names import TOPIC_BYTES, subscription

if TYPE_CHECKING:
    import zmq

MAX_TRANSPORT_BYTES = 4 * MAX_MESSAGE_BYTES
"""Limit inside ZeroMQ, which closes the connection before it allocates a larger message; messages between this limit
and MAX_MESSAGE_BYTES are rejected here."""
CONNECTION_CHECK_MS = 500
"""Interval at which connections are checked, and made again where ZeroMQ has given up."""


class BoxTopic:
    """Detector that returns the boxes other programs send; usable while open (``with``), and may be opened again.

    A thread of its own receives messages as they arrive, so that the age of a set counts from its arrival; of several
    messages that wait for one stream it takes the newest. Programs may come and go. Malformed messages are rejected and
    counted. Raises UsageError for an invalid endpoint.
    """

    def __init__(
        self,
        settings: BoxTopicSettings,
        streams: Sequence[str],
        rejections: Rejections | None = None,
        now_ns: NowNs = monotonic_ns,
    ) -> None:
        self._settings, self._streams, self._now_ns = settings, set(streams), now_ns
        self.rejections = rejections or Rejections()
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._newest: dict[str, tuple[BoxSet, int]] = {}
        self._failure: Exception | None = None
        self.sets = 0
        """Number of valid messages taken."""

    def add_stream(self, stream: str) -> None:
        """Take boxes of one more stream. Any thread may call it."""
        with self._lock:
            self._streams.add(stream)

    def remove_stream(self, stream: str) -> None:
        """Take no boxes of this stream any more. Any thread may call it."""
        with self._lock:
            self._streams.discard(stream)
            self._newest.pop(stream, None)

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
        self._waker.send(b"\0")  # ends the poll at once
        self._thread.join()
        self._undo.close()

    def __call__(self, frame: Frame) -> Sequence[Box]:
        """The boxes of the frame's camera, in pixels of its image; none if the newest set is older than ``max_age_ms``.

        Raises SourceError after the receiving thread has failed.
        """
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
            self._subscribed = self._wanted()
            # Undone last: term waits for the links to be closed.
            undo.callback(context.term)
            yield [self._link(undo, context, endpoint) for endpoint in self._settings.connect]

    def _link(self, undo: ExitStack, context: zmq.Context[zmq.Socket[bytes]], endpoint: str) -> Link:
        topics = [subscription(f"{FAMILY}{stream}") for stream in sorted(self._subscribed)]
        link = Link(
            *(context, endpoint, topics),
            keys=None,
            max_bytes=MAX_TRANSPORT_BYTES,
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
                self._follow_streams(links)
                for link in links:
                    link.check_connection()
                    self._take_some(link)
                poller.poll(CONNECTION_CHECK_MS)
        except Exception as error:  # noqa: BLE001  # raised again by the next call
            with self._lock:
                self._failure = error

    def _follow_streams(self, links: Sequence[Link]) -> None:
        """Change the subscriptions to the streams wanted now; only this thread may use the sockets."""
        wanted, before = self._wanted(), self._subscribed
        for link in links:
            for stream in wanted - before:
                link.socket.subscribe(subscription(f"{FAMILY}{stream}"))
            for stream in before - wanted:
                link.socket.unsubscribe(subscription(f"{FAMILY}{stream}"))
        self._subscribed = wanted

    def _wanted(self) -> frozenset[str]:
        with self._lock:
            return frozenset(self._streams)

    def _take_some(self, link: Link) -> None:
        """Take the newest message of each topic.

        ``receive_all`` is bounded, so that a detector that never pauses does not starve the others.
        """
        newest = {bytes(message[:TOPIC_BYTES]): message for message in link.receive_all()}
        for message in newest.values():
            self._take(message)

    def _take(self, message: memoryview) -> None:
        try:
            stream, boxes = parse_boxes(message)
        except WireError as error:
            self.rejections.add("malformed messages", f"a message was refused: {error}")
            return
        with self._lock:
            if stream not in self._streams:  # removed a moment ago
                return
            self.sets += 1
            self._newest[stream] = boxes, self._now_ns()
