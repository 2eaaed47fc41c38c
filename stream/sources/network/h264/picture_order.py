"""Picture order count of H.264 (8.2.1): a witness of a lost IDR image that frame_num cannot see.

After an IDR image the count starts at 0. When the IDR image is lost and frame_num happens to go on without a gap, the
images after it seem to be older than a long row of those before. A stream cannot hold back more images than its
max_num_reorder_frames (C.4.5.3), so a longer row is proof.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from stream.sources.network.h264.slice_header import SliceHeader

TRUSTED_REORDER: Final = 4
"""Encoders state fewer reordered images than they make, so a smaller figure is not believed."""


class PictureOrder:
    """The order counts since the last IDR image. Types 1 and 2 follow frame_num: there, images are counted instead."""

    def __init__(self) -> None:
        self.count = 0
        """Of the last image."""
        self._largest: list[int] = []
        self._msb = 0
        self._lsb = 0

    def restart(self) -> None:
        """At an IDR image, or where the counts before are no longer comparable."""
        self._largest.clear()
        self.count = self._msb = self._lsb = 0

    def falls_back(self, image: SliceHeader) -> bool:
        """Add a frame, or the first field of one; whether more images than possible would be shown after it."""
        if image.sps.poc_type != 0:
            self.count += 1
            return False
        self.count = self._count(image)
        length = 1 + max(TRUSTED_REORDER, image.sps.vui.max_reorder)
        fallen = len(self._largest) >= length and self.count < self._largest[-length]
        if fallen:
            self.restart()
            self._lsb = self.count = image.poc_lsb
        insort(self._largest, self.count)
        del self._largest[:-length]
        if image.forgets_all:
            self.restart()
        return fallen

    def _count(self, image: SliceHeader) -> int:
        """8.2.1.1; the count of a reference image is where the next one's upper bits begin."""
        wrap = 1 << image.sps.log2_max_poc_lsb
        step = image.poc_lsb - self._lsb
        msb = self._msb + (wrap if step <= -wrap // 2 else -wrap if step > wrap // 2 else 0)
        if image.reference:
            self._msb, self._lsb = msb, image.poc_lsb
        return msb + image.poc_lsb
