"""Counts the subscriptions of all readers, so that nothing is packed, painted or compressed without a reader."""

from __future__ import annotations

from collections import Counter

SUBSCRIBE, UNSUBSCRIBE = 1, 0
"""First byte of a message that an XPUB socket receives; the prefix follows (zmq_setsockopt(3), ZMQ_XPUB_VERBOSER)."""
COMPARED_BYTES = 64
"""Only this much of a prefix is compared with a topic: every message begins with its topic in 64 bytes."""


class Subscriptions:
    """The prefixes that readers subscribed to, and how many of them subscribed to each.

    Feed it every message of an XPUB socket on which XPUB_VERBOSER is set: each subscription and each end of one, also
    of readers that vanish, arrives separately. The publisher's lock guards it.
    """

    def __init__(self) -> None:
        self._prefixes: Counter[bytes] = Counter()

    def feed(self, message: bytes) -> bytes | None:
        """Return the prefix if ``message`` is a new subscription.

        Returns None for the end of a subscription, and for anything else (readers may send arbitrary bytes).
        """
        if not message or message[0] not in (SUBSCRIBE, UNSUBSCRIBE):
            return None
        prefix = message[1:]
        if message[0] == SUBSCRIBE:
            self._prefixes[prefix] += 1
            return prefix
        self._prefixes[prefix] -= 1
        if self._prefixes[prefix] <= 0:
            del self._prefixes[prefix]
        return None

    def want(self, topic: bytes) -> bool:
        """True if a reader gets messages that begin with ``topic`` (64 bytes)."""
        return any(matches(prefix, topic) for prefix in self._prefixes)

    def count(self, family: bytes) -> int:
        """Number of subscriptions to all or some topics of a family such as ``b"depth/"``."""
        return sum(n for prefix, n in self._prefixes.items() if matches(prefix[: len(family)], family))


def matches(prefix: bytes, topic: bytes) -> bool:
    """True if a subscription to ``prefix`` gets messages of ``topic``; ZeroMQ compares any bytes beyond the topic."""
    return topic.startswith(prefix[:COMPARED_BYTES])
