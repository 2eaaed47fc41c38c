"""Conversion between depth and the numbers that a message stores.

f32   The map bit for bit.
f16   Rounded to the nearest half; beyond 65,504 it becomes infinite, as IEEE 754 rounds.
u16   Metric depth: round(1000 z), millimetres. 0 is unknown: NaN, infinite, negative, nearer than half a millimetre
      or farther than 65.534 m. A distance is never clipped to a wrong one; 65,535 is not used.
u16   Relative depth: round(1 + 65534 (v - z_min) / (z_max - z_min)), so 1 to 65,535. 0 is unknown: NaN or infinite.
      Inverse: z_min + (stored - 1) / 65534 * (z_max - z_min).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream.errors import WireError
from stream.frames import Floats
from stream.wire.codes import Encoding, WireKind
from stream.wire.header import Header

Range = tuple[float, float]
"""Least and greatest known value, decoded; (0, 0) if none is known."""

DTYPES: dict[Encoding, np.dtype[Any]] = {
    Encoding.F32: np.dtype("<f4"),
    Encoding.U16: np.dtype("<u2"),
    Encoding.F16: np.dtype("<f2"),
    Encoding.U8X3: np.dtype("u1"),
}
MILLIMETRE = 0.001
FARTHEST_MM = 65534
STEPS = 65534
"""Number of steps from the least to the greatest relative depth in u16."""


def store(depth: Floats, kind: WireKind, into: NDArray[Any]) -> Range:
    """Write ``depth`` (H, W) float32 into ``into``, an array of the same shape and of float32, float16 or uint16."""
    if into.dtype == DTYPES[Encoding.U16]:
        return _store_millimetres(depth, into) if kind == WireKind.METRIC else _store_steps(depth, into)
    if into.dtype == DTYPES[Encoding.F32]:
        np.copyto(into, depth)
        return _known_range(depth)
    with np.errstate(over="ignore"):
        np.copyto(into, depth, casting="same_kind")
        return _known_range(depth, np.float16)


def restore(stored: NDArray[Any], header: Header) -> Floats:
    """(H, W) float32, NaN where unknown; metres if ``header.kind`` is METRIC. A read-only view if no value changes."""
    if header.kind == WireKind.COLOUR:
        raise WireError(f"{header.topic}: a colour image has no depth; use array()")
    with np.errstate(over="ignore", invalid="ignore"):
        if stored.dtype == DTYPES[Encoding.U16]:
            return (
                _restore_millimetres(stored, header)
                if header.kind == WireKind.METRIC
                else _restore_steps(stored, header)
            )
        depth = stored.astype(np.float32, copy=False)
        return depth if header.scale in (0.0, 1.0) else depth * np.float32(header.scale)


def _known_range(depth: Floats, rounded: type[np.floating[Any]] = np.float32) -> Range:
    """Range of ``depth`` after rounding to the stored type, without NaN and infinities."""
    # fmin and fmax skip NaN at the price of min and max, so infinities are masked only if one turns up.
    low, high = _least_and_greatest(depth, rounded)
    if math.isinf(low) or math.isinf(high):
        known = np.isfinite(depth.astype(rounded, copy=False))
        low, high = _least_and_greatest(np.where(known, depth, np.float32(np.nan)), rounded)
    return (0.0, 0.0) if math.isnan(low) else (low, high)


def _least_and_greatest(depth: Floats, rounded: type[np.floating[Any]]) -> Range:
    """NaN if every value is NaN."""
    return float(rounded(np.fmin.reduce(depth, axis=None))), float(rounded(np.fmax.reduce(depth, axis=None)))


def _store_millimetres(depth: Floats, into: NDArray[Any]) -> Range:
    with np.errstate(over="ignore"):
        millimetres = depth * np.float32(1000)
    np.rint(millimetres, out=millimetres)
    known = millimetres <= FARTHEST_MM  # false for NaN, as is the next comparison
    known &= millimetres >= 1
    millimetres[~known] = 0
    np.copyto(into, millimetres, casting="unsafe")
    if not (high := int(into.max())):
        return 0.0, 0.0
    low = int((into - np.uint16(1)).min()) + 1  # 0 wraps round to 65,535, which no distance uses
    return low * MILLIMETRE, high * MILLIMETRE


def _restore_millimetres(stored: NDArray[Any], header: Header) -> Floats:
    depth = stored.astype(np.float32)
    depth *= np.float32(header.scale)
    np.copyto(depth, np.nan, where=stored == 0)
    return depth


def _store_steps(depth: Floats, into: NDArray[Any]) -> Range:
    low, high = _known_range(depth)
    dtype = _dtype_for(high - low)
    known = np.isfinite(depth)
    # Unknown values are replaced first, since NaN and infinity times 0 would still be NaN.
    steps = np.where(known, depth, np.float32(low)).astype(dtype, copy=False)
    steps -= dtype(low)
    steps *= dtype(STEPS / (high - low) if high > low else 0.0)
    steps += dtype(1.5)  # 1 for the first step, and 0.5 because the cast below cuts off
    steps *= known
    np.copyto(into, steps, casting="unsafe")
    return low, high


def _restore_steps(stored: NDArray[Any], header: Header) -> Floats:
    dtype = _dtype_for(header.z_max - header.z_min)
    depth = stored.astype(dtype)
    depth -= dtype(1)
    depth *= dtype((header.z_max - header.z_min) / STEPS)
    depth += dtype(header.z_min)
    depth[stored == 0] = np.nan
    return depth.astype(np.float32, copy=False)


def _dtype_for(span: float) -> type[np.floating[Any]]:
    """float32 is within 0.01 of a step and three times as fast; outside this range of spans it would overflow."""
    return np.float32 if 1e-30 < span < 1e30 else np.float64
