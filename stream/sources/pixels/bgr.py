"""Converts FFmpeg's frames to BGR arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from stream.errors import SourceError, first_line
from stream.frames import Image

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


class BgrConverter:
    """Converts the frames of one stream, whose size and pixel format may change at any time."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()  # one for all: PyAV 18 otherwise creates, and leaks, one per frame

    def __call__(self, frame: VideoFrame) -> Image:
        """(H, W, 3) uint8 BGR, contiguous, read-only; shares no memory with the decoder.

        A frame in GPU memory is converted on the GPU. Raises SourceError if the GPU fails.
        """
        image = self._from_device(frame) if _is_on_device(frame) else self._from_memory(frame)
        image.flags.writeable = False
        return image

    def _from_memory(self, frame: VideoFrame) -> Image:
        converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        image = cast(Image, converted.to_ndarray())
        # A frame that is BGR already comes back as it is, in the decoder's memory.
        return image.copy() if converted is frame else np.ascontiguousarray(image)

    def _from_device(self, frame: VideoFrame) -> Image:
        from stream.sources.pixels.nv12 import frame_to_bgr

        try:
            return cast(Image, frame_to_bgr(frame).cpu().numpy())
        except RuntimeError as error:  # torch raises it if the GPU is lost or out of memory
            why = first_line(error)
            raise SourceError(
                f'the card that decodes this camera gives no image: {why}; decode = "cpu" needs no card'
            ) from error


def _is_on_device(frame: VideoFrame) -> bool:
    """Whether the frame is in GPU memory in a format that nv12 converts; FFmpeg copies and converts all others."""
    from stream.sources.pixels.nv12 import FORMATS

    return frame.format.name == "cuda" and frame.sw_format is not None and frame.sw_format.name in FORMATS
