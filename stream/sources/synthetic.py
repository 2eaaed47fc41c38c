"""A rendered scene as a camera: images with exact depth and pose; needs no hardware, files or network."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from stream.core.clock import Pacer, Stamp
from stream.frames import Floats, Frame, Image, Size
from stream.settings import SyntheticCamera

if TYPE_CHECKING:
    from stream.scenes.camera.exposure import Grain
    from stream.scenes.world.tour import Tour

SOFTNESS = 0.08
"""Share of a pixel's light that each of its neighbours receives, as behind a real lens; it also smooths edges."""
GRAIN = 1.2
"""Standard deviation of the sensor's noise, 8-bit steps."""


class SyntheticSource:
    """An endless scene with moving people and things and a swaying camera.

    Even seeds are a town square, odd ones a living room. With ``still`` the camera stands on a tripod: a pixel whose
    ground truth does not change shows the same surface.

    Frame i shows the scene at i / fps seconds, whatever the clock says: the same settings give the same images.
    Frames carry the exact depth as ground truth and exact intrinsics; ``stamp.media_s`` is the scene's time.
    """

    def __init__(self, settings: SyntheticCamera) -> None:
        self._settings = settings
        self._size = Size(settings.height, settings.width)
        self._tour: Tour | None = None

    def __enter__(self) -> Self:
        from stream.scenes.world.tours import tour

        swaying = tour(self._settings.seed)
        self._tour = replace(swaying, sway=swaying.sway.stopped()) if self._settings.still else swaying
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._tour = None

    def frames(self, stopping: threading.Event) -> Iterator[Frame]:
        """Ends after ``seconds`` of scene time, or within one frame of ``stopping``."""
        from stream.scenes.camera.exposure import Grain

        settings = self._settings
        grain = Grain(settings.seed, self._size, GRAIN)
        pacer = Pacer(stopping, slack_s=1 / settings.fps)  # a late frame shifts the time line: no burst follows it
        for seq in count():
            time_s = seq / settings.fps
            if stopping.is_set() or (settings.seconds is not None and time_s >= settings.seconds):
                return
            image, ground_truth = self._render(seq, grain)
            if settings.pace == "live" and not pacer.wait_until(time_s):
                return
            camera = self._opened().sway.at(time_s)
            # After the wait: an image dates from the moment when it is due, not from its rendering.
            stamp = Stamp.now("synthetic", media_s=time_s)
            yield Frame(image, settings.name, seq, stamp, camera.intrinsics(self._size), ground_truth)

    def pose(self, seq: int) -> NDArray[np.float64]:
        """(4, 4) float64: from frame ``seq``'s optical frame (x right, y down, z ahead, metres) to the world."""
        return self._opened().sway.at(seq / self._settings.fps).pose()

    def describe(self) -> str:
        s = self._settings
        length = "endless" if s.seconds is None else f"{s.seconds:g} s"
        return f"synthetic scene {s.seed}, {self._size} at {s.fps:g} fps, {length}, {s.pace}{', still' * s.still}"

    def _render(self, seq: int, grain: Grain) -> tuple[Image, Floats]:
        """The image, (H, W, 3) uint8 BGR, and its depth, (H, W) float32 metres; both read-only."""
        import torch

        from stream.scenes.camera.exposure import to_bgr
        from stream.scenes.renderer.render import render

        tour = self._opened()
        with torch.inference_mode():
            rendered = render([tour.at(seq / self._settings.fps)], tour.atlas, self._size, softness=SOFTNESS)
            image: Image = to_bgr(rendered.rgb, grain.of_frame(seq))[0].numpy()
            ground_truth: Floats = rendered.depth[0].numpy()
        image.setflags(write=False)
        ground_truth.setflags(write=False)
        return image, ground_truth

    def _opened(self) -> Tour:
        assert self._tour is not None, "a source is used inside its with block"
        return self._tour
