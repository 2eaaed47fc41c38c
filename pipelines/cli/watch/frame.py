"""One frame as plain JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.core.log import one_line
from stream.errors import MissingPackage, WireError
from stream.wire.codes import Flags, WireKind
from stream.wire.message import Message

DIGITS = 6


def frame_facts(message: Message, age_ms: float) -> dict[str, Any]:
    """``age_ms``: when it was read. Of a payload that cannot be read, the error in place of the values."""
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
    return "m" if kind == WireKind.METRIC else "none"


def _values(message: Message) -> dict[str, Any]:
    """Least, greatest and median known depth; null where nothing is known."""
    try:
        depth = message.depth()
    except (WireError, MissingPackage) as error:
        return {"min": None, "max": None, "median": None, "known": 0.0, "error": one_line(str(error))}
    known = depth[np.isfinite(depth)]
    share = {"known": round(known.size / depth.size, DIGITS)}
    if not known.size:
        return {"min": None, "max": None, "median": None, **share}
    least, greatest, median = (float(f(known)) for f in (np.min, np.max, np.median))
    return {"min": _short(least), "max": _short(greatest), "median": _short(median), **share}


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
