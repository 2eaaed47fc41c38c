"""What has come in on one stream: takes messages from the sockets, keeps those to be read, and keeps the record."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from stream.client.age import AgeClock
from stream.client.client_keys import ClientKeys
from stream.client.health import ReaderHealth, Record
from stream.client.link import Link
from stream.client.relay import QUEUED, Relay
from stream.core.clock import NowNs
from stream.errors import WireError
from stream.wire.json_topics import LARGEST_JSON_BYTES, parse_json
from stream.wire.message import Message, parse, subscription

LOOK_EVERY_NS = 10_000_000
"""A reader of two thousand frames a second has other things to do than look at all its sockets for each of them."""
MOST_ROUNDS = 100
"""For a sender that is faster than this."""


class Inbox:
    """Of one thread. Each topic has a socket of its own, since ZeroMQ keeps the newest message per socket."""

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
        """Connects. Raises UsageError for an endpoint, WireError for a topic that cannot be one."""
        import zmq

        stream = topic.partition("/")[2]
        frames, *slow = [subscription(each) for each in (topic, f"info/{stream}", f"status/{stream}")]
        self._mono_ns = mono_ns
        self._record = Record(AgeClock(mono_ns, unix_ns), mono_ns, count_rate=not latest)
        self.newest: Message | None = None
        self.unread: deque[Message] = deque(maxlen=1 if latest else None)
        self._look_ns = mono_ns()
        """When to look around again."""
        self._context = zmq.Context()
        link = partial(Link, self._context, endpoint, keys=keys, mono_ns=mono_ns)
        try:
            self._slow = [link([each], max_bytes=2 * LARGEST_JSON_BYTES, latest=True) for each in slow]
            opened = link([frames], max_bytes=max_bytes, latest=latest)
            self._frames: Link | Relay = opened if latest else Relay(opened)
        except BaseException:
            self._context.destroy(0)
            raise

    @property
    def frames(self) -> Any:
        """What is readable, in the terms of ``zmq.Poller``, when ``collect`` has something to take."""
        return self._frames.socket

    @property
    def others(self) -> Sequence[Any]:
        """Those that are readable when ``look_around`` has."""
        return *self._frames.monitors, *(each for slow in self._slow for each in (slow.socket, *slow.monitors))

    def look_around(self) -> None:
        """Take in everything but frames: what is told of the stream, and of the connections."""
        self._look_ns = self._mono_ns() + LOOK_EVERY_NS
        self._frames.look()
        for slow in self._slow:
            slow.look()
            self._take_slow(slow)

    def collect(self) -> None:
        """Take in the frames that are there, waiting for nothing; now and then look around."""
        if self._mono_ns() >= self._look_ns:
            self.look_around()
        for _ in range(QUEUED - len(self.unread)):
            if not self._take_frame():
                break

    def collect_newest(self) -> Message | None:
        """Take in all that is there; where each message is kept, older ones make room."""
        self.collect()
        for _ in range(MOST_ROUNDS):
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
        """The second call does nothing."""
        if not self._context.closed:
            for link in (self._frames, *self._slow):
                link.close()
            self._context.term()

    def _take_slow(self, link: Link) -> None:
        if (raw := link.receive()) is None:
            return
        try:
            self._record.told(*parse_json(raw))
        except WireError as error:
            self._record.damaged(error)

    def _take_frame(self) -> bool:
        if (raw := self._frames.receive()) is None:
            return False
        self._sort_in(raw)
        return True

    def _sort_in(self, raw: memoryview) -> None:
        try:
            message = parse(raw)
        except WireError as error:
            self._record.damaged(error)
            return
        self._record.received(message.header, self._frames.empty_ns)
        self.newest = message
        self.unread.append(message)
