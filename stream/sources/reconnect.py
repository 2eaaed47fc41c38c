"""A live camera that is kept going: opened when it is there, waited for when it is not, for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from random import Random
from time import monotonic_ns
from typing import Protocol, Self, TypeVar

from stream.core.clock import NS_PER_S, NowNs
from stream.core.log import one_line
from stream.errors import AccessDenied, SourceError
from stream.frames import Dropped, Frame
from stream.runtime.stats import CameraState
from stream.sources.backoff import JITTER, LADDER, Backoff, Ladder
from stream.sources.health import Health

LOOK_S = 0.05
"""How often ``stopping`` is looked at meanwhile: nothing can wait for two events at once."""


@contextmanager
def opened(source: AbstractContextManager[object], stopping: threading.Event, name: str) -> Iterator[bool]:
    """``with source``, entered by a thread called ``name``; False, and not open, when ``stopping`` came first.

    Then the thread goes on as long as the opening takes, closes what it got, and ends. Raises what opening raises.
    """
    opening = _Opening(source)
    threading.Thread(target=opening.run, name=name, daemon=True).start()
    if not opening.is_open(stopping):
        yield False
        return
    with ExitStack() as stack:
        stack.push(source.__exit__)
        yield True


class _Opening:
    """Between the thread that opens and the one that waits: exactly one of them closes the source."""

    def __init__(self, source: AbstractContextManager[object]) -> None:
        self._source = source
        self._lock, self._done = threading.Lock(), threading.Event()
        self._abandoned = False
        self._error: Exception | None = None

    def run(self) -> None:
        try:
            self._source.__enter__()
        except Exception as error:  # noqa: BLE001  # raised by the thread that waits, if it still does
            self._error = error
        with self._lock:
            self._done.set()
            nobody_waits = self._abandoned and self._error is None
        if nobody_waits:
            self._source.__exit__(None, None, None)

    def is_open(self, stopping: threading.Event) -> bool:
        while not self._done.wait(LOOK_S):
            if stopping.is_set() and self._leave():
                return False
        if self._error is not None:
            raise self._error
        return True

    def _leave(self) -> bool:
        with self._lock:
            self._abandoned = not self._done.is_set()
            return self._abandoned


log = logging.getLogger(__name__)

HEALTHY_NS = 60 * NS_PER_S
"""The ladder starts again after so long with images; a camera that breaks off at once each time still climbs it."""


class LiveSource(Protocol):
    """A camera as in ``stream.sources.base``; it may give Dropped for a Frame, and keeps its decoder's last lines."""

    @property
    def log_lines(self) -> tuple[str, ...]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]: ...

    def describe(self) -> str: ...


class Reconnecting:
    """Opens what ``open_`` makes, passes its frames on, and opens another when a SourceError ends it.

    ``with`` opens nothing, so that a camera may be absent at the start; each connection is read and closed by the
    thread that reads ``frames``, and opened by one of its own, so that stopping does not wait for it. Frames are
    numbered on across connections, by ``health.name`` and ``seq`` each is unique. What is not a SourceError no waiting
    can heal: it goes up.
    """

    def __init__(
        self,
        open_: Callable[[], LiveSource],
        health: Health,
        *,
        ladder: Ladder = LADDER,
        jitter: float = JITTER,
        rng: Random | None = None,
        now_ns: NowNs = monotonic_ns,
    ) -> None:
        self._open, self._health, self._now_ns = open_, health, now_ns
        self._climb = Backoff(ladder, jitter, rng or Random())
        self._news = _News(health.name)
        self._about = ""
        self._next_seq, self._reached_end = 0, False
        self._log_lines: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object = None, error: BaseException | None = None, tb: object = None) -> None:
        if error is not None or self._reached_end:
            self._health.over(error)
        else:
            self._health.stopped()

    def frames(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        """Ends when ``stopping`` is set, in a pause at once, and when a source is over without an error: recordings."""
        self._news.begin(self._now_ns())
        while not stopping.is_set():
            try:
                yield from self._connection(stopping)
                self._reached_end = not stopping.is_set()
                return
            except SourceError as error:
                if not stopping.is_set():
                    stopping.wait(self._lost(error))

    def describe(self) -> str:
        """The camera's own line; before it was opened, what its settings say."""
        if not self._about:
            self._about = one_line(self._open().describe())
        return self._about

    def _connection(self, stopping: threading.Event) -> Iterator[Frame | Dropped]:
        self._log_lines = ()
        self._health.connecting()
        source = self._open()
        self._note_about(source)
        try:
            with opened(source, stopping, f"opening.{self._health.name}") as is_open:
                if is_open:
                    with closing(source.frames(stopping)) as items:
                        yield from self._noted(source, items)
        finally:
            self._log_lines = source.log_lines

    def _noted(self, source: LiveSource, items: Iterator[Frame | Dropped]) -> Iterator[Frame | Dropped]:
        first_seq, first_ns = self._next_seq, None
        for item in items:
            now = self._now_ns()
            if first_ns is None:
                first_ns = now
                self._live(source, now)
            if now - first_ns >= HEALTHY_NS:
                self._climb.start_again()
            moved = _numbered_from(first_seq, item)
            self._next_seq = max([self._next_seq, *(frame.seq + 1 for frame in moved.frames)])
            yield moved

    def _live(self, source: LiveSource, now: int) -> None:
        self._note_about(source)
        self._health.live()
        self._news.live(now)

    def _lost(self, error: SourceError) -> float:
        """The pause before the next try, seconds."""
        pause_s = self._climb.next_pause_s(refused=isinstance(error, AccessDenied))
        self._health.lost(error, self._log_lines)
        self._news.lost(error, pause_s, self._now_ns())
        return pause_s

    def _note_about(self, source: LiveSource) -> None:
        self._about = one_line(source.describe())
        self._health.about(self._about)


class _News:
    """One warning for each change of the camera's state, whatever the number of tries in between."""

    def __init__(self, name: str) -> None:
        self._name, self._since_ns, self._was_live = name, 0, False
        self._told: CameraState = "connecting"

    def begin(self, now_ns: int) -> None:
        self._told, self._since_ns = "connecting", now_ns

    def live(self, now_ns: int) -> None:
        away = _seconds((now_ns - self._since_ns) / NS_PER_S)
        if self._told == "connecting":
            log.info("camera %s: live after %s", self._name, away)
        else:
            log.warning("camera %s: %s after %s", self._name, "back" if self._was_live else "there", away)
        self._told, self._was_live = "live", True

    def lost(self, error: SourceError, pause_s: float, now_ns: int) -> None:
        state: CameraState = "refused" if isinstance(error, AccessDenied) else "waiting"
        word = "refused" if state == "refused" else "lost" if self._told == "live" else "not there"
        if self._told == "live":
            self._since_ns = now_ns
        level = logging.DEBUG if self._told == state else logging.WARNING
        line = f"camera {self._name}: {word} ({one_line(str(error))}), trying again in {_seconds(pause_s)}"
        log.log(level, "%s", line)
        self._told = state


T = TypeVar("T")


@contextmanager
def closing(items: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close ``items`` at the end if they are a generator; other iterators have nothing to close."""
    try:
        yield items
    finally:
        if isinstance(items, Generator):
            items.close()


def _numbered_from(first_seq: int, item: Frame | Dropped) -> Frame | Dropped:
    if isinstance(item, Frame):
        return replace(item, seq=first_seq + item.seq)
    return replace(item, frames=tuple(replace(frame, seq=first_seq + frame.seq) for frame in item.frames))


def _seconds(seconds: float) -> str:
    return f"{round(seconds, 1 if seconds < 10 else 0):g} s"
