"""What a depth network can take as a picture."""

from __future__ import annotations

import numpy as np

from stream.errors import PictureError
from stream.frames import Image

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16384
"""JPEG, H.264 and the wire's header end at 16 bits or before."""


def check_picture(image: Image, name: str = "the picture") -> None:
    """Raise PictureError unless ``image`` is (H, W, 3) uint8 with sides of 8 to 16384 pixels."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        hint = ": cv2.imread gives None for a file that it cannot read" if image is None else ""
        raise PictureError(f"{name}: must be a uint8 array (H, W, 3) in BGR order, got {got}{hint}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise PictureError(f"{name}: {width}x{height} px is too small: sides of at least {MIN_SIDE_PX} px are needed")
    if max(height, width) > MAX_SIDE_PX:
        raise PictureError(f"{name}: {width}x{height} px is too large: scale it down to {MAX_SIDE_PX} px a side first")
