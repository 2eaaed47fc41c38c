"""Every frame gets the intrinsics of the settings, at its own size."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import pytest

from stream.core.config_file import parse
from stream.errors import SettingsError
from stream.frames import Dropped, Frame, Intrinsics, Size
from stream.settings import IntrinsicsSettings, VideoCamera
from stream.stages.intrinsics import with_intrinsics

FrameMaker = Callable[..., Frame]
MEASURED = IntrinsicsSettings(fx=525.0, fy=520.0, cx=319.5, cy=239.5, width=640, height=480)


def frames_with(settings: IntrinsicsSettings, *items: Frame | Dropped) -> list[Frame | Dropped]:
    def source(stopping: threading.Event) -> Iterator[Frame | Dropped]:
        yield from items

    return list(with_intrinsics(source, settings)(threading.Event()))


def test_measured_numbers_follow_the_images_size(make_frame: FrameMaker) -> None:
    """Half the size, half the focal length; the centre of the image stays the centre."""
    (frame,) = frames_with(MEASURED, make_frame(height=240, width=320))
    assert frame.intrinsics == Intrinsics(262.5, 260.0, 159.5, 119.5, Size(240, 320), calibrated=True)


def test_a_field_of_view_is_enough(make_frame: FrameMaker) -> None:
    """90 degrees: the focal length is half the width. A data sheet's number counts as no calibration."""
    (frame,) = frames_with(IntrinsicsSettings(fov_deg=90), make_frame(height=480, width=640))
    assert frame.intrinsics is not None
    assert frame.intrinsics.fx_px == pytest.approx(320)
    assert (frame.intrinsics.cx_px, frame.intrinsics.cy_px) == (319.5, 239.5)
    assert not frame.intrinsics.calibrated


def test_the_view_of_measured_numbers_is_that_of_the_lens() -> None:
    """Both ways agree."""
    fov_deg = math.degrees(2 * math.atan(0.5 * 640 / 525))
    assert Intrinsics.of_view(fov_deg, Size(480, 640)).fx_px == pytest.approx(525)


def test_images_of_another_shape_are_another_cameras(make_frame: FrameMaker, caplog: pytest.LogCaptureFixture) -> None:
    """A cropped mode: numbers are left out, and one line says why."""
    frames = frames_with(MEASURED, *(make_frame(seq, height=360, width=640) for seq in range(3)))
    assert [frame.intrinsics for frame in frames] == [None] * 3
    assert len(caplog.records) == 1
    assert "640x360, its intrinsics were measured at 640x480" in caplog.text


def test_what_is_dropped_passes(make_frame: FrameMaker) -> None:
    """Dropped frames pass through unchanged."""
    dropped = Dropped((make_frame(),), "rate")
    assert frames_with(MEASURED, dropped) == [dropped]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "give fov_deg, or fx with the width and height"),
        ({"fx": 500}, "give fov_deg, or fx with the width and height"),
        ({"fov_deg": 70, "fx": 500}, "give fov_deg alone"),
        ({"fov_deg": 180}, "fov_deg"),
        ({"fx": -1, "width": 640, "height": 480}, "fx"),
    ],
)
def test_incomplete_lenses_are_refused(table: dict[str, float], said: str) -> None:
    """The message names the keys to give."""
    data = {"source": "video", "path": "a.mp4", "intrinsics": table}
    with pytest.raises(SettingsError, match=said):
        parse(VideoCamera, data, origin="test.toml")
