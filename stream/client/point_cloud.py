"""Converts a metric depth message to points in space."""

from __future__ import annotations

import numpy as np

from stream.errors import WireError
from stream.frames import Floats
from stream.wire.codes import WireKind
from stream.wire.message import Message


def points(message: Message) -> Floats:
    """(N, 3) float32, metres in the camera's optical frame: x right, y down, z forward (ROS REP 103).

    Points are in reading order, without the pixels whose depth is unknown. Lens distortion is not corrected. Raises
    WireError for depth that is not in metres, for a message without intrinsics, and for a damaged payload.
    """
    if message.kind != WireKind.METRIC:
        raise WireError(
            f"{message.header.topic}: the depth is {message.kind.name}, not metres: no points in space can be made of "
            "it; publish with a metric network"
        )
    camera = message.intrinsics
    if camera is None or not (camera.fx_px > 0 and camera.fy_px > 0):
        raise WireError(f"{message.header.topic}: the camera's intrinsics are not known: calibrate it first")
    depth = message.depth()
    # Infinity is the network's "nothing in reach", which is not a place.
    rows, columns = np.nonzero(np.isfinite(depth) & (depth > 0))
    z = depth[rows, columns]
    cloud = np.empty((len(z), 3), np.float32)
    # cx and cy count from the centre of the top left pixel, so indices need no half pixel.
    cloud[:, 0] = (columns - camera.cx_px) / camera.fx_px * z
    cloud[:, 1] = (rows - camera.cy_px) / camera.fy_px * z
    cloud[:, 2] = z
    return cloud
