"""The WebSocket protocol: everything that knows the messages' layout lives here (docs/reference/web-protocol.md).

A viewer sends JSON text. The server sends JSON text, and images as binary messages: u32 little endian n, n bytes of
JSON, then the JPEGs back to back in the order of ``parts`` in that JSON.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from stream.core.view_controls import ViewControls
from stream.errors import WireError
from stream.frames import View
from stream.web.live.hub import ImageName
from stream.web.live.probe import Probe

Mode: TypeAlias = Literal["both", "image", "depth", "none"]
Name: TypeAlias = Annotated[str, Field(max_length=200)]
Fraction: TypeAlias = Annotated[float, Field(ge=0, le=1)]

MAX_CAMERAS = 256
"""Names in one message."""
IMAGES: Mapping[Mode, tuple[ImageName, ...]] = {
    "both": ("image", "depth"),
    "image": ("image",),
    "depth": ("depth",),
    "none": (),
}


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Watch(_Message):
    """The cameras to send, and which images of each; cameras that are not named are not sent."""

    type: Literal["watch"]
    cameras: Annotated[dict[Name, Mode], Field(max_length=MAX_CAMERAS)]


class Acknowledgement(_Message):
    """Frame ``seq``, and every frame sent before it, has been drawn or skipped for a newer one."""

    type: Literal["shown"]
    camera: Name
    seq: int


class ProbeRequest(_Message):
    """Asks for the depth at a point of frame ``seq``, or of the newest frame without it."""

    type: Literal["probe"]
    camera: Name
    seq: int | None = None
    x: Fraction
    """0..1 from the left edge."""
    y: Fraction
    """0..1 from the top edge."""


class ControlsRequest(_Message):
    """Changes the colour map, the depth range, or both, for all viewers."""

    type: Literal["controls"]
    colormap: Name | None = None
    range: Literal["hold", "follow"] | None = None


ClientMessage: TypeAlias = Watch | Acknowledgement | ProbeRequest | ControlsRequest
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def parse_message(text: str) -> ClientMessage:
    """Raises WireError, in one line, for anything that is not one of the four messages."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]  # the input may be 32 kB long
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise WireError(f"not understood{f' ({where})' if where else ''}: {first['msg'][:200]}") from error


def controls_fields(controls: ViewControls) -> dict[str, str]:
    """The colour map and depth range that all viewers' images are painted with."""
    return {"colormap": controls.colormap, "range": "hold" if controls.frozen_ranges else "follow"}


def probe_reply(request: ProbeRequest, probe: Probe | None) -> dict[str, Any]:
    """The reply to ``request``; ``probe`` is None when its frame or camera is not available any more."""
    point = {"type": "probe", "camera": request.camera, "seq": request.seq, "x": request.x, "y": request.y}
    if probe is None:
        return {**point, "depth": None, "kind": None, "unit": None, "text": "no longer available"}
    return {**point, "depth": probe.depth, "kind": probe.kind, "unit": probe.unit, "text": probe.text}


def frame_message(view: View, jpegs: Sequence[tuple[ImageName, bytes]]) -> bytes:
    """A binary message with one frame and its JPEGs; ``age_ms`` is the frame's age at this moment."""
    depth_map, frame = view.depth_map, view.depth_map.frame
    header = {
        "camera": frame.camera,
        "seq": frame.seq,
        "unix_ms": frame.stamp.unix_ns / 1e6,
        "age_ms": frame.stamp.age_s() * 1e3,
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "model": depth_map.model,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "low": _finite(view.low),
        "high": _finite(view.high),
        "integrity": frame.integrity,
        "parts": [{"name": name, "bytes": len(data)} for name, data in jpegs],
    }
    packed = to_json(header).encode()
    return b"".join([struct.pack("<I", len(packed)), packed, *(data for _, data in jpegs)])


def to_json(message: Mapping[str, Any]) -> str:
    """Strict JSON, as browsers parse it. Raises ValueError for NaN and infinity."""
    return _JSON.encode(message)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
