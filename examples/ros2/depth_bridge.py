"""A ROS 2 node that publishes a stream of metric depth as sensor_msgs/Image and sensor_msgs/CameraInfo.

    python3 depth_bridge.py --ros-args -p endpoint:=tcp://127.0.0.1:5560 -p stream:=front

README.md lists the parameters. Everything above ``main`` runs, and is tested, without ROS.
"""

from __future__ import annotations

import sys
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from stream.client import ClientKeys, Subscriber
from stream.errors import StaleFrame, UsageError, WireError
from stream.ros.messages import CameraInfoMessage, ImageMessage, camera_info, depth_image
from stream.ros.names import camera_info_topic, frame_id, image_topic
from stream.wire import Encoding, Flags, Header, Message, WireIntegrity, WireKind

if TYPE_CHECKING:
    from rclpy.node import Node

WAIT_S = 1.0
"""Longest wait for the next frame; it also bounds how long the node takes to stop."""
REPEAT_S = 5.0
"""Shortest interval between two equal warnings."""


class NotMetres(Exception):
    """The stream must not be published as distances, and waiting does not help."""


class Frame(NamedTuple):
    """The ROS messages of one depth frame."""

    image: ImageMessage
    info: CameraInfoMessage | None
    """None if the camera's intrinsics are not known."""


def next_frame(
    subscriber: Subscriber, max_age_ms: float, frame: str = "", *, damaged: bool = False, guessed: bool = False
) -> Frame | str:
    """The next frame, or the reason why there is none to publish now. Raises NotMetres.

    ``frame`` replaces the stream's own frame id. ``damaged`` admits frames of damaged, frozen or black images,
    ``guessed`` admits metres that are a guess.
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
    """Raise NotMetres for depth without a unit, and for depth of a network that was never trained."""
    if header.kind != WireKind.METRIC:
        raise NotMetres(
            f"{header.topic} is {header.kind.name.lower()}, not metres; a robot that took it for distances would drive "
            "into things: publish with a metric network (depthstream models list)"
        )
    if Flags.RANDOM_WEIGHTS in header.flags:
        raise NotMetres(f"{header.topic} comes from a network with random weights, made for speed tests only")


def to_ros(message: Message, frame: str = "") -> Frame:
    """Convert a message: millimetres become 16UC1, all other depth 32FC1. Raises WireError for a damaged payload."""
    header, intrinsics = message.header, message.intrinsics
    full_name = frame_id(header.stream)
    # The header's field is short and cuts a long name, so the whole name is derived from the stream.
    name = frame or (full_name if full_name.startswith(header.frame_id) else header.frame_id)
    common: Any = {"stamp_ns": header.capture_ns, "frame_id": name}
    encoding: Any = "16UC1" if header.encoding == Encoding.U16 else "32FC1"
    image = depth_image(message.depth(), "metric", encoding=encoding, **common)
    return Frame(image, camera_info(intrinsics, **common) if intrinsics else None)


def fill_image(target: Any, image: ImageMessage) -> Any:
    """Fill and return ``target``, a new sensor_msgs.msg.Image."""
    _fill_header(target, image)
    target.height, target.width, target.encoding = image.height, image.width, image.encoding
    target.is_bigendian, target.step = 0, image.step
    target.data = array("B", image.pixels.tobytes())  # rosidl stores an array as it is, but checks bytes one by one
    return target


def fill_camera_info(target: Any, info: CameraInfoMessage) -> Any:
    """Fill and return ``target``, a new sensor_msgs.msg.CameraInfo whose other fields are zero."""
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
    """Publish frames until ROS shuts down; returns the exit status."""
    import rclpy
    from sensor_msgs.msg import CameraInfo, Image

    def parameter(name: str, default: Any) -> Any:
        return node.declare_parameter(name, default).value

    endpoint, stream = parameter("endpoint", "tcp://127.0.0.1:5560"), parameter("stream", "front")
    folder, max_age_ms = parameter("keys", ""), parameter("max_age_ms", 500.0)
    frame = parameter("frame_id", "")
    admitted = {"damaged": parameter("publish_damaged", False), "guessed": parameter("publish_guessed", False)}
    images = node.create_publisher(Image, parameter("image_topic", image_topic(stream)), 5)
    infos = node.create_publisher(CameraInfo, parameter("camera_info_topic", camera_info_topic(stream)), 5)
    keys = ClientKeys.from_folder(Path(folder).expanduser()) if folder else None
    log = node.get_logger()
    with Subscriber(endpoint, stream, keys=keys) as subscriber:
        while rclpy.ok():
            rclpy.spin_once(node, timeout_sec=0.0)
            result = next_frame(subscriber, max_age_ms, frame, **admitted)
            if isinstance(result, str):
                log.warning(result, throttle_duration_sec=REPEAT_S)
                continue
            images.publish(fill_image(Image(), result.image))
            if result.info:
                infos.publish(fill_camera_info(CameraInfo(), result.info))
            else:
                log.warning("the camera's intrinsics are not known: no camera_info", once=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
