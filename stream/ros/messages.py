"""Converts depth to sensor_msgs/Image and sensor_msgs/CameraInfo, as plain values without ROS.

The rules are from three ROS standards: REP 103 (metres; optical frames), REP 118 (a depth image is 32FC1 in metres or
16UC1 in millimetres, 0 unknown), REP 117 (NaN unknown, +Inf nothing in range, -Inf too near to measure).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.core.clock import NS_PER_S
from stream.errors import WireError
from stream.frames import Floats, Intrinsics, Kind

DepthEncoding: TypeAlias = Literal["32FC1", "16UC1"]

DISTORTION_MODEL = "plumb_bob"
"""ROS's name for OpenCV's five coefficients. They are all zero, because our images count as free of distortion."""
NO_DISTORTION = (0.0,) * 5
NO_ROTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
MILLIMETRES_PER_METRE = 1000.0
MAX_MILLIMETRES = 65535


class RosTime(NamedTuple):
    """builtin_interfaces/Time: seconds and nanoseconds since 1970 UTC."""

    sec: int
    nanosec: int


@dataclass(frozen=True, slots=True)
class ImageMessage:
    """sensor_msgs/Image of metric depth."""

    stamp: RosTime
    frame_id: str
    encoding: DepthEncoding
    pixels: NDArray[np.float32] | NDArray[np.uint16]
    """(H, W) little endian, contiguous; float32 metres for 32FC1, uint16 millimetres for 16UC1."""

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def step(self) -> int:
        """Row length, bytes."""
        return self.width * self.pixels.itemsize


@dataclass(frozen=True, slots=True)
class CameraInfoMessage:
    """sensor_msgs/CameraInfo of a camera without distortion; the fields missing here are zero in the message."""

    stamp: RosTime
    frame_id: str
    height: int
    width: int
    k: tuple[float, ...]
    """Intrinsic matrix, 3 x 3 row by row, pixels."""
    p: tuple[float, ...]
    """Projection matrix, 3 x 4 row by row, pixels."""
    d: tuple[float, ...] = NO_DISTORTION
    r: tuple[float, ...] = NO_ROTATION
    distortion_model: str = DISTORTION_MODEL


def depth_image(
    depth: Floats, kind: Kind, *, stamp_ns: int, frame_id: str, encoding: DepthEncoding = "32FC1"
) -> ImageMessage:
    """Convert ``depth`` (H, W) float32, captured ``stamp_ns`` after 1970 UTC. Raises WireError if it is not metric.

    32FC1 keeps NaN and both infinities; a finite depth of zero or less is no distance and becomes NaN. 16UC1 keeps
    values that round to 1..65535 mm; all others become 0, unknown, because no distance is better than a wrong one.
    """
    if kind != "metric":
        raise WireError(
            f"{kind} depth has no unit and is not metres: ROS has no message for it; use a metric network "
            "(depthstream models list)"
        )
    if depth.ndim != 2:
        raise WireError(f"a depth image has 2 dimensions, not the shape {depth.shape}")
    pixels = _metres(depth) if encoding == "32FC1" else _millimetres(depth)
    return ImageMessage(ros_time(stamp_ns), frame_id, encoding, pixels)


def camera_info(intrinsics: Intrinsics, *, stamp_ns: int, frame_id: str) -> CameraInfoMessage:
    """Convert ``intrinsics``, which must be those of the published size: see ``Intrinsics.scaled_to``."""
    fx, fy, cx, cy = intrinsics.fx_px, intrinsics.fy_px, intrinsics.cx_px, intrinsics.cy_px
    return CameraInfoMessage(
        stamp=ros_time(stamp_ns),
        frame_id=frame_id,
        height=intrinsics.size.height,
        width=intrinsics.size.width,
        k=(fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0),
        p=(fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0),
    )


def ros_time(stamp_ns: int) -> RosTime:
    """Convert nanoseconds since 1970 UTC. Raises WireError before 1970 and beyond signed 32-bit seconds (2038)."""
    time = RosTime(*divmod(stamp_ns, NS_PER_S))
    if not 0 <= time.sec < 2**31:
        raise WireError(f"{stamp_ns} ns since 1970 does not fit into a ROS time (1970 to 2038); check the clock")
    return time


def _metres(depth: Floats) -> NDArray[np.float32]:
    pixels = np.ascontiguousarray(depth, dtype="<f4")
    # -Inf stays: too near to measure (REP 117).
    no_distance = (pixels <= 0) & (pixels > -np.inf)
    return np.where(no_distance, np.float32(np.nan), pixels) if no_distance.any() else pixels


def _millimetres(depth: Floats) -> NDArray[np.uint16]:
    with np.errstate(over="ignore"):
        steps = np.rint(depth.astype(np.float32, copy=False) * np.float32(MILLIMETRES_PER_METRE))
    return np.where((steps >= 1) & (steps <= MAX_MILLIMETRES), steps, 0).astype("<u2")
