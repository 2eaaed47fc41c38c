"""Finds the images that a decoder made from damaged or missing data.

Decoders hide damage: they return whole images, and only some mark them. What goes into a decoder tells: GStreamer's
depayloaders and parsers flag a buffer after lost data (DISCONT) or with broken data (CORRUPTED), and flag buffers that
depend on others (DELTA_UNIT). From such a buffer on, images are damaged until the next key frame.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

REMEMBERED = 16
"""Damaged spans; a decoder holds 16 images at most."""


@dataclass
class _Span:
    start_pts: int
    end_pts: int | None = None
    """Time of the key frame that ends the damage; None until it comes."""


class DamageWatch:
    """The damaged spans of one pipeline: decoders' threads report what they get, another thread asks for each image."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: deque[_Span] = deque(maxlen=REMEMBERED)
        self._newest_pts = 0
        self._started = False

    def coded(self, pts: int | None, *, is_delta: bool, is_gap: bool, is_corrupt: bool) -> None:
        """One coded image reaches the decoder; ``is_gap``: data before it is missing."""
        with self._lock:
            self._newest_pts = pts = self._newest_pts if pts is None else pts
            starts_late = not self._started and is_delta  # in the middle of a group of pictures
            after_a_gap = self._started and is_gap and is_delta
            self._started = True
            if not is_delta:
                self._end(pts)
            if starts_late or after_a_gap or is_corrupt:
                self._begin(pts)

    def decoder_complained(self) -> None:
        """The decoder reported an error in what it got last."""
        with self._lock:
            self._begin(self._newest_pts)

    def is_damaged(self, pts: int | None) -> bool:
        """Whether the image of this time is damaged; one without a time is, while damage lasts."""
        with self._lock:
            if pts is None:
                return any(span.end_pts is None for span in self._spans)
            return any(span.start_pts <= pts and (span.end_pts is None or pts < span.end_pts) for span in self._spans)

    def _begin(self, pts: int) -> None:
        if not self._spans or self._spans[-1].end_pts is not None:
            self._spans.append(_Span(pts))

    def _end(self, pts: int) -> None:
        if self._spans and self._spans[-1].end_pts is None:
            self._spans[-1].end_pts = pts
