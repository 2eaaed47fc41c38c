"""One received frame as plain JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.core.log import one_line
from stream.errors import MissingPackage, WireError
from stream.wire.codes import Flags, WireKind
from stream.wire.message import Message

DIGITS = 6
"""Significant digits of depth values."""


def frame_json(message: Message, age_ms: float) -> dict[str, Any]:
    """Header, age and depth statistics of a frame; ``age_ms`` is its age when it was read.

    A payload that cannot be decoded gives an "error" in place of the depth values.
    """
    header = message.header
    return {
        "seq": header.seq,
        "capture_ns": header.capture_ns,
        "publish_ns": header.publish_ns,
        "age_ms": round(age_ms, 3),
        "age_at_publish_ms": round(1e3 * message.age_at_publish_s, 3),
        "kind": header.kind.name.lower(),
        "unit": unit(header.kind),
        "width": header.width,
        "height": header.height,
        "encoding": header.encoding.name.lower(),
        "compression": header.compression.name.lower(),
        "bytes": header.header_bytes + header.payload_bytes,
        **_values(message),
        "integrity": header.integrity.name.lower(),
        "flags": [flag.name.lower() for flag in Flags if flag in header.flags and flag.name],
        "frame_id": header.frame_id,
        "calibrated": message.intrinsics is not None,
        "server_id": header.server_id,
        "model_id": header.model_id,
    }


def unit(kind: WireKind) -> str:
    """The unit of the depth values: "m" for metric depth, else "none"."""
    return "m" if kind == WireKind.METRIC else "none"


def _values(message: Message) -> dict[str, Any]:
    """Minimum, maximum and median of the known depth, and the share of known pixels; null where none is known."""
    try:
        depth = message.depth()
    except (WireError, MissingPackage) as error:
        return {"min": None, "max": None, "median": None, "known": 0.0, "error": one_line(str(error))}
    known = depth[np.isfinite(depth)]
    share = {"known": round(known.size / depth.size, DIGITS)}
    if not known.size:
        return {"min": None, "max": None, "median": None, **share}
    low, high, median = (float(f(known)) for f in (np.min, np.max, np.median))
    return {"min": _rounded(low), "max": _rounded(high), "median": _rounded(median), **share}


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
