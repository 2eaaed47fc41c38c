"""The ROS 2 bridge up to the calls of rclpy: real messages over a real socket, fields against rosbags."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import zmq
from rosbags.typesys import Stores, get_typestore

from stream.client.subscriber import Subscriber
from stream.core.clock import Stamp
from stream.ros.cdr import camera_info_bytes, image_bytes
from stream.wire.header import Flags, WireIntegrity
from stream.wire.message import parse
from tests.examples.conftest import MakeMessage

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "ros2" / "depth_bridge.py"
STORE = get_typestore(Stores.ROS2_JAZZY)
PATIENCE_MS = 20_000
DEPTH = np.linspace(0.5, 9.0, 6 * 8, dtype=np.float32).reshape(6, 8)
DEPTH[0, :4] = [np.nan, np.inf, -1.0, 70.0]


@pytest.fixture(scope="module")
def bridge() -> ModuleType:
    """The script as a module; importing it needs no ROS."""
    spec = importlib.util.spec_from_file_location("depth_bridge", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def publisher() -> Iterator[zmq.Socket[bytes]]:
    with zmq.Context() as context, context.socket(zmq.XPUB) as socket:
        socket.linger, socket.rcvtimeo = 0, PATIENCE_MS
        socket.bind("tcp://127.0.0.1:*")
        yield socket


@pytest.fixture
def subscriber(publisher: zmq.Socket[bytes]) -> Iterator[Subscriber]:
    """Subscribed to depth/front, as the publisher knows."""
    with Subscriber(publisher.last_endpoint.decode().rstrip("\0"), "front") as reader:
        while publisher.recv() != b"\1depth/front\0":
            pass
        yield reader


def next_from(bridge: ModuleType, subscriber: Subscriber, **how: Any) -> Any:
    """The next answer about a frame; a busy machine may take longer than the bridge waits at a time."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while time.monotonic() < deadline:
        found = bridge.next_frame(subscriber, PATIENCE_MS, **how)
        if not (isinstance(found, str) and "no frame in" in found):
            return found
    return pytest.fail("no frame came")


def spoiled(message: bytes, place: int, value: int) -> bytes:
    changed = bytearray(message)
    changed[place] = value
    return bytes(changed)


def ros_object() -> Any:
    """Accepts new attributes, as a new message of rosidl does."""
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace()))


@pytest.mark.parametrize(("encoding", "ros_encoding"), [("F32", "32FC1"), ("F16", "32FC1"), ("U16", "16UC1")])
def test_a_frame_becomes_both_messages(
    bridge: ModuleType,
    publisher: zmq.Socket[bytes],
    subscriber: Subscriber,
    make_message: MakeMessage,
    encoding: str,
    ros_encoding: str,
) -> None:
    """Stamp and frame id of the capture in both, the pixels of the message, its size's intrinsics."""
    message = make_message(encoding, DEPTH, stamp=(stamp := Stamp.now()))
    publisher.send(message)
    image, info = next_from(bridge, subscriber)
    for part in (image, info):
        assert part.stamp.sec * 10**9 + part.stamp.nanosec == stamp.unix_ns
        assert part.frame_id == "front_optical_frame"
    assert (image.encoding, image.height, image.width) == (ros_encoding, 6, 8)
    assert (info.height, info.width, info.k[0], info.k[4], info.k[2], info.k[5]) == (6, 8, 50.0, 51.0, 3.5, 2.5)
    sent = parse(message)
    expected = sent.array() if encoding == "U16" else np.where(sent.depth() > 0, sent.depth(), np.nan)
    np.testing.assert_array_equal(image.pixels, expected)


def test_the_fields_of_ros_messages_are_filled(bridge: ModuleType, make_message: MakeMessage) -> None:
    """Serialised by rosbags, the filled messages equal our own bytes; pixels are an array of bytes."""
    image, info = bridge.to_ros(parse(make_message("F32", DEPTH)))
    filled = bridge.fill_image(ros_object(), image)
    assert filled.data.typecode == "B"
    filled.data = np.frombuffer(filled.data, np.uint8)
    assert bytes(STORE.serialize_cdr(typed("Image", filled), "sensor_msgs/msg/Image")) == image_bytes(image)
    filled = bridge.fill_camera_info(ros_object(), info)
    for name in "dkrp":
        setattr(filled, name, np.array(getattr(filled, name), np.float64))
    filled.binning_x = filled.binning_y = 0
    filled.roi = STORE.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    message = STORE.serialize_cdr(typed("CameraInfo", filled), "sensor_msgs/msg/CameraInfo")
    assert bytes(message) == camera_info_bytes(info)


def typed(name: str, filled: SimpleNamespace) -> Any:
    """Convert to rosbags' class of that name, which refuses unknown and missing fields."""
    types, header = STORE.types, filled.header
    stamp = types["builtin_interfaces/msg/Time"](**vars(header.stamp))
    fields = vars(filled) | {"header": types["std_msgs/msg/Header"](stamp, header.frame_id)}
    return types[f"sensor_msgs/msg/{name}"](**fields)


@pytest.mark.parametrize("kind", ["relative", "relative_inverse"])
def test_relative_depth_ends_the_bridge(
    bridge: ModuleType, publisher: zmq.Socket[bytes], subscriber: Subscriber, make_message: MakeMessage, kind: str
) -> None:
    """One line that says why, and what to do."""
    publisher.send(make_message("F32", DEPTH, kind=kind))
    with pytest.raises(bridge.NotMetres, match=rf"^depth/front is {kind}, not metres[^\n]*metric network[^\n]*$"):
        next_from(bridge, subscriber)


def test_random_weights_end_the_bridge(bridge: ModuleType, make_message: MakeMessage) -> None:
    """Their metres mean nothing."""
    header = parse(spoiled(make_message("F32", DEPTH), 115, 32)).header
    with pytest.raises(bridge.NotMetres, match="random weights"):
        bridge.check_metric(header)


def test_old_and_damaged_frames_are_left_out(
    bridge: ModuleType, publisher: zmq.Socket[bytes], subscriber: Subscriber, make_message: MakeMessage
) -> None:
    """The next good one is published."""
    now = Stamp.now()
    late = Stamp(now.mono_ns, now.unix_ns - 2 * PATIENCE_MS * 1_000_000)
    sound = make_message("F32", DEPTH, seq=4)
    publisher.send(make_message("F32", DEPTH, seq=3, stamp=late))
    assert " ms old, more than max_age_ms = 20000; left out" in next_from(bridge, subscriber)
    publisher.send(spoiled(sound, 228, WireIntegrity.FROZEN))
    assert next_from(bridge, subscriber) == "depth/front 4: the image was frozen; left out"
    publisher.send(spoiled(sound, 228, WireIntegrity.FROZEN))
    assert next_from(bridge, subscriber, damaged=True).image.height == 6
    publisher.send(spoiled(sound, 208 + 4, 1))
    assert "left out: depth/front 4: the payload is damaged" in next_from(bridge, subscriber)
    publisher.send(sound)
    assert next_from(bridge, subscriber, frame="base_camera").info.frame_id == "base_camera"


def test_guessed_metres_are_left_out_by_default(
    bridge: ModuleType, publisher: zmq.Socket[bytes], subscriber: Subscriber, make_message: MakeMessage
) -> None:
    """A ROS image cannot say that its metres are a guess."""
    guess = spoiled(make_message("F32", DEPTH, seq=4), 115, Flags.SCALE_GUESSED)
    publisher.send(guess)
    assert "depth/front 4: its metres are a guess; left out" in next_from(bridge, subscriber)
    publisher.send(guess)
    assert next_from(bridge, subscriber, guessed=True).image.height == 6


@pytest.mark.slow
def test_silence_is_reported(bridge: ModuleType, subscriber: Subscriber) -> None:
    """One line has the reason; the node goes on."""
    told = bridge.next_frame(subscriber, PATIENCE_MS)
    assert "depth/front at tcp://127.0.0.1" in told
    assert "no frame in 1 s" in told
    assert "\n" not in told


def test_unknown_intrinsics_are_not_invented(bridge: ModuleType, make_message: MakeMessage) -> None:
    """An image alone."""
    assert bridge.to_ros(parse(make_message("F32", DEPTH, intrinsics=False))).info is None


def test_a_long_name_keeps_its_frame_id(bridge: ModuleType, make_message: MakeMessage) -> None:
    """The header's field is shorter than the topic: recordings and the live graph name the same frame."""
    camera = "a_camera_with_a_name_of_forty_characters"
    message = parse(make_message("F32", DEPTH, camera=camera))
    assert len(message.header.frame_id) == 31
    assert bridge.to_ros(message).image.frame_id == f"{camera}_optical_frame"
