"""Conversion of depth by REP 103, 117 and 118, number by number."""

from __future__ import annotations

import numpy as np
import pytest

from stream.errors import WireError
from stream.frames import Intrinsics, Size
from stream.ros.messages import camera_info, depth_image, ros_time
from stream.ros.names import camera_info_topic, frame_id, image_topic

NAN, INF = np.float32(np.nan), np.float32(np.inf)


def pixels(depth: list[float], encoding: str) -> list[float]:
    array = np.array([depth], np.float32)
    return depth_image(array, "metric", stamp_ns=0, frame_id="", encoding=encoding).pixels[0].tolist()


def test_metres_keep_what_rep_117_gives_a_meaning() -> None:
    """NaN, +Inf and -Inf stay; every positive number stays to the bit; no distance is zero or negative."""
    kept = [0.25, 1.0, 65.6, 1e30, float(np.float32(1e-40)), INF, -INF]
    assert pixels(kept, "32FC1") == np.array(kept, np.float32).tolist()
    assert np.isnan(pixels([NAN, 0.0, -0.0, -1.5, -1e30], "32FC1")).all()


def test_millimetres_are_never_a_wrong_distance() -> None:
    """Rounded; 0 for what is unknown, infinite, negative, too near or too far for 16 bits."""
    assert pixels([1.0, 0.0014, 0.0016, 65.535, 65.5354], "16UC1") == [1000, 1, 2, 65535, 65535]
    assert pixels([NAN, INF, -INF, -1.0, 0.0, -0.0, 0.0004, 65.536, 66.0, 1e38], "16UC1") == [0] * 10


def test_all_millimetres_come_back_from_metres() -> None:
    """All 65,535 of them, by float32 metres as our wire decodes them."""
    steps = np.arange(1, 65536, dtype=np.uint16)[None]
    image = depth_image(steps * np.float32(0.001), "metric", stamp_ns=0, frame_id="", encoding="16UC1")
    np.testing.assert_array_equal(image.pixels, steps)


def test_the_depth_map_itself_is_never_changed() -> None:
    """It belongs to the other sinks too."""
    depth = np.array([[-1.0, 0.0, 2.0]], np.float32)
    depth.flags.writeable = False
    assert np.isnan(depth_image(depth, "metric", stamp_ns=0, frame_id="").pixels[0, :2]).all()
    assert depth.tolist() == [[-1.0, 0.0, 2.0]]


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_relative_depth_is_refused(kind: str) -> None:
    """It is not metres, and the message says so."""
    with pytest.raises(WireError, match=rf"^{kind} depth has no unit and is not metres[^\n]*metric network[^\n]*$"):
        depth_image(np.ones((2, 2), np.float32), kind, stamp_ns=0, frame_id="")


def test_only_images_become_images() -> None:
    """Two dimensions."""
    with pytest.raises(WireError, match=r"not the shape \(2, 2, 1\)"):
        depth_image(np.ones((2, 2, 1), np.float32), "metric", stamp_ns=0, frame_id="")


def test_camera_info_projects_as_our_intrinsics_do() -> None:
    """K and P times a point give the pixel; after resizing, the same place of the image (edges, not centres)."""
    at_vga = Intrinsics(600.0, 610.0, 319.5, 241.0, Size(480, 640))
    point = np.array([0.3, -0.2, 2.0])
    at_qvga = camera_info(at_vga.scaled_to(Size(240, 320)), stamp_ns=5, frame_id="f")
    assert (at_qvga.width, at_qvga.height) == (320, 240)
    k, p = np.reshape(at_qvga.k, (3, 3)), np.reshape(at_qvga.p, (3, 4))
    u, v = (k @ point)[:2] / 2.0
    assert ((u + 0.5) * 2 - 0.5, (v + 0.5) * 2 - 0.5) == pytest.approx((600 * 0.15 + 319.5, 610 * -0.1 + 241.0))
    np.testing.assert_array_equal(p, np.hstack([k, np.zeros((3, 1))]))
    assert at_qvga.d == (0.0,) * 5
    np.testing.assert_array_equal(np.reshape(at_qvga.r, (3, 3)), np.eye(3))


def test_times_are_whole_nanoseconds() -> None:
    """Nothing is rounded; what 31 bits of seconds do not hold is refused."""
    assert ros_time(1_700_000_000_123_456_789) == (1_700_000_000, 123_456_789)
    assert ros_time(2**31 * 10**9 - 1) == (2**31 - 1, 999_999_999)
    for stamp_ns in (-1, 2**31 * 10**9):
        with pytest.raises(WireError, match="does not fit into a ROS time"):
            ros_time(stamp_ns)


@pytest.mark.parametrize(
    ("camera", "token"),
    [
        ("front", "front"),
        ("cam_1", "cam_1"),
        ("yard/2", "yard_2"),
        ("2nd", "camera_2nd"),
        ("_hidden", "hidden"),
        ("a__b - c", "a_b_c"),
        ("höhe", "h_he"),
        ("--", "camera"),
    ],
)
def test_topics_are_names_that_ros_takes(camera: str, token: str) -> None:
    """Letters, digits, single underscores; a letter first. The frame id keeps the camera's own name."""
    assert image_topic(camera) == f"/{token}/depth/image_rect_raw"
    assert camera_info_topic(camera) == f"/{token}/depth/camera_info"
    assert frame_id(camera) == f"{camera}_optical_frame"
