"""The public functions of the wire format: from messages to arrays, and (from stream.wire.packing) back.

A message is one ZeroMQ part: the header (stream.wire.header), then the payload (stream.wire.payload), whose numbers
stream.wire.values defines. Reading arbitrary bytes either raises WireError or gives arrays of the announced size.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from stream.core.clock import NS_PER_S
from stream.errors import WireError
from stream.frames import Floats, Intrinsics, Size
from stream.wire.codes import WireKind
from stream.wire.header import Header
from stream.wire.names import subscription, topic_bytes
from stream.wire.packing import Sender, largest_message, pack_depth, pack_preview
from stream.wire.payload import decompress
from stream.wire.values import restore

__all__ = ["Message", "Sender", "largest_message", "pack_depth", "pack_preview", "parse", "subscription", "topic_bytes"]


@dataclass(frozen=True, slots=True)
class Message:
    """A parsed message. This object and its arrays keep the received buffer alive."""

    header: Header
    payload: memoryview
    """The bytes after the header as sent, read-only."""

    def array(self) -> NDArray[Any]:
        """The decompressed payload: (H, W) float32, float16 or uint16, or (H, W, 3) uint8 BGR; may be read-only.

        Raises WireError for a payload that is damaged or larger than the header says, and MissingPackage if it needs
        OpenCV (PNG16, JPEG) and that is not installed.
        """
        self._check_crc()
        return decompress(self.payload, self.header)

    def depth(self) -> Floats:
        """(H, W) float32: metres if the kind is METRIC, else without unit; NaN where unknown.

        Raises the errors of ``array``, and WireError for a colour image. The array may be a read-only view of the
        message.
        """
        return restore(self.array(), self.header)

    @property
    def kind(self) -> WireKind:
        """Meaning of the numbers; only METRIC may be taken for metres."""
        return self.header.kind

    @property
    def age_at_publish_s(self) -> float:
        """Seconds from capture to publishing, by the publisher's monotonic clock."""
        return (self.header.publish_ns - self.header.capture_ns) / NS_PER_S

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Intrinsics of the camera at this message's width and height; None if unknown."""
        header = self.header
        if not header.fx:
            return None
        return Intrinsics(header.fx, header.fy, header.cx, header.cy, Size(header.height, header.width))

    def _check_crc(self) -> None:
        if self.header.crc32 and zlib.crc32(self.payload) != self.header.crc32:
            raise WireError(f"{self.header.topic} {self.header.seq}: the payload is damaged, its CRC-32 is another")


def parse(message: bytes | memoryview) -> Message:
    """Parse the header; the payload is not decoded yet. Raises WireError, and nothing else, for invalid bytes."""
    view = memoryview(message).toreadonly()
    if not view.c_contiguous:  # ``cast`` would raise TypeError
        raise WireError(f"a message is one block of bytes, not a view with strides {view.strides}")
    header = Header.parse(view.cast("B"))
    return Message(header, view.cast("B")[header.header_bytes :])
