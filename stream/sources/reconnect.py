"""Keeps a live camera going: opens it when it is reachable, and retries for ever when it is not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from random import Random
from time import monotonic_ns
from typing import Protocol, Self

from stream.core.clock import NS_PER_S, NowNs
from stream.core.log import one_line
from stream.core.memory import release_free_memory
from stream.errors import AccessDenied, SourceBehind, SourceError
from stream.frames import Dropped, Frame
from stream.runtime.stats import CameraState
from stream.sources.backoff import DEFAULT_DELAYS, JITTER, Backoff, BackoffDelays
from stream.sources.base import closing_frames
from stream.sources.health import Health

log = logging.getLogger(__name__)

HEALTHY_NS = 60 * NS_PER_S
"""The back-off is reset after this much time with images, so a camera that breaks off at once is still backed off."""
WORTHWHILE_NS = 5 * NS_PER_S
"""A camera that was live for this long before it fell behind is connected again without a delay."""
POLL_S = 0.05
"""How often ``stopping`` is checked while a source is being opened: a thread cannot wait for two events at once."""


class LiveSource(Protocol):
    """A ``stream.sources.base.Source`` that may yield Dropped instead of a Frame and keeps its decoder's last lines."""

    @property
    def log_lines(self) -> tuple[str, ...]: ...

    @property
    def clock_fault(self) -> str:
        """Why ages do not come from the camera's clock: a few words after "its clock"; empty if they do."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]: ...

    def describe(self) -> str: ...


class Reconnecting:
    """Opens the source that ``open_`` makes, passes its frames on, and opens another one after a SourceError.

    ``with`` opens nothing, so a camera may be absent at the start. Each connection is read and closed by the thread
    that reads ``frames``, and opened by a thread of its own, so that stopping does not wait for the opening. ``seq``
    continues across connections: together with ``health.name`` it identifies a frame. Any error but a SourceError is
    raised, because waiting cannot cure it.
    """

    def __init__(
        self,
        open_: Callable[[], LiveSource],
        health: Health,
        *,
        delays: BackoffDelays = DEFAULT_DELAYS,
        jitter: float = JITTER,
        rng: Random | None = None,
        now_ns: NowNs = monotonic_ns,
    ) -> None:
        self._open, self._health, self._now_ns = open_, health, now_ns
        self._backoff = Backoff(delays, jitter, rng or Random())
        self._state_log = _StateLog(health.name)
        self._about = ""
        self._next_seq, self._reached_end = 0, False
        self._log_lines: tuple[str, ...] = ()
        self._clock_fault = ""
        self._live_ns: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object = None, error: BaseException | None = None, tb: object = None) -> None:
        if error is not None or self._reached_end:
            self._health.over(error)
        else:
            self._health.stopped()

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        """Frames until ``stopping`` is set (which also ends a delay at once) or a recording ends without an error."""
        self._state_log.begin(self._now_ns())
        while not stopping.is_set():
            try:
                yield from self._connection(stopping)
                self._reached_end = not stopping.is_set()
                return
            except SourceError as error:
                # An error while stopping is the end, not a loss: the health record keeps the last state.
                if not stopping.is_set():
                    delay_s = self._lost(error)
                    release_free_memory()
                    stopping.wait(delay_s)

    def describe(self) -> str:
        """The camera's own description; before it was opened, the one from its settings."""
        if not self._about:
            self._about = one_line(self._open().describe())
        return self._about

    def _connection(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        self._log_lines, self._clock_fault, self._live_ns = (), "", None
        self._health.connecting()
        source = self._open()
        self._update_about(source)
        try:
            with opened_in_thread(source, stopping, f"opening.{self._health.name}") as is_open:
                if is_open:
                    with closing_frames(source.frames(stopping)) as items:
                        yield from self._recorded(source, items)
        finally:
            # Kept for ``_lost``, which runs when this try's source is gone.
            self._log_lines = source.log_lines

    def _recorded(self, source: LiveSource, items: Iterator[Frame | Dropped]) -> Iterator[Frame | Dropped]:
        """``items`` with continued numbers; the first one makes the camera live."""
        first_seq, first_ns = self._next_seq, None
        for item in items:
            now = self._now_ns()
            if first_ns is None:
                first_ns = now
                self._live(source, now)
            self._note_clock(source)
            if now - first_ns >= HEALTHY_NS:
                self._backoff.reset()
            renumbered = _numbered_from(first_seq, item)
            self._next_seq = max([self._next_seq, *(frame.seq + 1 for frame in renumbered.frames)])
            yield renumbered

    def _live(self, source: LiveSource, now: int) -> None:
        # Again, because most sources know their size and rate only once they are open.
        self._update_about(source)
        self._live_ns = now
        self._health.live()
        self._state_log.live(now)

    def _note_clock(self, source: LiveSource) -> None:
        if source.clock_fault != self._clock_fault:
            self._clock_fault = source.clock_fault
            self._health.set_clock_fault(self._clock_fault)
            if self._clock_fault:
                what = f"its clock {self._clock_fault}: ages count from the arrival"
                log.warning("camera %s: %s", self._health.name, what)

    def _lost(self, error: SourceError) -> float:
        """Record the error; returns the delay before the next try, seconds."""
        delay_s = self._delay_s(error)
        self._health.lost(error, self._log_lines)
        self._state_log.lost(error, delay_s, self._now_ns())
        return delay_s

    def _delay_s(self, error: SourceError) -> float:
        # A camera that is behind is well; but if it is behind again at once, a new connection does not help.
        live_ns = self._now_ns() - self._live_ns if self._live_ns is not None else 0
        if isinstance(error, SourceBehind) and live_ns >= WORTHWHILE_NS:
            return 0.0
        return self._backoff.next_delay_s(refused=isinstance(error, AccessDenied))

    def _update_about(self, source: LiveSource) -> None:
        self._about = one_line(source.describe())
        self._health.set_about(self._about)


class _StateLog:
    """Logs one warning per change of the camera's state, however many tries lie in between."""

    def __init__(self, name: str) -> None:
        self._name, self._since_ns, self._was_live, self._is_behind = name, 0, False, False
        self._state: CameraState = "connecting"

    def begin(self, now_ns: int) -> None:
        self._state, self._since_ns = "connecting", now_ns

    def live(self, now_ns: int) -> None:
        offline = _seconds((now_ns - self._since_ns) / NS_PER_S)
        if self._state == "connecting":
            log.info("camera %s: live after %s", self._name, offline)
        else:
            level = logging.DEBUG if self._is_behind else logging.WARNING
            log.log(level, "camera %s: %s after %s", self._name, "back" if self._was_live else "available", offline)
        self._state, self._was_live = "live", True

    def lost(self, error: SourceError, delay_s: float, now_ns: int) -> None:
        state: CameraState = "refused" if isinstance(error, AccessDenied) else "waiting"
        # A link that is always too slow falls behind several times a minute: once is enough to know.
        is_known = self._state == state or (self._is_behind and isinstance(error, SourceBehind))
        self._is_behind = isinstance(error, SourceBehind)
        word = "refused" if state == "refused" else "lost" if self._state == "live" else "not available"
        if self._state == "live":
            self._since_ns = now_ns
        level = logging.DEBUG if is_known else logging.WARNING
        line = f"camera {self._name}: {word} ({one_line(str(error))}), trying again in {_seconds(delay_s)}"
        log.log(level, "%s", line)
        self._state = state


@contextmanager
def opened_in_thread(source: AbstractContextManager[object], stopping: threading.Event, name: str) -> Iterator[bool]:
    """``with source``, entered by a thread called ``name``; yields False, not open, if ``stopping`` is set first.

    The abandoned thread then finishes the opening, closes the source and ends. Raises whatever the opening raises.
    """
    opening = _Opening(source)
    # A daemon, because opening a mute camera may outlive the pipeline by open_s (docs/why/decisions/0006).
    threading.Thread(target=opening.run, name=name, daemon=True).start()
    if not opening.wait(stopping):
        yield False
        return
    with ExitStack() as stack:
        # Not ``enter_context``: the thread has entered the source.
        stack.push(source.__exit__)
        yield True


class _Opening:
    """Shared by the opening and the waiting thread: exactly one of them closes the source."""

    def __init__(self, source: AbstractContextManager[object]) -> None:
        self._source = source
        self._lock, self._done = threading.Lock(), threading.Event()
        self._abandoned = False
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._source.__enter__()
        except Exception as error:  # noqa: BLE001  # raised again by the waiting thread, unless that has left
            self._error = error
        with self._lock:
            self._done.set()
            must_close = self._abandoned and self._error is None
        if must_close:
            self._source.__exit__(None, None, None)

    def wait(self, stopping: threading.Event) -> bool:
        """True once the source is open, False if ``stopping`` came first. Raises the error of the opening."""
        while not self._done.wait(POLL_S):
            # ``_abandon`` fails if the opening has ended meanwhile: then closing is up to this thread.
            if stopping.is_set() and self._abandon():
                return False
        error, self._error = self._error, None
        if error is None:
            return True
        try:
            raise error
        finally:
            del error  # a frame of its own traceback would refer to it: a cycle that keeps the source's memory

    def _abandon(self) -> bool:
        with self._lock:
            self._abandoned = not self._done.is_set()
            return self._abandoned


def _numbered_from(first_seq: int, item: Frame | Dropped) -> Frame | Dropped:
    if isinstance(item, Frame):
        return replace(item, seq=first_seq + item.seq)
    return replace(item, frames=tuple(replace(frame, seq=first_seq + frame.seq) for frame in item.frames))


def _seconds(seconds: float) -> str:
    return f"{round(seconds, 1 if seconds < 10 else 0):g} s"
