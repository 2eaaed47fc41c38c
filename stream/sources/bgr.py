"""FFmpeg's pictures as BGR arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from stream.frames import Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class BgrConverter:
    """Converts the pictures of one stream, whose size and pixel format may change at any time."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()  # one for all pictures: PyAV 18 otherwise makes, and leaks, one each

    def __call__(self, frame: VideoFrame) -> Image:
        """(H, W, 3) uint8 BGR, contiguous, read-only; shares no memory with the decoder."""
        converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        image = cast(Image, converted.to_ndarray())
        image = image.copy() if converted is frame else np.ascontiguousarray(image)
        image.flags.writeable = False
        return image
