"""Copies GStreamer's images out of its memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.frames import Image
from stream.sources.gstreamer.parsing import load

FORMAT = "BGR"


def unsuitable_caps(caps: Any) -> str:
    """What the images are instead of 8-bit BGR in system memory; empty if they are that."""
    structure, features = caps.get_structure(0), caps.get_features(0)
    kind = f"{structure.get_name()}, format {structure.get_string('format') or 'unknown'}"
    if not features.is_equal(load().Gst.CapsFeatures.new_empty()) and features.to_string() != "memory:SystemMemory":
        return f"{kind}, in {features.to_string()}"
    return "" if (structure.get_name(), structure.get_string("format")) == ("video/x-raw", FORMAT) else kind


def bgr_of(buffer: Any, caps: Any) -> Image | None:
    """(H, W, 3) uint8 BGR, contiguous, read-only, in memory of its own; None for a buffer that is too small."""
    video = load().GstVideo
    info = video.VideoInfo.new_from_caps(caps)
    meta = video.buffer_get_video_meta(buffer)  # where the producer aligned the rows in its own way
    stride, offset = (meta.stride[0], meta.offset[0]) if meta is not None else (info.stride[0], info.offset[0])
    return without_padding(buffer.extract_dup(0, buffer.get_size()), info.height, info.width, stride, offset)


def without_padding(data: bytes, height: int, width: int, stride: int, offset: int) -> Image | None:
    """The image of ``height`` rows that begin every ``stride`` bytes; None if ``data`` is too short for it."""
    row_bytes = 3 * width
    if stride < row_bytes or offset < 0 or len(data) < offset + stride * (height - 1) + row_bytes:
        return None
    flat = np.frombuffer(data, np.uint8, offset=offset)  # read-only, as bytes are
    rows = np.lib.stride_tricks.as_strided(flat, (height, row_bytes), (stride, 1), writeable=False)
    image = np.ascontiguousarray(rows).reshape(height, width, 3)
    image.flags.writeable = False
    return image
