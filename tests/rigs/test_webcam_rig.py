"""Webcams on a real driver: what it offers, images, colours, times; unplugged, hung, busy, damaged.

One boot of a virtual machine for all of these tests; what it did is in webcam_guest.py.
"""

from __future__ import annotations

import json
import sys
from statistics import median
from typing import Any

import numpy as np
import pytest

from tests.rigs.vivid import missing, run_beside_camera

pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(missing()), reason=missing())]

Seen = dict[str, Any]
BARS_BGR = [(191 * (n & 1), 191 * (n >> 2), 191 * (n >> 1 & 1)) for n in (7, 6, 5, 4, 3, 2, 1, 0)]
"""75 % colour bars in BGR: white, yellow, cyan, green, magenta, red, blue, black."""
SOON_S = 2.0
"""Seconds: everything takes milliseconds of the guest, which is ten times slower than a computer."""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The results of the guest, by check."""
    shared = tmp_path_factory.mktemp("vivid")
    ran = run_beside_camera([sys.executable, "-m", "tests.rigs.webcam_guest", "/mnt/results.json"], shared)
    results = shared / "results.json"
    checks: Seen = json.loads(results.read_text()) if results.is_file() else {}
    assert ran.status == 0, f"the guest ended after {list(checks)[-1:]}:\n{ran.console[-3000:]}"
    return checks


def of(seen: Seen, name: str) -> Seen:
    """The result of one check."""
    facts: Seen = seen[name]
    assert "failed" not in facts, facts["failed"]
    return facts


@pytest.mark.parametrize(("name", "size", "count"), [("small", "640x360", 60), ("large", "1920x1080", 8)])
def test_images_have_the_requested_size(seen: Seen, name: str, size: str, count: int) -> None:
    """Every image is numbered, whole, of the requested size, and still readable after closing."""
    facts = of(seen, name)
    assert facts["about"].startswith(f"webcam /dev/video0 (vivid): {size}, ")
    assert facts["sizes"] == [size]
    # A guest that is too slow for the size skips images, and their numbers with them.
    assert len(facts["seqs"]) == count
    assert facts["seqs"] == sorted(set(facts["seqs"]))
    assert facts["integrity"] == ["clean"]
    assert facts["whole"]
    assert min(facts["levels"]) > 50


def test_the_driver_stamps_the_time_of_capture(seen: Seen) -> None:
    """Stamps are on the monotonic clock, evenly spaced, and agree with the wall clock."""
    facts = of(seen, "small")
    assert facts["stamps"] == ["device"] * 60
    assert min(facts["ages_s"]) >= 0
    assert median(facts["ages_s"]) < 0.5
    assert min(facts["steps_s"]) >= 0
    assert facts["wall_off_s"] < 0.1


def test_a_time_in_the_future_is_ignored(seen: Seen) -> None:
    """If a driver states the end of the exposure ahead of time, the arrival counts."""
    facts = of(seen, "ahead")
    assert facts["stamps"] == ["arrival"] * 10
    assert min(facts["ages_s"]) >= 0


def test_every_pixel_format_shows_the_same_colours(seen: Seen) -> None:
    """The driver's colour bars agree for every order and number of bytes."""
    formats = of(seen, "colours")["formats"]
    assert {"yuyv422", "uyvy422", "nv12", "yuv420p", "yuv422p", "rgb24", "bgr24", "gray"} <= set(formats)
    for name, shown in formats.items():
        assert shown["about"].endswith(name)
        bars = np.array(shown["bars"])
        if name.startswith("gray"):
            assert (bars == bars[:, :1]).all(), name
            assert (np.diff(bars[:, 0]) < 0).all(), f"{name}: from white to black"
        else:
            assert np.abs(bars - BARS_BGR).max() <= 16, f"{name}: {bars.tolist()}"


def test_a_rate_that_is_not_available_is_reported(seen: Seen) -> None:
    """At a request for 30 the camera gives 12.5: one warning, and the real rate in the description."""
    facts = of(seen, "slower_than_asked")
    [warning] = facts["warnings"]
    assert warning.startswith("camera rig: asked for 1280x720, 30 fps, it gives 1280x720, 12.5 fps")
    assert "1280x720, 12.5 fps" in facts["about"]
    assert facts["step_s"] == pytest.approx(1 / 12.5, rel=0.5)


def test_a_fulfilled_request_causes_no_warning(seen: Seen) -> None:
    """This covers size, rate and pixel format."""
    facts = of(seen, "as_asked")
    assert facts["warnings"] == []
    assert "640x360, 15 fps, nv12" in facts["about"]
    assert facts["step_s"] == pytest.approx(1 / 15, rel=0.5)


def test_the_first_image_is_fresh(seen: Seen) -> None:
    """Images captured before the first read are not shown."""
    assert of(seen, "fresh_after_a_pause")["age_s"] < 1.0


def test_a_format_that_is_not_offered_is_refused_with_those_that_are(seen: Seen) -> None:
    """One format is missing in vivid, the other does not exist."""
    facts = of(seen, "not_offered")
    for name, asked in (("mjpeg", "mjpeg"), ("nonsense", "blue")):
        error = facts[name]
        assert error.startswith(f'SourceError: webcam /dev/video0: does not offer pixel_format = "{asked}"; it offers ')
        assert "yuyv422" in error


def test_a_camera_in_use_is_reported(seen: Seen) -> None:
    """The other reader is not disturbed."""
    facts = of(seen, "busy")
    assert (facts["first"], facts["works_again"]) == (2, 5)
    assert "another program uses it; close that (fuser -v /dev/video0" in facts["second"]


def test_nodes_that_give_no_images_are_no_cameras(seen: Seen) -> None:
    """vivid has an output and other nodes besides the camera."""
    facts = of(seen, "not_a_camera")
    assert facts["cameras"] == ["/dev/video0"]
    assert facts["others"]
    assert all("it is no camera" in error for error in facts["others"].values())


def test_a_camera_that_is_not_there(seen: Seen) -> None:
    """The message lists the available camera."""
    error = of(seen, "not_there")["error"]
    assert error == "SourceError: webcam /dev/video9: no such camera; cameras here: /dev/video0 (vivid)"


def test_a_camera_that_may_not_be_opened(seen: Seen) -> None:
    """For a user other than root, the error and the list suggest what to do."""
    facts = of(seen, "no_permission")
    assert "cannot be opened: no permission; sudo usermod -aG video" in facts["error"]
    assert facts["listed"]
    assert all("usermod -aG video" in trouble for trouble in facts["listed"])


@pytest.mark.parametrize(
    ("name", "words"), [("unplugged", "it was unplugged"), ("driver_gives_up", "the driver gave up")]
)
def test_a_camera_that_breaks_off_is_reported_at_once(seen: Seen, name: str, words: str) -> None:
    """The same process can open it again."""
    facts = of(seen, name)
    assert facts["error"].startswith(f"SourceError: webcam /dev/video0: {words}")
    assert facts["after_s"] < SOON_S
    assert facts["works_again"] == 5


def test_a_camera_that_hangs_is_a_stall(seen: Seen) -> None:
    """The error comes after stall_s = 1.5 s."""
    facts = of(seen, "hangs")
    assert facts["error"].startswith("SourceStalled: webcam /dev/video0: no image for 1.5 s; ")
    assert facts["after_s"] < 1.5 + SOON_S
    assert facts["works_again"] == 5


def test_a_camera_that_hangs_does_not_hold_up_the_end(seen: Seen) -> None:
    """It ends within 2 s of stopping."""
    facts = of(seen, "stops_while_it_hangs")
    assert facts["took_s_to_stop"] < 2.0
    assert facts["works_again"] == 5


def test_lost_images_do_not_end_the_stream(seen: Seen) -> None:
    """The driver drops every second image."""
    steps_s = of(seen, "half_of_the_images_lost")["steps_s"]
    assert len(steps_s) == 29
    assert max(steps_s) > 1.5 * min(steps_s)


def test_a_bad_image_does_not_end_the_stream(seen: Seen) -> None:
    """The image that the driver marks is tainted, later ones are not."""
    facts = of(seen, "bad_image")
    assert facts["integrity"].count("tainted") == 1
    assert facts["integrity"][-1] == "clean"
    assert facts["log"] == ["vivid: bad image, shown as tainted"]


@pytest.mark.parametrize("name", ["does_not_start", "no_buffers"])
def test_a_camera_that_does_not_start_is_not_blocked(seen: Seen, name: str) -> None:
    """The next try in the same process finds it free."""
    facts = of(seen, name)
    assert facts["error"].startswith("SourceError: webcam /dev/video0: cannot be opened: ")
    assert facts["works_again"] == 5


def test_an_unplugged_camera_comes_back_by_itself(seen: Seen) -> None:
    """Reconnecting reopens it, as in a pipeline, and frame numbers continue."""
    facts = of(seen, "reconnects")
    assert facts["seqs"] == list(range(21))
    assert facts["reconnects"] == 1
    assert "vivid" in facts["about"]


def test_opencv_reads_the_same_camera(seen: Seen) -> None:
    """OpenCV, the reader for other systems, runs on this driver."""
    facts = of(seen, "by_opencv")
    assert facts["sizes"] == ["640x360"]
    assert facts["about"].startswith("webcam 0: 640x360, ")
    bars = np.array(facts["bars"])
    assert np.abs(bars[0] - 191).max() <= 16, "white"
    assert np.abs(bars[5] - (0, 0, 191)).max() <= 16, "red"


def test_the_list_has_sizes_and_rates(seen: Seen) -> None:
    """Check both the table and the JSON."""
    facts = of(seen, "listed")
    assert "/dev/video0" in facts["table"]
    [device] = facts["json"]
    assert (device["name"], device["driver"], device["trouble"]) == ("vivid", "vivid", "")
    by_name = {offered["pixel_format"]: offered for offered in device["formats"]}
    modes = {f"{mode['width']}x{mode['height']}": mode["fps"] for mode in by_name["yuyv422"]["modes"]}
    assert {"320x180", "640x360", "1280x720", "1920x1080"} <= set(modes)
    assert max(modes["1280x720"]) == 12.5
    assert max(modes["640x360"]) >= 25


def test_nothing_is_left_behind(seen: Seen) -> None:
    """No file, mapping or thread is left, and torch was not imported."""
    facts = of(seen, "left_behind")
    assert (facts["files"], facts["maps"], facts["torch"], facts["threads"]) == ([], [], False, ["MainThread"])
