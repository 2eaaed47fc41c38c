"""A depth map as the answer to a request: colours, 16-bit PNG, NPY, or what can be said of it in JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

import numpy as np

from stream.depth_png import FORMULA, MEANING, encode_png16, npy_bytes, png_bytes
from stream.frames import DepthMap, View

Output: TypeAlias = Literal["color", "png16", "npy", "json"]
OUTPUTS: tuple[Output, ...] = get_args(Output)

Paint: TypeAlias = Callable[[DepthMap, str], View]
"""A depth map painted with the colour map of that name, over the whole range of this one image."""


@dataclass(frozen=True, slots=True)
class Depth:
    """What the network made of an image."""

    depth_map: DepthMap = field(repr=False)
    ms: float
    """How long that took, milliseconds: resizing, network, and back to the image's size; no decoding, no waiting."""

    @property
    def nbytes(self) -> int:
        """The depth and the image it was made from."""
        arrays = (self.depth_map.depth, self.depth_map.frame.image, self.depth_map.raw)
        return sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes, and what they mean."""

    body: bytes = field(repr=False)
    media_type: str
    headers: Mapping[str, str]
    """All ASCII."""


def answer_with(depth: Depth, output: Output, colormap: str, paint: Paint) -> Answer:
    """``depth`` in the form that was asked for; ``colormap`` matters for colours only."""
    depth_map = depth.depth_map
    if output == "json":
        return _json(depth)
    if output == "npy":
        return Answer(npy_bytes(depth_map.depth), "application/octet-stream", _headers(depth_map, "depth.npy"))
    if output == "png16":
        return _png16(depth_map)
    view = paint(depth_map, colormap)
    ends = {"X-Depth-Low": repr(float(view.low)), "X-Depth-High": repr(float(view.high))}
    return Answer(png_bytes(view.image), "image/png", _headers(depth_map, "color.png") | ends)


def _png16(depth_map: DepthMap) -> Answer:
    """The same numbers that ``sinks.depth_files`` writes beside its PNG, in headers."""
    values, scale, offset, clipped = encode_png16(depth_map)
    numbers = {
        "X-Depth-Formula": FORMULA,
        "X-Depth-Scale": repr(scale),
        "X-Depth-Offset": repr(offset),
        "X-Depth-Invalid": "0",
        "X-Depth-Clipped": str(clipped),
    }
    return Answer(png_bytes(values), "image/png", _headers(depth_map, "depth.png") | numbers)


def _json(depth: Depth) -> Answer:
    depth_map = depth.depth_map
    about = {
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "meaning": MEANING[depth_map.kind],
        "model": depth_map.model,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        **_statistics(depth_map),
        "ms": round(depth.ms, 1),
    }
    return Answer(json.dumps(about, indent=2).encode() + b"\n", "application/json", _headers(depth_map, "depth.json"))


def _statistics(depth_map: DepthMap) -> dict[str, float | None]:
    """Of what is finite; ``known`` is the share of pixels that have a depth, infinitely far ones among them."""
    depth = depth_map.depth
    finite = depth[np.isfinite(depth)]
    known = float(1 - np.isnan(depth).mean())
    if not finite.size:
        return {"min": None, "median": None, "max": None, "known": known}
    return {
        "min": float(finite.min()),
        "median": float(np.median(finite, overwrite_input=True)),  # finite is ours: no copy
        "max": float(finite.max()),
        "known": known,
    }


def _headers(depth_map: DepthMap, name: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'inline; filename="{name}"',
        "X-Depth-Kind": depth_map.kind,
        "X-Depth-Unit": depth_map.unit,
        "X-Depth-Model": depth_map.model,
        "X-Depth-Weights": depth_map.weights,
        "X-Depth-Scale-Guessed": "true" if depth_map.scale_guessed else "false",
    }
