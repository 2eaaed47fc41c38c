"""Time stamps as a witness of lost images whose numbers would fit: in step with the picture order, or not."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW: Final = 12
"""Images over which the pace is measured: half a second at 25 a second, so that a change of rate is soon known."""
ENOUGH: Final = 4
LONGEST_LOSS_S: Final = 5.0
"""A larger step of the time stamps is a clock that was set; a camera that is silent for so long was given up before."""
TOO_EARLY: Final = 4
"""Images by which the count may run ahead of the time."""
FORGET: Final = 0.99
"""Of an unevenness, what is still expected one image later: half of it after 70 images, more than most groups have."""


class MediaPace:
    """How many seconds of media time one step of the picture order count takes, lately."""

    def __init__(self) -> None:
        self._recent: deque[tuple[int, float]] = deque(maxlen=WINDOW)
        """Picture order count and media time, seconds."""
        self._count_s = self._image_s = 0.0
        """Media time of one step of the count and of one image; 0: unknown. Kept when the count starts again."""
        self._jitter_s = 0.0
        """How unevenly the camera stamps its images; that much lateness is no sign of a loss."""

    def restart(self) -> None:
        """Where the count starts again."""
        self._recent.clear()

    def room(self, count: int, media_s: float) -> int:
        """Add an image; how many images before it may be lost by the time that has passed, if any are."""
        room = 0
        if self._recent and self._image_s:
            last_count, last_s = self._recent[-1]
            room = self._room(media_s - last_s, (count - last_count) * self._count_s)
        self._recent.append((count, media_s))
        if len(self._recent) >= ENOUGH:
            self._measure()
        return room

    def _room(self, passed_s: float, counted_s: float) -> int:
        late_s = passed_s - counted_s
        if not abs(late_s) < LONGEST_LOSS_S:  # also if it is no number
            self.restart()
            return 0
        if late_s < -TOO_EARLY * self._image_s:  # the count started again, and seems to have run ahead
            return round(passed_s / self._image_s)
        room = round((late_s - self._jitter_s) / self._image_s)
        self._jitter_s *= FORGET
        if abs(late_s) < 0.9 * self._image_s:  # a lost image is later
            self._jitter_s = max(self._jitter_s, abs(late_s))
        return max(0, room)

    def _measure(self) -> None:
        (first_count, first_s), (last_count, last_s) = self._recent[0], self._recent[-1]
        counts, seconds = last_count - first_count, last_s - first_s
        if counts and seconds / counts > 0:
            times = [media_s for _, media_s in self._recent]
            self._count_s, self._image_s = seconds / counts, (max(times) - min(times)) / (len(times) - 1)
        else:
            self._count_s = self._image_s = 0.0
