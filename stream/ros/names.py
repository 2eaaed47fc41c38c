"""ROS names for a camera's depth: frame id and topics."""

from __future__ import annotations

import re

_NOT_LETTERS_OR_DIGITS = re.compile(r"[^A-Za-z0-9]+")


def frame_id(camera: str) -> str:
    """Name of the camera's optical frame: z forward, x right, y down (REP 103)."""
    return f"{camera}_optical_frame"


def image_topic(camera: str) -> str:
    """``/front/depth/image_rect_raw``, the scheme of RealSense cameras."""
    return f"/{_token(camera)}/depth/image_rect_raw"


def camera_info_topic(camera: str) -> str:
    """``/front/depth/camera_info``: next to the image's topic, where image_transport looks for it."""
    return f"/{_token(camera)}/depth/camera_info"


def _token(camera: str) -> str:
    """Convert to letters, digits and single underscores, a letter first: the form ROS 2 requires in a topic name."""
    token = _NOT_LETTERS_OR_DIGITS.sub("_", camera).strip("_")
    return token if token[:1].isalpha() else f"camera_{token}".rstrip("_")
