"""Motion JPEG over HTTP as a Reader: the images of one endless answer."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns

from stream.core.clock import NS_PER_S
from stream.frames import Size
from stream.sources.network.access_unit import AccessUnit, TimeLine
from stream.sources.network.http.client import Answer, Client
from stream.sources.network.http.multipart import ImageFinder
from stream.sources.network.http.tcp import Piece


class MultipartReader:
    """A Reader of images that a camera pushes.

    There is no media clock: an image is as old as the arrival of its first byte says. So when data had to wait at the
    camera for long, because this process did not read, ``items`` ends with SourceBehind.
    """

    codec = "mjpeg"
    extradata = b""
    time_line: TimeLine = "none"
    is_recording = False
    size: Size | None = None
    stated_fps = 0.0

    def __init__(self, client: Client, answer: Answer, begun: list[Piece]) -> None:
        """``begun``: what was read of the answer's body before."""
        self._client, self._answer, self._begun = client, answer, begun

    def items(self) -> Iterator[AccessUnit]:
        finder = ImageFinder(self._answer.head.boundary.encode("latin-1", "replace"))
        for piece in self._pieces():
            if piece.is_overdue:
                raise self._client.failures.behind((monotonic_ns() - piece.first_ns) / NS_PER_S)
            try:
                found = finder.feed(piece.data, piece.first_ns, piece.last_ns)
            except ValueError as error:
                raise self._client.failures.breaking(error) from None
            for image in found:
                if self._client.interrupted.is_set():
                    return
                yield AccessUnit(image.data, True, image.first_ns, image.complete_ns, damage=image.damage)

    def interrupt(self) -> None:
        self._client.interrupt()

    def close(self) -> None:
        self._client.close()

    def _pieces(self) -> Iterator[Piece]:
        while self._begun:
            yield self._begun.pop(0)
        while not self._client.interrupted.is_set():
            try:
                piece = self._answer.receive()
            except (OSError, ValueError) as error:
                if self._client.interrupted.is_set():
                    return
                raise self._client.failures.breaking(error) from None
            if not piece.data:
                return
            yield piece
