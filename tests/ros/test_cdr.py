"""The bytes of our messages against those of rosbags, a ROS-free implementation by other people."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from stream.errors import WireError
from stream.frames import Intrinsics, Size
from stream.ros.cdr import camera_info_bytes, image_bytes
from stream.ros.definitions import CAMERA_INFO, IMAGE
from stream.ros.messages import CameraInfoMessage, ImageMessage, camera_info, depth_image

STORES = [Stores.ROS2_HUMBLE, Stores.ROS2_JAZZY]
LAST_NS = 2**31 * 10**9 - 1

FRAME_IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
STAMPS = st.integers(0, LAST_NS)
DEPTHS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=23))
PIXELS = st.floats(-1e5, 1e5, allow_nan=False)


def reference_image(store: Any, image: ImageMessage) -> bytes:
    """The bytes that rosbags writes."""
    message = store.types[IMAGE.name](
        header=reference_header(store, image),
        height=image.height,
        width=image.width,
        encoding=image.encoding,
        is_bigendian=0,
        step=image.step,
        data=image.pixels.reshape(-1).view(np.uint8),
    )
    return bytes(store.serialize_cdr(message, IMAGE.name))


def reference_camera_info(store: Any, info: CameraInfoMessage) -> bytes:
    region = store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    message = store.types[CAMERA_INFO.name](
        header=reference_header(store, info),
        height=info.height,
        width=info.width,
        distortion_model=info.distortion_model,
        **{name: np.array(getattr(info, name), np.float64) for name in "dkrp"},
        binning_x=0,
        binning_y=0,
        roi=region,
    )
    return bytes(store.serialize_cdr(message, CAMERA_INFO.name))


def reference_header(store: Any, message: ImageMessage | CameraInfoMessage) -> Any:
    time = store.types["builtin_interfaces/msg/Time"](*message.stamp)
    return store.types["std_msgs/msg/Header"](time, message.frame_id)


@pytest.fixture(scope="module", params=STORES, ids=lambda store: store.value)
def store(request: pytest.FixtureRequest) -> Any:
    return get_typestore(request.param)


@pytest.mark.slow
@given(DEPTHS, STAMPS, FRAME_IDS, st.sampled_from(["32FC1", "16UC1"]))
@settings(max_examples=150, deadline=None)
def test_an_image_has_rosbags_bytes(store: Any, depth: np.ndarray, stamp_ns: int, frame_id: str, encoding: Any) -> None:
    """Any float32 at all, odd sizes, empty and long frame ids."""
    image = depth_image(depth, "metric", stamp_ns=stamp_ns, frame_id=frame_id, encoding=encoding)
    assert image_bytes(image) == reference_image(store, image)


@pytest.mark.slow
@given(st.tuples(PIXELS, PIXELS, PIXELS, PIXELS), st.integers(1, 16384), st.integers(1, 16384), STAMPS, FRAME_IDS)
@settings(max_examples=150, deadline=None)
def test_camera_info_has_rosbags_bytes(
    store: Any, pixels: Any, width: int, height: int, ns: int, frame_id: str
) -> None:
    """The doubles are aligned as in rosbags, for any preceding fields."""
    info = camera_info(Intrinsics(*pixels, Size(height, width)), stamp_ns=ns, frame_id=frame_id)
    assert camera_info_bytes(info) == reference_camera_info(store, info)


@pytest.mark.parametrize("frame_id", ["", "a", "cam0_optical_frame", "hof_ü_optical_frame", "x" * 5000])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 5), (47, 63), (480, 641)])
def test_usual_and_odd_sizes_have_rosbags_bytes(store: Any, shape: tuple[int, int], frame_id: str) -> None:
    """The same, by hand; also from an array with gaps between its rows."""
    depth = np.random.default_rng(0).uniform(-1, 70, (shape[0], 2 * shape[1])).astype(np.float32)[:, ::2]
    for encoding in ("32FC1", "16UC1"):
        image = depth_image(depth, "metric", stamp_ns=LAST_NS, frame_id=frame_id, encoding=encoding)
        assert image_bytes(image) == reference_image(store, image)


@pytest.mark.parametrize("definition", [IMAGE, CAMERA_INFO], ids=lambda d: d.name)
def test_definitions_are_those_of_ros(store: Any, definition: Any) -> None:
    """Parsed by rosbags alone, with no types of its own, ours has ROS's own type hash (REP 2016)."""
    ours = get_typestore(Stores.EMPTY)
    ours.register(get_types_from_msg(definition.text, definition.name))
    assert ours.hash_rihs01(definition.name) == store.hash_rihs01(definition.name)
    assert set(ours.fielddefs) <= set(store.fielddefs)


@pytest.mark.parametrize("frame_id", ["a\0b", "\ud800"])
def test_frame_ids_that_no_string_carries_are_refused(frame_id: str) -> None:
    """One line of ours."""
    image = depth_image(np.ones((2, 2), np.float32), "metric", stamp_ns=0, frame_id=frame_id)
    with pytest.raises(WireError, match=r"^[^\n]*choose another frame id$"):
        image_bytes(image)
