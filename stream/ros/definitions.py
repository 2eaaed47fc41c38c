"""Definitions of the ROS messages that we write, as recordings embed them (MCAP's schema encoding ``ros2msg``).

The definitions of nested types follow, each after a line of 80 "=" and a line with its name, so that a reader needs no
ROS (https://mcap.dev/spec/registry). They contain the fields without ROS's own comments.
"""

from __future__ import annotations

from typing import NamedTuple


class Definition(NamedTuple):
    """A message type: its name, and the text of its definition including all nested types."""

    name: str
    text: str


_DELIMITER = "=" * 80
_TIME = f"""\
{_DELIMITER}
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
_HEADER = f"""\
{_DELIMITER}
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
{_TIME}"""

IMAGE = Definition(
    "sensor_msgs/msg/Image",
    f"""\
std_msgs/Header header
uint32 height
uint32 width
string encoding
uint8 is_bigendian
uint32 step
uint8[] data
{_HEADER}""",
)

CAMERA_INFO = Definition(
    "sensor_msgs/msg/CameraInfo",
    f"""\
std_msgs/Header header
uint32 height
uint32 width
string distortion_model
float64[] d
float64[9] k
float64[9] r
float64[12] p
uint32 binning_x
uint32 binning_y
sensor_msgs/RegionOfInterest roi
{_HEADER}{_DELIMITER}
MSG: sensor_msgs/RegionOfInterest
uint32 x_offset
uint32 y_offset
uint32 height
uint32 width
bool do_rectify
""",
)
