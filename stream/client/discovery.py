"""Lists the streams of a publisher by listening to their info and status messages."""

from __future__ import annotations

import time
from collections.abc import Callable

from stream.client.client_keys import ClientKeys
from stream.client.link import Link
from stream.client.stale import link_trouble
from stream.core.clock import Deadline
from stream.core.log import redact
from stream.errors import StaleFrame, WireError
from stream.wire.json_topics import LARGEST_JSON_BYTES, parse_json

PREFIXES = (b"info/", b"status/")
SETTLE_S = 1.3
"""Info comes at once, the status of each stream once a second."""
MAX_MESSAGES_PER_ROUND = 100
"""Bounds one round of reading, so that a sender without pauses cannot keep us past the deadline."""


def find_streams(
    endpoint: str,
    *,
    keys: ClientKeys | None = None,
    patience_s: float = 5.0,
    while_waiting: Callable[[str], None] = lambda trouble: None,
) -> list[str]:
    """Names of the streams that announce themselves within 1.3 s after the first one, sorted.

    Until then ``while_waiting`` is called again and again with the reason for the wait. Raises UsageError for an
    invalid endpoint, and StaleFrame if no stream announces itself for ``patience_s``.
    """
    import zmq

    context = zmq.Context()
    try:
        size, mono_ns = 2 * LARGEST_JSON_BYTES, time.monotonic_ns
        # Not ``latest``: CONFLATE would keep a single message of all streams together.
        link = Link(context, endpoint, PREFIXES, keys=keys, max_bytes=size, latest=False, mono_ns=mono_ns)
        streams = set[str]()
        deadline = Deadline.after(patience_s)
        while not deadline.passed:
            link.socket.poll(min(deadline.left_s, 0.25) * 1000)
            link.check_connection()
            if announced := _announced_streams(link):
                # Only the first answer sets the deadline; if each did, a busy publisher would never let it pass.
                deadline = deadline if streams else Deadline.after(SETTLE_S)
                streams |= announced
            elif not streams:
                while_waiting(_trouble(link))
        if not streams:
            raise StaleFrame(f"no stream was heard of at {redact(endpoint)} in {patience_s:g} s; {_trouble(link)}")
        return sorted(streams)
    finally:
        context.destroy(0)


def _announced_streams(link: Link) -> set[str]:
    streams = set[str]()
    for _ in range(MAX_MESSAGES_PER_ROUND):
        raw = link.receive()
        if raw is None:
            break
        try:
            topic, data = parse_json(raw)
        except WireError:
            continue
        if data.get("camera") != "removed":
            streams.add(topic.partition("/")[2])
    return streams - {""}


def _trouble(link: Link) -> str:
    return link_trouble(link.state) or "connected, but no stream is announced: does it publish anything yet?"
