"""What a robot reads depth with: the newest frame if it is young enough, or an error that says why there is none."""

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

LARGEST_MESSAGE = 65 << 20
"""Bytes: 4096 x 4096 pixels of float32."""
LOOK_AGAIN_S = 0.25
"""While it waits, so that it knows of a first frame how long it has been here at most; and to mend the connection."""


class ReaderClosed(StaleFrame):
    """``close`` was called; no frame will come any more."""


class Subscriber:
    """Reads one stream of one publisher, and comes back by itself when either was away.

    One thread uses it; ``close`` may be called from any, also from a signal handler. With ``latest`` only the newest
    message is kept for the reader; without, a thread takes each one as it comes, and the newest eight are. Any time may
    pass between two calls.
    ``topic``: depth as it is published, as the network said it (raw), or painted (preview).
    Construction connects and raises UsageError for an endpoint or a name that cannot be one; a publisher that is not
    there yet is no error. Reading raises SourceError if that thread can receive no more.
    """

    def __init__(
        self,
        endpoint: str,
        stream: str,
        *,
        topic: Literal["depth", "raw", "preview"] = "depth",
        latest: bool = True,
        keys: ClientKeys | None = None,
        max_bytes: int = LARGEST_MESSAGE,
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
        self._woken, self._waker = socket.socketpair()
        self._poller = zmq.Poller()
        for waiting in self.sockets:
            self._poller.register(waiting, zmq.POLLIN)

    def read_latest(self, max_age_ms: float) -> Message:
        """The newest frame, if it is at most ``max_age_ms`` old at this moment; also one that was read before.

        Else it waits for such a frame, at most ``max_age_ms``, and then raises StaleFrame: stop what relies on depth.
        """
        if not 0 < max_age_ms < math.inf:
            raise UsageError(f"max_age_ms = {max_age_ms}: give the milliseconds that your robot can go without depth")
        with self._using():
            deadline = Deadline.after(max_age_ms / 1000, self._mono_ns)
            while True:
                newest = self._inbox.collect_newest()
                if newest and self._inbox.age_ms(newest) <= max_age_ms:
                    self._inbox.unread.clear()
                    return newest
                self._wait(deadline, f"no frame of at most {max_age_ms:g} ms")

    def read(self, timeout_s: float) -> Message:
        """The next frame that was not read before, however old; raises StaleFrame when none comes in time."""
        with self._using():
            deadline = Deadline.after(timeout_s, self._mono_ns)
            while True:
                self._inbox.collect()
                if self._inbox.unread:
                    return self._inbox.unread.popleft()
                self._wait(deadline, f"no frame in {timeout_s:g} s")

    def __iter__(self) -> Iterator[Message]:
        """Frame after frame, however long it takes, until ``close``."""
        while not self._closing.is_set():
            try:
                yield self.read(1.0)
            except ReaderClosed:
                return
            except StaleFrame:
                continue

    def age_ms(self, message: Message) -> float:
        """How old a message just read is now, milliseconds since capture; see stream.client.age."""
        return self._inbox.age_ms(message)

    @property
    def sockets(self) -> Sequence[Any]:
        """One becomes readable, in the terms of ``zmq.Poller``, when there may be something to read or to know."""
        return self._inbox.frames, *self._inbox.others, self._woken

    @property
    def health(self) -> ReaderHealth:
        """How the stream is now; waits for nothing, and nothing that was not read yet is lost by it."""
        with self._using():
            self._inbox.look_around()
            self._inbox.collect()
            return self._inbox.health()

    def close(self) -> None:
        """End it, and a ``read`` or an iteration that another thread is in. The second call does nothing."""
        self._closing.set()
        try:
            self._waker.send(b"\0")
        except OSError:
            return  # closed already
        self._close_if_unused()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @contextmanager
    def _using(self) -> Iterator[None]:
        """ZeroMQ's sockets belong to one thread at a time; if it uses them when ``close`` is called, it closes them."""
        if not self._in_use.acquire(blocking=False):
            raise UsageError(f"{self.topic} is read by two threads; give each its own Subscriber")
        try:
            self._check_open()
            yield
        finally:
            self._in_use.release()
            if self._closing.is_set():
                self._close_if_unused()

    def _close_if_unused(self) -> None:
        if not self._in_use.acquire(blocking=False):
            return
        try:
            self._inbox.close()
            self._woken.close()
            self._waker.close()
        finally:
            self._in_use.release()

    def _wait(self, deadline: Deadline, what: str) -> None:
        """Until something comes in. Raises StaleFrame if it is too late, ReaderClosed."""
        if deadline.passed:
            self._inbox.look_around()
            raise StaleFrame(why_stale(f"{self.topic} at {self.endpoint}: {what}", self._inbox.health()))
        ready = self._poller.poll(math.ceil(min(deadline.left_s, LOOK_AGAIN_S) * 1000))
        if any(socket != self._inbox.frames for socket, _ in ready):
            self._inbox.look_around()
        self._check_open()

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise ReaderClosed(f"{self.topic} at {self.endpoint}: this reader was closed; make a new one")
