"""The table of `depthstream watch`: what was received of each stream, one row per stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from time import monotonic_ns

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stream.client.health import ReaderHealth, RecentRate, number
from stream.client.link import LinkState
from stream.client.stale import link_trouble, why_stale
from stream.client.subscriber import Subscriber
from stream.core.clock import NS_PER_S
from stream.core.log import one_line
from stream.errors import StaleFrame
from stream.runtime.meters import Durations
from stream.wire.codes import Flags, WireKind
from stream.wire.header import Header
from stream.wire.message import Message

HEADINGS = ("depth", "size,\nfps", "age, ms\nnow", "\np95", "gaps", "re-\nstarts", "state", "images", "clocks")
RIGHT_ALIGNED = HEADINGS[1:6]
DEPTHS = {
    WireKind.METRIC: "metric\nm",
    WireKind.RELATIVE_INVERSE: "relative\ninverse",
    WireKind.RELATIVE: "relative\nno unit",
    WireKind.CONFIDENCE: "confi-\ndence",
    WireKind.COLOUR: "colour",
}
LINKS: dict[LinkState, str] = {"connecting": "ABSENT", "refused": "REFUSED", "handshake failed": "REFUSED"}


class Watched:
    """A reader of one stream, with counters of what it received."""

    def __init__(self, reader: Subscriber, max_age_ms: float | None) -> None:
        self.reader, self.stream = reader, reader.topic.partition("/")[2]
        self._max_age_ms = max_age_ms
        self.frames = self.too_old = 0
        self.last: Message | None = None
        self._ages, self._rate, self._began_ns = Durations(), RecentRate(), 0

    def read(self) -> tuple[Message, float] | None:
        """A frame that arrived since the last call, and its age in ms; None without one, or if it is too old."""
        try:
            message = self.reader.read(0)
        except StaleFrame:
            return None
        now, age_ms = monotonic_ns(), self.reader.age_ms(message)
        self._began_ns = self._began_ns or now
        self.frames, self.last = self.frames + 1, message
        self._rate.add(now, 0.0)
        self._ages.add(round(age_ms * 1e6))
        if self._max_age_ms is not None and age_ms > self._max_age_ms:
            self.too_old += 1
            return None
        return message, age_ms

    @property
    def health(self) -> ReaderHealth:
        return self.reader.health

    @property
    def was_received(self) -> bool:
        """True once a frame, an info or a status message of this stream was received."""
        health = self.health
        return bool(self.frames or health.info or health.status)

    @property
    def fps(self) -> float | None:
        return self._rate.fps(monotonic_ns(), 0.0)

    @property
    def seconds(self) -> float:
        """Time since the first frame."""
        return (monotonic_ns() - self._began_ns) / NS_PER_S if self._began_ns else 0.0

    def age_ms(self, percentile: str) -> float:
        """``percentile``: "p50" or "p95"."""
        summary = self._ages.summary()
        return 1e3 * (summary.p50_s if percentile == "p50" else summary.p95_s)


def watch_table(watched: Sequence[Watched], endpoint: str) -> Group:
    """One row per stream and its remarks; as narrow as possible, because a terminal has 80 columns."""
    table = Table(title=Text(endpoint), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.padding = 0
    table.add_column("", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in RIGHT_ALIGNED else "left", no_wrap=True)
    health = [one.health for one in watched]
    for one, its_health in zip(watched, health, strict=True):
        table.add_row(*(Text(cell) for cell in _cells(one, its_health)))  # Text: "[" in a name is no markup
    remarks = (_remarks(one, its_health) for one, its_health in zip(watched, health, strict=True))
    return Group(table, *chain.from_iterable(remarks))


def summary(one: Watched) -> str:
    """One line about what was received of a stream."""
    health = one.health
    if not one.frames:
        return why_stale(f"{one.stream}: 0 frames", health)
    parts = [f"{one.frames} frames in {one.seconds:.1f} s"]
    parts.append(f"age p50 {one.age_ms('p50'):.1f} ms, p95 {one.age_ms('p95'):.1f} ms")
    parts += [f"{health.gaps} missed in between", f"{health.restarts} restarts"]
    parts += [f"{one.too_old} too old"] if one.too_old else []
    parts += [f"{health.damaged} damaged"] if health.damaged else []
    return f"{one.stream}: {', '.join(parts)}"


def state(health: ReaderHealth) -> str:
    """One word: the state that the publisher reported, or why nothing is received from it."""
    reported = one_line(str(health.status.get("state", "LIVE")), 12)
    if health.alive:
        return reported
    if health.link != "connected":
        return LINKS[health.link]
    return "SILENT" if reported == "LIVE" else reported


def _depth_label(header: Header) -> str:
    return "metric\nm, a guess" if Flags.SCALE_GUESSED in header.flags else DEPTHS[header.kind]


def _cells(one: Watched, health: ReaderHealth) -> tuple[str, ...]:
    header, fps = one.last.header if one.last else None, one.fps
    return (
        one.stream,
        _depth_label(header) if header else "-",
        f"{header.width}x{header.height}\n{'-' if fps is None else f'{fps:.1f}'}" if header else "-",
        "-" if health.age_ms is None else f"{health.age_ms:.0f}",
        f"{one.age_ms('p95'):.0f}" if one.frames else "-",
        str(health.gaps),
        str(health.restarts),
        state(health),
        header.integrity.name.lower() if header else "-",
        health.clocks,
    )


def _remarks(one: Watched, health: ReaderHealth) -> Iterator[Text]:
    """Lines below the table that explain its one-word states."""
    remarks: list[str] = []
    if trouble := link_trouble(health.link):
        remarks.append(trouble)
    if reason := health.status.get("reason"):
        remarks.append(one_line(str(reason)))
    if health.rate_ok is False:
        remarks.append(f"below nine tenths of the promised {number(health.info, 'fps'):g} fps")
    if health.clocks not in ("same", "unknown", "camera") and health.clock_offset_ms is not None:
        remarks.append(f"clocks differ by {health.clock_offset_ms:.0f} ms, including the transfer time")
    remarks += [f"{one.too_old} frames were too old"] if one.too_old else []
    remarks += [f"{health.damaged} messages could not be read"] if health.damaged else []
    yield from (Text(f" {one.stream}: {text}", style="dim") for text in remarks)
