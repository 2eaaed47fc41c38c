"""The WebSocket's law: what a viewer may say, and what it is told (docs/web.md).

A viewer sends JSON text. It is sent JSON text, and images as binary: u32 little endian n, n bytes of JSON, then the
JPEGs back to back as ``parts`` lists them.
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
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]

MOST_CAMERAS = 256
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
    """What to send of which camera; nothing of those that are not named."""

    type: Literal["watch"]
    cameras: Annotated[dict[Name, Mode], Field(max_length=MOST_CAMERAS)]


class Seen(_Message):
    """Frame ``seq`` has been drawn, or given up for a newer one; so have all that were sent before it."""

    type: Literal["shown"]
    camera: Name
    seq: int


class Question(_Message):
    """The depth at a point of a frame, 0..1 from the top left; without ``seq`` of the newest."""

    type: Literal["probe"]
    camera: Name
    seq: int | None = None
    x: Share
    y: Share


class Choice(_Message):
    """Colours and range, for all viewers."""

    type: Literal["controls"]
    colormap: Name | None = None
    range: Literal["hold", "follow"] | None = None


ClientMessage: TypeAlias = Watch | Seen | Question | Choice
_JSON = json.JSONEncoder(allow_nan=False, separators=(",", ":"))
_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])


def read_message(text: str) -> ClientMessage:
    """Raises WireError, in one line, for anything that is not one of the four messages."""
    try:
        return _CLIENT.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:100]
        raise WireError(f"not understood{f' ({where})' if where else ''}: {first['msg'][:200]}") from error


def controls_now(controls: ViewControls) -> dict[str, str]:
    """What everybody's images are painted with."""
    return {"colormap": controls.colormap, "range": "hold" if controls.frozen_range else "follow"}


def probe_message(question: Question, probe: Probe | None) -> dict[str, Any]:
    """The answer to ``question``; ``probe`` None: that frame, or camera, is not known any more."""
    asked = {"type": "probe", "camera": question.camera, "seq": question.seq, "x": question.x, "y": question.y}
    if probe is None:
        return {**asked, "depth": None, "kind": None, "unit": None, "words": "not known any more"}
    return {**asked, "depth": probe.depth, "kind": probe.kind, "unit": probe.unit, "words": probe.words}


def frame_message(view: View, jpegs: Sequence[tuple[ImageName, bytes]]) -> bytes:
    """One frame with its JPEGs; its age is taken now."""
    depth_map, frame = view.depth_map, view.depth_map.frame
    head = {
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
    packed = to_json(head).encode()
    return b"".join([struct.pack("<I", len(packed)), packed, *(data for _, data in jpegs)])


def to_json(message: Mapping[str, Any]) -> str:
    """Strict JSON: a browser refuses NaN, and so does this (ValueError)."""
    return _JSON.encode(message)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
