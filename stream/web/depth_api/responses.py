"""Encode a depth map as a response: a colour PNG, a 16-bit PNG, NPY, or a summary in JSON."""

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
"""Paints a depth map with the colour map of that name, over the whole range of this one image."""


@dataclass(frozen=True, slots=True)
class DepthResult:
    """A network's result for one image."""

    depth_map: DepthMap = field(repr=False)
    ms: float
    """Milliseconds for resizing, the network, and resizing back to the image's size; without decoding and waiting."""

    @property
    def nbytes(self) -> int:
        """Bytes of the depth, of the image that it was computed from, and of the raw output if kept."""
        arrays = (self.depth_map.depth, self.depth_map.frame.image, self.depth_map.raw)
        return sum(array.nbytes for array in arrays if array is not None)


@dataclass(frozen=True, slots=True)
class EncodedDepth:
    """The body of a response, and the headers that say what it means."""

    body: bytes = field(repr=False)
    media_type: str
    headers: Mapping[str, str]
    """All ASCII."""


def encode_depth(result: DepthResult, output: Output, colormap: str, paint: Paint) -> EncodedDepth:
    """Encode ``result`` in the format ``output``; only "color" uses ``colormap`` and ``paint``."""
    depth_map = result.depth_map
    if output == "json":
        return _json(result)
    if output == "npy":
        return EncodedDepth(npy_bytes(depth_map.depth), "application/octet-stream", _headers(depth_map, "depth.npy"))
    if output == "png16":
        return _png16(depth_map)
    view = paint(depth_map, colormap)
    # repr gives the shortest digits that read back as the same float.
    ends = {"X-Depth-Low": repr(float(view.low)), "X-Depth-High": repr(float(view.high))}
    return EncodedDepth(png_bytes(view.image), "image/png", _headers(depth_map, "color.png") | ends)


def _png16(depth_map: DepthMap) -> EncodedDepth:
    """The headers carry the same numbers that ``sinks.depth_files`` writes next to its PNG."""
    values, scale, offset, clipped = encode_png16(depth_map)
    numbers = {
        "X-Depth-Formula": FORMULA,
        "X-Depth-Scale": repr(scale),
        "X-Depth-Offset": repr(offset),
        "X-Depth-Invalid": "0",
        "X-Depth-Clipped": str(clipped),
    }
    return EncodedDepth(png_bytes(values), "image/png", _headers(depth_map, "depth.png") | numbers)


def _json(result: DepthResult) -> EncodedDepth:
    depth_map = result.depth_map
    summary = {
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "meaning": MEANING[depth_map.kind],
        "model": depth_map.model,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        **_statistics(depth_map),
        "ms": round(result.ms, 1),
    }
    body = json.dumps(summary, indent=2).encode() + b"\n"
    return EncodedDepth(body, "application/json", _headers(depth_map, "depth.json"))


def _statistics(depth_map: DepthMap) -> dict[str, float | None]:
    """Minimum, median and maximum of the finite depths; ``known`` is the fraction of pixels that are not NaN.

    Infinitely far pixels are known, although they enter none of the three numbers.
    """
    depth = depth_map.depth
    finite = depth[np.isfinite(depth)]
    known = float(1 - np.isnan(depth).mean())
    if not finite.size:
        return {"min": None, "median": None, "max": None, "known": known}
    return {
        "min": float(finite.min()),
        "median": float(np.median(finite, overwrite_input=True)),  # ``finite`` is a copy already: save another one
        "max": float(finite.max()),
        "known": known,
    }


def _headers(depth_map: DepthMap, filename: str) -> dict[str, str]:
    return {
        "Content-Disposition": f'inline; filename="{filename}"',
        "X-Depth-Kind": depth_map.kind,
        "X-Depth-Unit": depth_map.unit,
        "X-Depth-Model": depth_map.model,
        "X-Depth-Weights": depth_map.weights,
        "X-Depth-Scale-Guessed": "true" if depth_map.scale_guessed else "false",
    }
