"""Serialises ROS 2 messages without ROS: CDR version 1, little endian. All knowledge of its layout is in this file.

Four bytes (``00 01 00 00``) identify the encoding. The fields follow in the order of their definition, each number at a
multiple of its own size, counted from the end of those four bytes; a string is its length including the NUL (uint32),
its bytes and a NUL. DDS, MCAP files and Zenoh all carry these bytes.

Source: OMG DDS-XTypes 1.3, 7.4; DDSI-RTPS 2.3, chapter 10.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Self

from stream.errors import WireError
from stream.ros.messages import CameraInfoMessage, ImageMessage, RosTime

ENCAPSULATION = b"\x00\x01\x00\x00"
UNUSED_BINNING = (0, 0)
WHOLE_IMAGE = (0, 0, 0, 0)
"""RegionOfInterest: zero offset and zero size mean the whole image."""


def image_bytes(image: ImageMessage) -> bytes:
    """Serialise sensor_msgs/msg/Image. Raises WireError for a frame id that a CDR string cannot hold."""
    head = _header(image.stamp, image.frame_id).uint32(image.height, image.width)
    head.string(image.encoding).uint8(0).uint32(image.step, image.pixels.nbytes)
    return b"".join((head.written, image.pixels.data))


def camera_info_bytes(info: CameraInfoMessage) -> bytes:
    """Serialise sensor_msgs/msg/CameraInfo. Raises WireError for a frame id that a CDR string cannot hold."""
    message = _header(info.stamp, info.frame_id).uint32(info.height, info.width)
    # ``d`` is a sequence, with its length in front of it; the other three are arrays of fixed length and have none.
    message.string(info.distortion_model).uint32(len(info.d))
    for matrix in (info.d, info.k, info.r, info.p):
        message.float64(matrix)
    message.uint32(*UNUSED_BINNING, *WHOLE_IMAGE).uint8(0)
    return bytes(message.written)


def _header(stamp: RosTime, frame_id: str) -> _CdrWriter:
    return _CdrWriter().int32(stamp.sec).uint32(stamp.nanosec).string(frame_id)


class _CdrWriter:
    """Writer that appends and aligns one field at a time."""

    def __init__(self) -> None:
        self.written = bytearray(ENCAPSULATION)

    def uint8(self, *values: int) -> Self:
        return self._append(1, "B", values)

    def int32(self, *values: int) -> Self:
        return self._append(4, "i", values)

    def uint32(self, *values: int) -> Self:
        return self._append(4, "I", values)

    def float64(self, values: Sequence[float]) -> Self:
        return self._append(8, "d", values)

    def string(self, text: str) -> Self:
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise WireError(f"{text!r} is not Unicode: choose another frame id") from error
        if 0 in data:
            raise WireError(f"{text!r} holds a NUL, which ends a string: choose another frame id")
        self.uint32(len(data) + 1)
        self.written += data + b"\0"
        return self

    def _append(self, size: int, letter: str, values: Sequence[float]) -> Self:
        self.written += bytes(-(len(self.written) - len(ENCAPSULATION)) % size)
        self.written += struct.pack(f"<{len(values)}{letter}", *values)
        return self
