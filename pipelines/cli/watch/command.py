"""`depthstream watch`: what a robot would read, as a live table or as one JSON line a frame."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live

from pipelines.cli.watch.frame import frame_facts
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
"""A pipeline may be about to start; afterwards streams may be silent as long as they like."""
SAY_SO_AFTER_S = 3.0
WORTH_SAYING_S = 1.0
"""Of waiting; when less is left, the end says it all."""
REFRESH_S = 0.25


@dataclass(frozen=True, slots=True)
class KeyFiles:
    """As given on the command line."""

    folder: Path | None = None
    server: Path | None = None
    client: Path | None = None

    def load(self) -> ClientKeys | None:
        """None if none were given. Raises UsageError for half a pair, and for files that are no keys."""
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
    """Watch ``streams``, or all there are, until ``count`` frames, ``seconds``, or Ctrl-C; the exit status.

    0: frames came; 1: none did, or none younger than ``max_age_ms``; 130: interrupted.

    Raises UsageError for an endpoint, a stream or keys that cannot be, and StaleFrame if nothing is ever heard.
    """
    patience_s = min(PATIENCE_S, seconds or PATIENCE_S)
    loaded, patience = keys.load(), Patience(endpoint, patience_s)
    names = list(dict.fromkeys(streams)) or find_streams(
        endpoint, keys=loaded, patience_s=patience_s, while_waiting=patience.tell
    )
    with ExitStack() as stack:
        watched = [Watched(stack.enter_context(Subscriber(endpoint, name, keys=loaded)), max_age_ms) for name in names]
        frames = _frames(watched, patience, Deadline.after(seconds) if seconds else None, count)
        return _print_lines(frames, watched) if as_json else _show_table(frames, watched, redact(endpoint))


class Patience:
    """Says once what lacks when nothing comes, and gives up after a while."""

    def __init__(self, endpoint: str, patience_s: float) -> None:
        self._endpoint = redact(endpoint)
        self._speak, self._end = Deadline.after(SAY_SO_AFTER_S), Deadline.after(patience_s)
        self._spoke = False

    def tell(self, trouble: str) -> None:
        if self._speak.passed and not self._spoke and self._end.left_s >= WORTH_SAYING_S:
            self._spoke = True
            text = f"nothing from {self._endpoint} yet; {trouble}; waiting {self._end.left_s:.0f} s more (Ctrl-C ends)"
            err.print(text, markup=False, highlight=False, soft_wrap=True)

    def check(self, watched: Sequence[Watched]) -> None:
        """Raises StaleFrame when nothing was ever heard of any of the streams, and the time is up."""
        if any(one.heard_of for one in watched):
            return
        self.tell(link_trouble(watched[0].health.link) or "connected, and nothing is said of this stream")
        if self._end.passed:
            raise StaleFrame(
                why_stale(f"{watched[0].reader.topic} at {self._endpoint}: nothing came", watched[0].health)
            )


def _frames(
    watched: Sequence[Watched], patience: Patience, end: Deadline | None, count: int | None
) -> Iterator[tuple[Watched, Message, float] | None]:
    """Each frame with its age in ms when it was read; None now and then, so that the table lives."""
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
        yield None


def _print_lines(frames: Iterator[tuple[Watched, Message, float] | None], watched: Sequence[Watched]) -> int:
    """One JSON object a frame on standard output, at the end a summary on standard error."""
    status = 0
    try:
        for frame in frames:
            if frame is not None:
                one, message, age_ms = frame
                print(json.dumps({"stream": one.stream, **frame_facts(message, age_ms)}), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes it once more at its end
        return 0
    except KeyboardInterrupt as interrupt:
        status = status_of(interrupt)
    for one in watched:
        err.print(summary(one), markup=False, highlight=False, soft_wrap=True)
    return status or _nothing(watched)


def _show_table(frames: Iterator[object], watched: Sequence[Watched], endpoint: str) -> int:
    """On a terminal live; at the end the table and a summary on standard output."""
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
    return status or _nothing(watched)


def _nothing(watched: Sequence[Watched]) -> int:
    """The exit status: 1 if no frame came, or none that was young enough."""
    return int(not any(one.frames > one.too_old for one in watched))


def _live_table() -> AbstractContextManager[Callable[[Sequence[Watched], str], None]]:
    if not err.is_terminal:
        return nullcontext(lambda watched, endpoint: None)
    live = Live(console=err, transient=True, auto_refresh=False)

    class Shown(AbstractContextManager[Callable[[Sequence[Watched], str], None]]):
        def __enter__(self) -> Callable[[Sequence[Watched], str], None]:
            live.start()
            return lambda watched, endpoint: live.update(watch_table(watched, endpoint), refresh=True)

        def __exit__(self, *exc_info: object) -> None:
            live.stop()

    return Shown()
