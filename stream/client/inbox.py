"""Receives the messages of one stream from its sockets, keeps those still to be read, and feeds the health record."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from stream.client.age import AgeClock
from stream.client.client_keys import ClientKeys
from stream.client.health import HealthRecord, ReaderHealth
from stream.client.link import Link
from stream.client.relay import QUEUED, Relay
from stream.core.clock import NS_PER_MS, NowNs
from stream.errors import WireError
from stream.wire.json_topics import LARGEST_JSON_BYTES, parse_json
from stream.wire.message import Message, parse, subscription

SERVICE_EVERY_NS = 10 * NS_PER_MS
"""The other sockets are served at most this often; doing it for every frame is too slow at 2000 frames a second."""
MAX_ROUNDS = 100
"""Bounds ``collect_newest`` against a sender that is faster than this loop."""


class Inbox:
    """Used by one thread. Each topic has its own socket, since ZeroMQ keeps the newest message per socket."""

    def __init__(
        self,
        endpoint: str,
        topic: str,
        *,
        latest: bool,
        keys: ClientKeys | None,
        max_bytes: int,
        mono_ns: NowNs,
        unix_ns: NowNs,
    ) -> None:
        """Connects. Raises UsageError for an invalid endpoint, WireError for an invalid topic."""
        import zmq

        stream = topic.partition("/")[2]
        frames, *json_topics = [subscription(each) for each in (topic, f"info/{stream}", f"status/{stream}")]
        self._mono_ns = mono_ns
        self._record = HealthRecord(AgeClock(mono_ns, unix_ns), mono_ns, count_rate=not latest)
        self.newest: Message | None = None
        # Without ``latest``, ``collect`` leaves what is beyond QUEUED to the relay, which drops the oldest.
        self.unread: deque[Message] = deque(maxlen=1 if latest else None)
        self._service_ns = mono_ns()
        """When the other sockets are due again, monotonic nanoseconds."""
        self._context = zmq.Context()
        link = partial(Link, self._context, endpoint, keys=keys, mono_ns=mono_ns)
        try:
            self._json_links = [link([each], max_bytes=2 * LARGEST_JSON_BYTES, latest=True) for each in json_topics]
            frame_link = link([frames], max_bytes=max_bytes, latest=latest)
            self._frames: Link | Relay = frame_link if latest else Relay(frame_link)
        except BaseException:
            self._context.destroy(0)
            raise

    @property
    def frames(self) -> Any:
        """Socket or descriptor for ``zmq.Poller``, readable when ``collect`` has frames to take."""
        return self._frames.socket

    @property
    def others(self) -> Sequence[Any]:
        """Sockets for ``zmq.Poller``, readable when ``service`` has something to take."""
        return *self._frames.monitors, *(each for link in self._json_links for each in (link.socket, *link.monitors))

    def service(self) -> None:
        """Take everything but frames: info, status, and the events of the connections."""
        self._service_ns = self._mono_ns() + SERVICE_EVERY_NS
        self._frames.check_connection()
        for link in self._json_links:
            link.check_connection()
            self._take_json(link)

    def collect(self) -> None:
        """Take the frames that have arrived, without waiting; every 10 ms also ``service``."""
        if self._mono_ns() >= self._service_ns:
            self.service()
        for _ in range(QUEUED - len(self.unread)):
            if not self._take_frame():
                break

    def collect_newest(self) -> Message | None:
        """Take all frames that have arrived and return the newest; without ``latest``, older ones make room."""
        self.collect()
        for _ in range(MAX_ROUNDS):
            if len(self.unread) < QUEUED:
                break
            self.unread.clear()
            self.collect()
        return self.newest

    def age_ms(self, message: Message) -> float:
        return self._record.age_ms(message.header)

    def health(self) -> ReaderHealth:
        return self._record.snapshot(self._frames.state)

    def close(self) -> None:
        """Close all sockets. Idempotent."""
        if not self._context.closed:
            for link in (self._frames, *self._json_links):
                link.close()
            self._context.term()  # waits for open sockets, so it comes last

    def _take_json(self, link: Link) -> None:
        if (raw := link.receive()) is None:  # CONFLATE: never more than one waits
            return
        try:
            self._record.announced(*parse_json(raw))
        except WireError as error:
            self._record.damaged(error)

    def _take_frame(self) -> bool:
        """Take one frame, damaged or not; returns False if none has arrived."""
        if (raw := self._frames.receive()) is None:
            return False
        try:
            message = parse(raw)
        except WireError as error:
            self._record.damaged(error)
            return True
        self._record.received(message.header, self._frames.empty_ns)
        self.newest = message
        self.unread.append(message)
        return True
