"""What readers asked for, so that nothing is packed, painted or compressed for nobody."""

from __future__ import annotations

from collections import Counter

SUBSCRIBE, UNSUBSCRIBE = 1, 0
"""First byte of what an XPUB socket receives; the prefix follows (zmq_setsockopt(3), ZMQ_XPUB_VERBOSER)."""
LONGEST = 64
"""Bytes of a prefix that are compared: a message begins with its topic in so many bytes."""


class Subscriptions:
    """The prefixes that readers want, and how many of them want each.

    Fed with every message of an XPUB socket on which XPUB_VERBOSER is set: each subscription and each end of one, also
    of readers that vanish, comes up separately. Its owner's lock guards it.
    """

    def __init__(self) -> None:
        self._prefixes: Counter[bytes] = Counter()

    def feed(self, message: bytes) -> bytes | None:
        """The prefix if ``message`` is a new subscription; None if one ended, or if it is neither (readers may send
        anything)."""
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
        """Whether anybody gets messages that begin with ``topic``, 64 bytes."""
        return any(matches(prefix, topic) for prefix in self._prefixes)

    def count(self, family: bytes) -> int:
        """Subscriptions to all or some topics of a family, ``b"depth/"``, say."""
        return sum(n for prefix, n in self._prefixes.items() if matches(prefix[: len(family)], family))


def matches(prefix: bytes, topic: bytes) -> bool:
    """Whether a subscription to ``prefix`` gets what begins with ``topic``. Beyond the topic ZeroMQ decides alone."""
    return topic.startswith(prefix[:LONGEST])
