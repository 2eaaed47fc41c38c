"""A ROS 2 node that publishes a stream of metric depth as sensor_msgs/Image and sensor_msgs/CameraInfo.

    python3 depth_bridge.py --ros-args -p endpoint:=tcp://127.0.0.1:5560 -p stream:=front

Parameters: README.md. Everything above ``main`` runs, and is tested, without ROS.
"""

from __future__ import annotations

import sys
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stream.client.client_keys import ClientKeys
from stream.client.subscriber import Subscriber
from stream.errors import StaleFrame, UsageError, WireError
from stream.ros.messages import CameraInfoMessage, ImageMessage, camera_info, depth_image
from stream.ros.names import camera_info_topic, frame_id, image_topic
from stream.wire.header import Encoding, Flags, Header, WireIntegrity, WireKind
from stream.wire.message import Message

if TYPE_CHECKING:
    from rclpy.node import Node

WAIT_S = 1.0
"""For the next frame; also how long the node takes to notice that it is to end."""
REPEAT_S = 5.0
"""A warning is not repeated sooner."""


class NotMetres(Exception):
    """This stream must not be published as distances; it will not get better by waiting."""


class Frame(NamedTuple):
    """What is published of one depth frame."""

    image: ImageMessage
    info: CameraInfoMessage | None
    """None: the camera's intrinsics are not known."""


def next_frame(
    subscriber: Subscriber, max_age_ms: float, frame: str = "", *, damaged: bool = False, guessed: bool = False
) -> Frame | str:
    """The next frame, or why there is none to publish now. Raises NotMetres.

    ``frame``: the frame id, if not the stream's own; ``damaged``: also frames of damaged, frozen or black images;
    ``guessed``: also metres that are a guess.
    """
    try:
        message = subscriber.read(WAIT_S)
    except StaleFrame as stale:
        return str(stale)
    header = message.header
    check_metric(header)
    if (age_ms := subscriber.age_ms(message)) > max_age_ms:
        return f"{header.topic} {header.seq}: {age_ms:.0f} ms old, more than max_age_ms = {max_age_ms:g}; left out"
    if header.integrity != WireIntegrity.CLEAN and not damaged:
        return f"{header.topic} {header.seq}: the image was {header.integrity.name.lower()}; left out"
    if Flags.SCALE_GUESSED in header.flags and not guessed:
        return (
            f"{header.topic} {header.seq}: its metres are a guess; left out: give the camera's intrinsics to the "
            "publisher, or set publish_guessed"
        )
    try:
        return to_ros(message, frame)
    except WireError as error:
        return f"{header.topic} {header.seq}: left out: {error}"


def check_metric(header: Header) -> None:
    """Raises NotMetres for depth without a unit, and for that of a network that was never trained."""
    if header.kind != WireKind.METRIC:
        raise NotMetres(
            f"{header.topic} is {header.kind.name.lower()}, not metres; a robot that took it for distances would drive "
            "into things: publish with a metric network (depthstream models list)"
        )
    if Flags.RANDOM_WEIGHTS in header.flags:
        raise NotMetres(f"{header.topic} comes from a network with random weights, made for speed tests only")


def to_ros(message: Message, frame: str = "") -> Frame:
    """Millimetres stay millimetres (16UC1), everything else becomes 32FC1. Raises WireError for a damaged payload."""
    header, intrinsics = message.header, message.intrinsics
    whole = frame_id(header.stream)
    # The header's field is short: a long name's end may be missing there, and not here.
    named = frame or (whole if whole.startswith(header.frame_id) else header.frame_id)
    common: Any = {"stamp_ns": header.capture_ns, "frame_id": named}
    encoding: Any = "16UC1" if header.encoding == Encoding.U16 else "32FC1"
    image = depth_image(message.depth(), "metric", encoding=encoding, **common)
    return Frame(image, camera_info(intrinsics, **common) if intrinsics else None)


def fill_image(target: Any, image: ImageMessage) -> Any:
    """``target``: a new sensor_msgs.msg.Image."""
    _fill_header(target, image)
    target.height, target.width, target.encoding = image.height, image.width, image.encoding
    target.is_bigendian, target.step = 0, image.step
    target.data = array("B", image.pixels.tobytes())  # rosidl takes an array as it is, and checks bytes one by one
    return target


def fill_camera_info(target: Any, info: CameraInfoMessage) -> Any:
    """``target``: a new sensor_msgs.msg.CameraInfo, whose other fields are zero."""
    _fill_header(target, info)
    target.height, target.width, target.distortion_model = info.height, info.width, info.distortion_model
    target.d, target.k, target.r, target.p = list(info.d), list(info.k), list(info.r), list(info.p)
    return target


def _fill_header(target: Any, message: ImageMessage | CameraInfoMessage) -> None:
    target.header.stamp.sec, target.header.stamp.nanosec = message.stamp
    target.header.frame_id = message.frame_id


def main() -> int:
    import rclpy
    from rclpy.executors import ExternalShutdownException

    rclpy.init()
    node = rclpy.create_node("depth_bridge")
    try:
        return relay(node)
    except (NotMetres, UsageError) as error:
        node.get_logger().fatal(str(error))
        return 1
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def relay(node: Node) -> int:
    """Publish until ROS ends."""
    import rclpy
    from sensor_msgs.msg import CameraInfo, Image

    def parameter(name: str, default: Any) -> Any:
        return node.declare_parameter(name, default).value

    endpoint, stream = parameter("endpoint", "tcp://127.0.0.1:5560"), parameter("stream", "front")
    folder, max_age_ms = parameter("keys", ""), parameter("max_age_ms", 500.0)
    frame = parameter("frame_id", "")
    also = {"damaged": parameter("publish_damaged", False), "guessed": parameter("publish_guessed", False)}
    images = node.create_publisher(Image, parameter("image_topic", image_topic(stream)), 5)
    infos = node.create_publisher(CameraInfo, parameter("camera_info_topic", camera_info_topic(stream)), 5)
    keys = ClientKeys.from_folder(Path(folder).expanduser()) if folder else None
    log = node.get_logger()
    with Subscriber(endpoint, stream, keys=keys) as subscriber:
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=0.0)
            found = next_frame(subscriber, max_age_ms, frame, **also)
            if isinstance(found, str):
                log.warning(found, throttle_duration_sec=REPEAT_S)
                continue
            images.publish(fill_image(Image(), found.image))
            if found.info:
                infos.publish(fill_camera_info(CameraInfo(), found.info))
            else:
                log.warning("the camera's intrinsics are not known: no camera_info", once=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
