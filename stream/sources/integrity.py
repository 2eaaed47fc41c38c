"""Find images that are not what the camera saw, count them, and do with them what the settings say."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np

from stream.core.clock import NS_PER_S
from stream.frames import Dropped, Frame, Image, Integrity
from stream.settings import IntegritySettings
from stream.sources.health import Health

SAMPLES = 72
"""Images are looked at through a grid of about 72 rows: 1 pixel in 225 at 1080p."""
BLACK_LEVEL = 20
"""Of 255. Black decodes to 0; at a camera that mixes up limited and full range, to 16."""
BLACK_SHARE = 0.995
"""Two lines of text that a camera writes over its image take 0.2 %."""
BLACK_SPREAD = 1.0
"""Standard deviation. x264 (crf 23) leaves 0 to 0.8 of a closed lid with sensor noise of 1 to 4 levels, 2.3 of a dim
wall (level 8, noise of 4); a wall with noise of 2 is on the border."""


def watch(
    frames: Iterator[Frame | Dropped], settings: IntegritySettings, health: Health
) -> Generator[Frame | Dropped, None, None]:
    """Each frame as its policy says, in order: itself with ``integrity`` set, Dropped, or the last good one instead.

    Tainted goes before black, black before frozen. A held image keeps all that belongs to it (stamp, intrinsics,
    truth) and takes the number and the integrity of the frame it stands for; while there is none of the same size, the
    frame is dropped. Closing this closes ``frames``.
    """
    stillness, good = Stillness(settings.frozen_after_s), None
    try:
        for frame in frames:
            if isinstance(frame, Dropped):
                yield frame
                continue
            fault = judge(frame, stillness)
            health.image(fault)
            if fault == "clean":
                good = frame
            elif good is not None and good.size != frame.size:
                good = None
            yield _by_policy(settings, frame, fault, good)
    finally:
        if isinstance(frames, Generator):
            frames.close()


def judge(frame: Frame, stillness: Stillness) -> Integrity:
    """What is the matter with this image; ``stillness`` sees every one."""
    frozen = stillness.is_frozen(frame)
    if frame.integrity != "clean":
        return frame.integrity
    if is_black(frame.image):
        return "black"
    return "frozen" if frozen else "clean"


def is_black(image: Image) -> bool:
    """Nearly all of it dark and nearly no variation in that: a dead sensor or a lid; a night image has noise.

    Only green is looked at. ``image``: (H, W, 3) uint8 BGR.
    """
    green = _grid(image)
    dark = green <= BLACK_LEVEL
    if np.count_nonzero(dark) < BLACK_SHARE * green.size:
        return False
    return float(green[dark].std()) <= BLACK_SPREAD


class Stillness:
    """How long the camera has been giving one and the same image, by the frames' stamps.

    Sensor noise never repeats, but an encoder may drop it: of a still scene x264 at crf 38 repeats one image bit by
    bit until the next key frame, which differs again (measured with noise of 1 to 4 levels: 1.8 s of key frames every
    2 s, 8 s of every 10 s). So the time must be longer than the camera's key frame interval. A noiseless test pattern
    counts as frozen, too. Not found: a camera that freezes but goes on writing the time over its image, and one whose
    H.264 encoder goes on coding the frozen image, a little differently with each key frame: by their images, these
    cannot be told from still scenes.
    """

    def __init__(self, frozen_after_s: float) -> None:
        self._after_ns = round(frozen_after_s * NS_PER_S)
        self._first: tuple[Frame, Image] | None = None

    def is_frozen(self, frame: Frame) -> bool:
        grid = _grid(frame.image)
        if self._first is not None:
            first, first_grid = self._first
            if np.array_equal(grid, first_grid) and _same(frame, first):
                return frame.stamp.mono_ns - first.stamp.mono_ns > self._after_ns
        self._first = frame, grid
        return False


def _same(a: Frame, b: Frame) -> bool:
    """Pixel by pixel; OpenCV, because NumPy would make an image of the differences first."""
    import cv2

    return a.size == b.size and cv2.norm(a.image, b.image, cv2.NORM_INF) == 0


def _grid(image: Image) -> Image:
    step = max(1, min(image.shape[:2]) // SAMPLES)
    return np.ascontiguousarray(image[::step, ::step, 1])


def _by_policy(settings: IntegritySettings, frame: Frame, fault: Integrity, good: Frame | None) -> Frame | Dropped:
    if fault == "clean":
        return frame
    policy = {"tainted": settings.tainted, "frozen": settings.frozen, "black": settings.black}[fault]
    if policy == "pass":
        return replace(frame, integrity=fault)
    if policy == "hold" and good is not None:
        return replace(good, seq=frame.seq, integrity=fault)
    return Dropped((replace(frame, integrity=fault),), reason=fault)
