"""Intrinsics: attach the camera's lens from the settings to each of its frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

from stream.frames import Dropped, Frame, Intrinsics, Size
from stream.runtime.worker import Body
from stream.settings import IntrinsicsSettings
from stream.sources.base import closing_frames

log = logging.getLogger(__name__)

ASPECT_TOLERANCE = 0.01
"""Largest relative difference in aspect ratio from the measured images; beyond it the images are cropped, and the
measured numbers do not apply."""


def with_intrinsics(source: Body, settings: IntrinsicsSettings) -> Body:
    """Yield the frames of ``source`` with intrinsics scaled to their size.

    If the settings do not fit a frame's size, frames of that size go on without intrinsics, and the log says so once.
    """

    def body(stopping: threading.Event) -> Iterator[Frame | Dropped]:
        known: dict[Size, Intrinsics | None] = {}
        with closing_frames(source(stopping)) as frames:
            for frame in frames:
                if isinstance(frame, Dropped):
                    yield frame
                    continue
                if frame.size not in known:  # once per size, because ``intrinsics_at`` logs
                    known[frame.size] = intrinsics_at(frame.size, settings, frame.camera)
                yield replace(frame, intrinsics=known[frame.size])

    return body


def intrinsics_at(size: Size, settings: IntrinsicsSettings, camera: str) -> Intrinsics | None:
    """The intrinsics of images of ``size``; None if the measured images have another aspect ratio."""
    if settings.fov_deg is not None:
        return Intrinsics.of_view(settings.fov_deg, size)
    assert settings.fx is not None, "checked by IntrinsicsSettings"
    assert settings.width is not None, "checked by IntrinsicsSettings"
    assert settings.height is not None, "checked by IntrinsicsSettings"
    measured = Size(settings.height, settings.width)
    if abs(size.width * measured.height / (size.height * measured.width) - 1) > ASPECT_TOLERANCE:
        log.warning(
            "%s: images are %s, its intrinsics were measured at %s, another shape: they are left out; measure them "
            "at %s, or give fov_deg",
            *(camera, size, measured, size),
        )
        return None
    # Pixel centres have whole coordinates, so the middle is half a pixel before half the width.
    cx = 0.5 * (measured.width - 1) if settings.cx is None else settings.cx
    cy = 0.5 * (measured.height - 1) if settings.cy is None else settings.cy
    fy = settings.fx if settings.fy is None else settings.fy
    # Measured numbers are a calibration; a field of view from a data sheet is none.
    return Intrinsics(settings.fx, fy, cx, cy, measured, calibrated=True).scaled_to(size)
