"""Deduplicated queue of pending info/ and status/ messages.

They leave one by one with a pause between them: a reader that subscribed to those of all streams has room for only two
messages (the high water mark), and would miss the rest of a burst every time.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream.core.clock import NS_PER_S
from stream.publisher.subscriptions import Subscriptions, matches
from stream.wire.message import topic_bytes

PAUSE_NS = NS_PER_S // 100
STATUS_EVERY_NS = NS_PER_S


class InfoStatusQueue:
    """Topics to send, each at most once and only while it has a subscriber; its clock is in monotonic nanoseconds.

    The publisher's lock guards it.
    """

    def __init__(self, subscriptions: Subscriptions, now_ns: int) -> None:
        self._subscriptions = subscriptions
        self._infos: dict[str, bytes] = {}
        # A dict and not a set, because it keeps the order in which topics were added.
        self._pending: dict[str, None] = {}
        self._next_ns = self._status_ns = now_ns

    def declare(self, topic: str, message: bytes) -> None:
        """Set the message of info/<stream>; it becomes pending if it differs from the last one."""
        if self._infos.get(topic) != message:
            self._infos[topic] = message
            self._add([topic])

    def withdraw(self, topic: str) -> None:
        """Forget the message of info/<stream>: new readers get none."""
        self._infos.pop(topic, None)
        self._pending.pop(topic, None)

    def info(self, topic: str) -> bytes | None:
        """The message of info/<stream>; None for other topics."""
        return self._infos.get(topic)

    def new_reader(self, prefix: bytes) -> None:
        """Make the info messages that match a new subscription pending."""
        self._add(topic for topic in self._infos if matches(prefix, topic_bytes(topic)))

    def next(self, streams: Iterable[str], now_ns: int) -> str | None:
        """Remove and return the topic to send now; once a second the status of all ``streams`` becomes pending."""
        if now_ns >= self._status_ns:
            behind = now_ns - self._status_ns > STATUS_EVERY_NS  # a suspended machine: no burst to catch up
            self._status_ns = (now_ns if behind else self._status_ns) + STATUS_EVERY_NS
            self._add(f"status/{stream}" for stream in streams)
        if not self._pending or now_ns < self._next_ns:
            return None
        topic = next(iter(self._pending))
        del self._pending[topic]
        self._next_ns = now_ns + PAUSE_NS
        return topic

    def wait_s(self, now_ns: int) -> float:
        """Seconds until ``next`` has work to do, unless something is added before."""
        until_ns = min(self._status_ns, self._next_ns) if self._pending else self._status_ns
        return max(0.0, (until_ns - now_ns) / NS_PER_S)

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    def _add(self, topics: Iterable[str]) -> None:
        self._pending.update((topic, None) for topic in topics if self._subscriptions.want(topic_bytes(topic)))
