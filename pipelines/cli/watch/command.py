"""`depthstream watch`: read frames as a robot would, and show them as a live table or one JSON object per frame."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pipelines.cli.watch.frame import frame_json
from pipelines.cli.watch.table import Watched, summary, watch_table
from pipelines.process.signals import status_of
from stream.client.client_keys import ClientKeys
from stream.client.discovery import find_streams
from stream.client.stale import link_trouble, why_stale
from stream.client.subscriber import Subscriber
from stream.core.clock import Deadline
from stream.core.log import redact
from stream.errors import StaleFrame, UsageError
from stream.wire.message import Message

out, err = Console(), Console(stderr=True)

PATIENCE_S = 20.0
"""Time to wait for a publisher that may be about to start; once one was heard, streams may be silent for any time."""
WARN_AFTER_S = 3.0
WARN_UNTIL_LEFT_S = 1.0
"""With less time left no warning is printed, because the final error follows at once."""
REFRESH_S = 0.25


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """The key options of the command line."""

    folder: Path | None = None
    server: Path | None = None
    client: Path | None = None

    def load(self) -> ClientKeys | None:
        """The keys, or None if no option was given. Raises UsageError for half a pair and for files without keys."""
        if self.folder is not None:
            if self.server or self.client:
                raise UsageError("give --keys DIR, or --server-key FILE and --client-key FILE, not both")
            return ClientKeys.from_folder(self.folder)
        if self.server is None and self.client is None:
            return None
        if self.server is None or self.client is None:
            raise UsageError("--server-key FILE (server.key) and --client-key FILE (NAME.key_secret) go together")
        return ClientKeys.load(self.server, self.client)


def run_watch(
    endpoint: str,
    streams: Sequence[str],
    *,
    count: int | None = None,
    as_json: bool = False,
    keys: KeyFiles = KeyFiles(),
    max_age_ms: float | None = None,
    seconds: float | None = None,
) -> int:
    """Watch ``streams`` (all of the publisher's if empty) until ``count`` frames, ``seconds``, or Ctrl-C.

    Returns the exit status: 0 if frames came, 1 if none did or none was younger than ``max_age_ms``, 130 if
    interrupted. Raises UsageError for an invalid endpoint, stream or key, and StaleFrame if nothing is ever received.
    """
    patience_s = min(PATIENCE_S, seconds or PATIENCE_S)
    loaded, patience = keys.load(), Patience(endpoint, patience_s)
    names = list(dict.fromkeys(streams)) or find_streams(
        endpoint, keys=loaded, patience_s=patience_s, while_waiting=patience.warn
    )
    with ExitStack() as stack:
        watched = [Watched(stack.enter_context(Subscriber(endpoint, name, keys=loaded)), max_age_ms) for name in names]
        frames = _frames(watched, patience, Deadline.after(seconds) if seconds else None, count)
        return _print_lines(frames, watched) if as_json else _show_table(frames, watched, redact(endpoint))


class Patience:
    """Warns once while nothing is received, and gives up after a time limit."""

    def __init__(self, endpoint: str, patience_s: float) -> None:
        self._endpoint = redact(endpoint)
        self._warn_at, self._end = Deadline.after(WARN_AFTER_S), Deadline.after(patience_s)
        self._warned = False

    def warn(self, trouble: str) -> None:
        """Print ``trouble`` once, when waiting has begun to take long."""
        if self._warn_at.passed and not self._warned and self._end.left_s >= WARN_UNTIL_LEFT_S:
            self._warned = True
            text = f"nothing from {self._endpoint} yet; {trouble}; waiting {self._end.left_s:.0f} s more (Ctrl-C ends)"
            err.print(text, markup=False, highlight=False, soft_wrap=True)

    def check(self, watched: Sequence[Watched]) -> None:
        """Raise StaleFrame when the time is up and nothing was ever received of any stream."""
        if any(one.was_received for one in watched):
            return
        self.warn(link_trouble(watched[0].health.link) or "connected, but this stream is not announced")
        if self._end.passed:
            raise StaleFrame(
                why_stale(f"{watched[0].reader.topic} at {self._endpoint}: nothing came", watched[0].health)
            )


def _frames(
    watched: Sequence[Watched], patience: Patience, end: Deadline | None, count: int | None
) -> Iterator[tuple[Watched, Message, float] | None]:
    """Each frame with its age in ms when it was read; None at every tick, so that the table is refreshed."""
    import zmq

    poller, given = zmq.Poller(), 0
    for socket in (socket for one in watched for socket in one.reader.sockets):
        poller.register(socket, zmq.POLLIN)
    while given != count and not (end and end.passed):
        poller.poll(round(1000 * min(REFRESH_S, end.left_s if end else REFRESH_S)))
        for one in watched:
            if given != count and (read := one.read()):
                given += 1
                yield (one, *read)
        patience.check(watched)
        yield None  # a tick without a frame


def _print_lines(frames: Iterator[tuple[Watched, Message, float] | None], watched: Sequence[Watched]) -> int:
    """Print one JSON object per frame on standard output, and a summary on standard error at the end."""
    status = 0
    try:
        for frame in frames:
            if frame is not None:
                one, message, age_ms = frame
                # Flushed, or a program at the other end of a pipe would get frames late and many at once.
                print(json.dumps({"stream": one.stream, **frame_json(message, age_ms)}), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes standard output again at exit
        return 0
    except KeyboardInterrupt as interrupt:
        status = status_of(interrupt)
    for one in watched:
        err.print(summary(one), markup=False, highlight=False, soft_wrap=True)
    return status or _no_fresh_frame(watched)


def _show_table(frames: Iterator[object], watched: Sequence[Watched], endpoint: str) -> int:
    """Show the table live on a terminal; at the end print table and summary on standard output."""
    status, due = 0, Deadline.after(0)
    try:
        with _live_table() as show:
            for _ in frames:
                if due.passed:
                    show(watched, endpoint)
                    due = Deadline.after(REFRESH_S)
    except KeyboardInterrupt as interrupt:
        status = status_of(interrupt)
    out.print(watch_table(watched, endpoint))
    for one in watched:
        out.print(summary(one), markup=False, highlight=False, soft_wrap=True)
    return status or _no_fresh_frame(watched)


def _no_fresh_frame(watched: Sequence[Watched]) -> int:
    """The exit status: 1 if no frame came, or none that was young enough."""
    return int(not any(one.frames > one.too_old for one in watched))


@contextmanager
def _live_table() -> Iterator[Callable[[Sequence[Watched], str], None]]:
    """A table that is redrawn in place on a terminal; without a terminal nothing is shown."""
    if not err.is_terminal:
        yield lambda watched, endpoint: None
        return
    with Live(console=err, transient=True, auto_refresh=False) as live:
        yield lambda watched, endpoint: live.update(watch_table(watched, endpoint), refresh=True)
