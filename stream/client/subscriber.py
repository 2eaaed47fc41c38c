"""Subscriber for robots: returns the newest frame if it is fresh enough, else raises an error with the reason."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Self

from stream.client.age import boottime_ns
from stream.client.client_keys import ClientKeys
from stream.client.health import ReaderHealth
from stream.client.inbox import Inbox
from stream.client.stale import why_stale
from stream.core.clock import Deadline, NowNs
from stream.core.log import redact
from stream.errors import StaleFrame, UsageError, WireError
from stream.wire.message import Message

MAX_MESSAGE_BYTES = 65 << 20
"""Enough for 4096 x 4096 pixels of float32."""
POLL_S = 0.25
"""Longest single wait: it bounds how long a first frame may have lain unread, and how late a connection is mended."""


class ReaderClosed(StaleFrame):
    """Raised by a read after ``close``; no frame will come any more."""


class Subscriber:
    """Reads one stream of one publisher; it reconnects by itself when either side was away.

    One thread uses it; ``close`` may be called from any thread, also from a signal handler. Any time may pass between
    two calls. With ``latest`` only the newest message is kept; without, a background thread takes each message as it
    arrives and keeps the newest eight. ``topic`` selects depth as published, the network's own values (raw), or the
    JPEG image (preview).

    Construction connects and raises UsageError for an invalid endpoint or stream name; a publisher that does not run
    yet is no error. Reading raises SourceError if the background thread has failed.
    """

    def __init__(
        self,
        endpoint: str,
        stream: str,
        *,
        topic: Literal["depth", "raw", "preview"] = "depth",
        latest: bool = True,
        keys: ClientKeys | None = None,
        max_bytes: int = MAX_MESSAGE_BYTES,
        mono_ns: NowNs = boottime_ns,
        unix_ns: NowNs = time.time_ns,
    ) -> None:
        import zmq

        self.endpoint, self.topic = redact(endpoint), f"{topic}/{stream}"
        self._mono_ns = mono_ns
        self._closing, self._in_use = threading.Event(), threading.Lock()
        try:
            self._inbox = Inbox(
                endpoint,
                self.topic,
                latest=latest,
                keys=keys,
                max_bytes=max_bytes,
                mono_ns=mono_ns,
                unix_ns=unix_ns,
            )
        except WireError as error:
            raise UsageError(f'"{stream}" cannot be the name of a stream: {error}') from error
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._poller = zmq.Poller()
        for readable in self.sockets:
            self._poller.register(readable, zmq.POLLIN)

    def read_latest(self, max_age_ms: float) -> Message:
        """The newest frame, if it is at most ``max_age_ms`` old at this moment, even if it was read before.

        Otherwise it waits up to ``max_age_ms`` for such a frame and then raises StaleFrame: stop everything that relies
        on depth.
        """
        if not 0 < max_age_ms < math.inf:
            raise UsageError(f"max_age_ms = {max_age_ms}: give the milliseconds that your robot can go without depth")
        with self._using():
            deadline = Deadline.after(max_age_ms / 1000, self._mono_ns)
            while True:
                newest = self._inbox.collect_newest()
                if newest and self._inbox.age_ms(newest) <= max_age_ms:
                    # This frame and all before it count as read, so ``read`` must not give one of them again.
                    self._inbox.unread.clear()
                    return newest
                self._wait(deadline, f"no frame of at most {max_age_ms:g} ms")

    def read(self, timeout_s: float) -> Message:
        """The next frame that was not read before, however old; raises StaleFrame if none comes in time."""
        with self._using():
            deadline = Deadline.after(timeout_s, self._mono_ns)
            while True:
                self._inbox.collect()
                if self._inbox.unread:
                    return self._inbox.unread.popleft()
                self._wait(deadline, f"no frame in {timeout_s:g} s")

    def __iter__(self) -> Iterator[Message]:
        """Yield frame after frame, waiting as long as it takes, until ``close``."""
        while not self._closing.is_set():
            try:
                yield self.read(1.0)
            except ReaderClosed:
                return
            except StaleFrame:
                continue

    def age_ms(self, message: Message) -> float:
        """Age of a message just read: milliseconds from its capture until now; see stream.client.age."""
        return self._inbox.age_ms(message)

    @property
    def sockets(self) -> Sequence[Any]:
        """Sockets for ``zmq.Poller``; one becomes readable when there may be a frame, or news about the stream."""
        return self._inbox.frames, *self._inbox.others, self._wake_reader

    @property
    def health(self) -> ReaderHealth:
        """The stream's health now. It does not wait, and no unread frame is lost."""
        with self._using():
            self._inbox.service()
            self._inbox.collect()
            return self._inbox.health()

    def close(self) -> None:
        """Close the sockets and end a ``read`` or an iteration of another thread. Idempotent."""
        # Set before the lock is tried: a thread that holds it looks at this only after its release.
        self._closing.set()
        try:
            self._wake_writer.send(b"\0")
        except OSError:
            return  # closed already
        self._close_if_unused()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        """Claim the sockets for this thread, since ZeroMQ allows one thread at a time.

        If ``close`` is called meanwhile, the sockets are closed here, on the way out.
        """
        if not self._in_use.acquire(blocking=False):
            raise UsageError(f"{self.topic} is read by two threads; give each its own Subscriber")
        try:
            self._check_open()
            yield
        finally:
            self._in_use.release()
            # After the release, or a ``close`` in between would find the lock taken and neither would close anything.
            if self._closing.is_set():
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._in_use.acquire(blocking=False):
            return
        try:
            self._inbox.close()
            self._wake_reader.close()
            self._wake_writer.close()
        finally:
            self._in_use.release()

    def _wait(self, deadline: Deadline, complaint: str) -> None:
        """Wait for a message. Raises StaleFrame if the deadline has passed, ReaderClosed after ``close``."""
        if deadline.passed:
            # The error quotes the status and the connection, so their news are read first.
            self._inbox.service()
            raise StaleFrame(why_stale(f"{self.topic} at {self.endpoint}: {complaint}", self._inbox.health()))
        # Rounded up, because a poll of 0 ms would spin through the last millisecond.
        ready = self._poller.poll(math.ceil(min(deadline.left_s, POLL_S) * 1000))
        if any(socket != self._inbox.frames for socket, _ in ready):
            self._inbox.service()
        self._check_open()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise ReaderClosed(f"{self.topic} at {self.endpoint}: this reader was closed; make a new one")
