"""info/ and status/ messages: what there is to say, and when.

They leave one by one with a pause between them: a reader that takes those of all streams has room for only two messages
(the high water mark), and would miss the rest of a burst every time.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream.core.clock import NS_PER_S
from stream.publisher.subscriptions import Subscriptions, matches
from stream.wire.message import topic_bytes

PAUSE_NS = NS_PER_S // 100
STATUS_EVERY_NS = NS_PER_S


class InfoStatusQueue:
    """A queue without doubles, of what somebody wants; its clock is in monotonic nanoseconds.

    Its owner's lock guards it.
    """

    def __init__(self, readers: Subscriptions, now_ns: int) -> None:
        self._readers = readers
        self._infos: dict[str, bytes] = {}
        self._owed: dict[str, None] = {}
        self._next_ns = self._status_ns = now_ns

    def declare(self, topic: str, message: bytes) -> None:
        """What info/<stream> says from now on; owed to its readers if it is new."""
        if self._infos.get(topic) != message:
            self._infos[topic] = message
            self._owe([topic])

    def info(self, topic: str) -> bytes | None:
        """The message of info/<stream>; None for other topics."""
        return self._infos.get(topic)

    def new_reader(self, prefix: bytes) -> None:
        """Somebody subscribed: owed what they missed."""
        self._owe(topic for topic in self._infos if matches(prefix, topic_bytes(topic)))

    def next(self, streams: Iterable[str], now_ns: int) -> str | None:
        """The topic to send now; the status of all ``streams`` is owed once a second."""
        if now_ns >= self._status_ns:
            behind = now_ns - self._status_ns > STATUS_EVERY_NS  # a suspended machine: no burst to catch up
            self._status_ns = (now_ns if behind else self._status_ns) + STATUS_EVERY_NS
            self._owe(f"status/{stream}" for stream in streams)
        if not self._owed or now_ns < self._next_ns:
            return None
        topic = next(iter(self._owed))
        del self._owed[topic]
        self._next_ns = now_ns + PAUSE_NS
        return topic

    def wait_s(self, now_ns: int) -> float:
        """How long there is nothing to do, unless more is owed."""
        until_ns = min(self._status_ns, self._next_ns) if self._owed else self._status_ns
        return max(0.0, (until_ns - now_ns) / NS_PER_S)

    @property
    def is_waiting(self) -> bool:
        """Whether anything is owed."""
        return bool(self._owed)

    def _owe(self, topics: Iterable[str]) -> None:
        self._owed.update((topic, None) for topic in topics if self._readers.want(topic_bytes(topic)))
