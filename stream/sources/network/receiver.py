"""Reads a camera in a thread of its own, so that a slow decoder never delays the reading and every arrival is dated.

The queue between the two threads is bounded in time: when the decoder is behind and a key frame arrives, everything
before the key frame is skipped.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic_ns
from typing import NamedTuple

from stream.core.clock import NS_PER_S, Deadline, slept_ns
from stream.errors import SourceBehind
from stream.sources.network.access_unit import AccessUnit, CameraReport, Reader
from stream.sources.network.source_clock import SourceClock
from stream.sources.network.url import CameraUrl

SKIP_AFTER_S = 0.5
"""A queue whose oldest access unit has waited longer is skipped up to the newest key frame."""
MAX_BYTES = 64 << 20
MAX_UNITS = 2000
"""Bounds of the queue if no key frame comes; beyond them it is emptied, and decoding resumes at the next key frame."""
BEHIND_FOR_S = 1.0
"""Images that arrive older than ``behind_s`` for so long come through a queue that only a new connection ends."""
STOOD_STILL_S = 0.5
"""Data that waited longer than this in the socket: this process was stopped or starved."""
CATCHING_UP_S = 0.01
SETTLED_S = 3.0
"""Not in the first seconds of a connection: a clock of a wrong rate may not have been found out yet."""
SLEPT_S = 0.5
"""A longer sleep of the machine makes everything that was under way too old."""
JOIN_S = 1.0
"""The thread may end later than this when FFmpeg waits for data; it then closes the connection by itself."""


class Received(NamedTuple):
    """One access unit and the latest moment at which it can have been captured."""

    unit: AccessUnit
    captured_ns: int
    """CLOCK_MONOTONIC, nanoseconds."""
    skipped: int
    """Number of access units that were skipped right before this one, because the decoder was behind."""


class Receiver:
    """The reading thread of one connection and its queue; it closes ``reader`` at the end."""

    def __init__(self, reader: Reader, url: CameraUrl, name: str, behind_s: float) -> None:
        self._reader, self._url = reader, url
        self.clock = SourceClock(reader.time_line)
        self._condition = threading.Condition()
        self._queue: deque[Received] = deque()
        self._queued_bytes = self._skipped = 0
        self._needs_key_frame = False
        self._ended = self._closing = False
        self._error: Exception | None = None
        self._behind_since_ns: int | None = None
        self._began_ns = 0
        # A daemon, because FFmpeg may wait for data for longer than ``close`` waits for this thread.
        self._thread = threading.Thread(target=self._run, name=f"receive.{name}", daemon=True)
        self._behind_ns, self._stood_still_ns = round(behind_s * NS_PER_S), 0
        self._is_paced_by_us = reader.is_recording
        self._slept_ns = slept_ns()

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End the reading and close the connection; also if it was never started."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        if self._thread.ident is None:
            self._reader.close()
            return
        self._reader.interrupt()
        self._thread.join(JOIN_S)
        # Its traceback refers to this object: a cycle that would keep the decoder's memory until the next collection.
        self._error = None

    def next(self, timeout_s: float, stopping: threading.Event) -> Received | None:
        """The next access unit; None at the end of the stream or when ``stopping`` is set.

        Raises TimeoutError when none came in time, and the error that ended the connection after the last access unit.
        """
        deadline = Deadline.after(timeout_s)
        with self._condition:
            self._check_sleep()
            while not self._queue:
                if self._error is not None:
                    raise self._error
                if self._ended or stopping.is_set():
                    return None
                if deadline.passed:
                    raise TimeoutError
                self._condition.wait(min(deadline.left_s, 0.1))  # ``stopping`` cannot wake it
            received = self._queue.popleft()
            self._queued_bytes -= len(received.unit.data)
            self._condition.notify_all()
            return received

    def is_late(self, received: Received, limit_s: float) -> bool:
        """Whether a newer access unit waits already, and this one has been here for longer than ``limit_s``."""
        if self._waited_ns(received) <= limit_s * NS_PER_S:
            return False
        with self._condition:
            if not self._queue:
                # A backlog is read within this time; the next image of a slow link comes later.
                self._condition.wait(CATCHING_UP_S)
            return bool(self._queue)

    def _run(self) -> None:
        try:
            self._receive()
        except Exception as error:  # noqa: BLE001  # raised again by ``next``; what is not ours ends the pipeline
            with self._condition:
                self._error = error
                if isinstance(error, SourceBehind):
                    self._queue.clear()  # it is what is too old
        finally:
            try:
                self._reader.close()
            finally:
                with self._condition:
                    self._ended = True
                    self._condition.notify_all()

    def _receive(self) -> None:
        for item in self._reader.items():
            if self._closing:
                return
            if isinstance(item, CameraReport):
                self.clock.report(item)
                continue
            self._check_sleep()
            captured_ns = self.clock.captured_ns(item)
            self._check_behind(item.first_ns, captured_ns)
            self._put(item, captured_ns)

    def _put(self, unit: AccessUnit, captured_ns: int) -> None:
        with self._condition:
            if self._is_paced_by_us:
                while len(self._queue) >= 2 and not self._closing:
                    self._condition.wait()
            elif self._queue:
                self._bound(unit)
            if self._needs_key_frame and not unit.keyframe:
                self._skipped += 1
                return
            self._needs_key_frame = False
            self._queue.append(Received(unit, captured_ns, self._skipped))
            self._queued_bytes += len(unit.data)
            self._skipped = 0
            self._condition.notify_all()

    def _bound(self, unit: AccessUnit) -> None:
        """Skip what waits if it is old and ``unit`` can be decoded without it, or if it is too much."""
        is_old = self._waited_ns(self._queue[0]) > SKIP_AFTER_S * NS_PER_S
        is_full = self._queued_bytes + len(unit.data) > MAX_BYTES or len(self._queue) >= MAX_UNITS
        if (unit.keyframe and is_old) or is_full:
            self._skipped += len(self._queue) + sum(received.skipped for received in self._queue)
            self._queue.clear()
            self._queued_bytes = 0
            self._needs_key_frame = True

    def _waited_ns(self, received: Received) -> int:
        """Time since the image could have been decoded. With media times that is its age."""
        since_ns = received.unit.complete_ns
        if self._reader.time_line in ("rtp", "container"):
            since_ns = min(since_ns, received.captured_ns)
        return monotonic_ns() - since_ns

    def _check_behind(self, first_ns: int, captured_ns: int) -> None:
        """Raise SourceBehind when every image of the last second was too old on arrival."""
        self._stood_still_ns = max(self._stood_still_ns, monotonic_ns() - first_ns)
        self._began_ns = self._began_ns or first_ns
        if self._reader.time_line == "segments" or first_ns - captured_ns < self._behind_ns:
            self._behind_since_ns, self._stood_still_ns = None, 0
            return
        if self._behind_since_ns is None:
            self._behind_since_ns = first_ns
        is_settled = first_ns - self._began_ns >= SETTLED_S * NS_PER_S
        if is_settled and first_ns - self._behind_since_ns >= BEHIND_FOR_S * NS_PER_S:
            age_s = (first_ns - captured_ns) / NS_PER_S
            if self._stood_still_ns > STOOD_STILL_S * NS_PER_S:
                stood_s = self._stood_still_ns / NS_PER_S
                why = f"this process did not run for {stood_s:.1f} s, and images wait at the camera"
                raise SourceBehind(f"{self._url.label}: {why}; connecting again for the newest one")
            raise SourceBehind(
                f"{self._url.label}: images arrive {age_s:.1f} s late: the link or a proxy is slower than the stream; "
                "connecting again for the newest one. Lower the camera's bit rate if this repeats"
            )

    def _check_sleep(self) -> None:
        slept_s = (slept_ns() - self._slept_ns) / NS_PER_S
        if slept_s > SLEPT_S:
            slept = f"this machine slept for {slept_s:.1f} s"
            raise SourceBehind(f"{self._url.label}: {slept}; connecting again for the newest image")
