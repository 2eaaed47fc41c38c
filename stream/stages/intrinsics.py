"""Intrinsics: what the settings know of a camera's lens goes along with each of its frames."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

from stream.frames import Dropped, Frame, Intrinsics, Size
from stream.runtime.worker import Body
from stream.settings import IntrinsicsSettings
from stream.sources.reconnect import closing

log = logging.getLogger(__name__)

SAME_SHAPE = 0.01
"""Images whose width / height is farther from that of the measured ones are cropped: the numbers are not theirs."""


def with_intrinsics(source: Body, settings: IntrinsicsSettings) -> Body:
    """``source``'s frames with the intrinsics at their own size; without, and one line in the log, where none fit."""

    def body(stopping: threading.Event) -> Iterator[Frame | Dropped]:
        known: dict[Size, Intrinsics | None] = {}
        with closing(source(stopping)) as frames:
            for frame in frames:
                if isinstance(frame, Dropped):
                    yield frame
                    continue
                if frame.size not in known:
                    known[frame.size] = intrinsics_at(frame.size, settings, frame.camera)
                yield replace(frame, intrinsics=known[frame.size])

    return body


def intrinsics_at(size: Size, settings: IntrinsicsSettings, camera: str) -> Intrinsics | None:
    """Those of images of ``size``; None where the measured ones have another shape."""
    if settings.fov_deg is not None:
        return Intrinsics.of_view(settings.fov_deg, size)
    assert settings.fx is not None, "checked by IntrinsicsSettings"
    assert settings.width is not None, "checked by IntrinsicsSettings"
    assert settings.height is not None, "checked by IntrinsicsSettings"
    measured = Size(settings.height, settings.width)
    if abs(size.width * measured.height / (size.height * measured.width) - 1) > SAME_SHAPE:
        log.warning(
            "%s: images are %s, its intrinsics were measured at %s, another shape: they are left out; measure them "
            "at %s, or give fov_deg",
            *(camera, size, measured, size),
        )
        return None
    cx = 0.5 * (measured.width - 1) if settings.cx is None else settings.cx
    cy = 0.5 * (measured.height - 1) if settings.cy is None else settings.cy
    fy = settings.fx if settings.fy is None else settings.fy
    return Intrinsics(settings.fx, fy, cx, cy, measured, calibrated=True).scaled_to(size)
