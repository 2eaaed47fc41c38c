"""A single image at an address, polled, as a Reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic, monotonic_ns
from typing import NamedTuple

from stream.core.clock import NS_PER_S
from stream.errors import SourceError
from stream.frames import Size
from stream.settings import NetworkCamera
from stream.sources.network.access_unit import AccessUnit, TimeLine
from stream.sources.network.http.client import Answer, Client
from stream.sources.network.http.jpeg import START, JpegWalk
from stream.sources.network.http.multipart import LARGEST_PART
from stream.sources.network.http.tcp import Piece

BEFORE_CONTENT = b"\xef\xbb\xbf \t\r\n"
"""A byte order mark and white space, with which some answers begin."""
LONGEST_BEGIN = 64
"""Bytes that show what an answer is."""
_BEGINS = ((START, "mjpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"BM", "bmp"))


class Snapshot(NamedTuple):
    """One image as it was fetched."""

    data: bytes
    asked_ns: int
    """When the request was sent, CLOCK_MONOTONIC, nanoseconds."""
    complete_ns: int
    """Arrival of its last byte."""


class SnapshotReader:
    """A Reader that asks for one image ``fps`` times a second, or as often as the camera answers.

    ``first_ns`` is the time of the request: the camera may take the image then, or answer with one that it kept from
    before. How old such an image is cannot be known from here; cameras of our knowledge keep it for up to a second.
    """

    extradata = b""
    time_line: TimeLine = "polled"
    is_recording = False
    size: Size | None = None

    def __init__(self, settings: NetworkCamera, client: Client, first: Snapshot, codec: str) -> None:
        self.codec = codec
        self.stated_fps = settings.fps
        self._settings, self._client, self._first = settings, client, first
        self._stopping = threading.Event()

    def items(self) -> Iterator[AccessUnit]:
        shot, period_s = self._first, 1 / self._settings.fps
        due_s = monotonic()
        while True:
            damage = _damage(shot.data) if self.codec == "mjpeg" else ""
            yield AccessUnit(shot.data, True, shot.asked_ns, shot.complete_ns, damage="inside" if damage else "")
            due_s = max(due_s + period_s, monotonic())  # what is late is not made up for
            if self._stopping.wait(due_s - monotonic()):
                return
            try:
                shot = self._poll()
            except SourceError:
                if self._stopping.is_set():
                    return
                raise

    def interrupt(self) -> None:
        self._stopping.set()
        self._client.interrupt()

    def close(self) -> None:
        self._client.close()

    def _poll(self) -> Snapshot:
        until_ns = monotonic_ns() + int(self._settings.open_s * NS_PER_S)
        answer = self._client.get(until_ns)
        shot = read_snapshot(self._client, answer, [], until_ns)
        if image_codec(shot.data) != self.codec:
            raise self._client.failures.page(answer.head.media_type or "without a type")
        return shot


def image_codec(data: bytes | bytearray) -> str:
    """FFmpeg's name of the image format that begins ``data``; empty if it is none that is read."""
    data = data[:LONGEST_BEGIN].lstrip(BEFORE_CONTENT)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((codec for begin, codec in _BEGINS if data.startswith(begin)), "")


def read_snapshot(client: Client, answer: Answer, begun: list[Piece], until_ns: int) -> Snapshot:
    """Read the rest of the body, which begins with ``begun``. Raises SourceError."""
    data, complete_ns = bytearray(), answer.asked_ns
    for piece in begun:
        data += piece.data
        complete_ns = piece.last_ns
    try:
        while (piece := answer.receive(until_ns)).data:
            data += piece.data
            complete_ns = piece.last_ns
            if len(data) > LARGEST_PART:
                raise ValueError(f"an image has no end within {LARGEST_PART >> 20} MB")
    except (OSError, ValueError) as error:
        client.close()
        raise client.failures.on_error(error) from None
    client.done(answer)
    if not data:
        raise client.failures.empty()
    return Snapshot(bytes(data), answer.asked_ns, max(answer.asked_ns, complete_ns))


def _damage(jpeg: bytes) -> bool:
    """A part of the JPEG file is missing."""
    walk = JpegWalk()
    end = walk.end(bytearray(jpeg))
    return end is None or end.kind == "start"
