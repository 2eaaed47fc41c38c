"""Depth as files for other programs: 16-bit PNG, float32 NPY, a JSON that says what the numbers mean, a colour PNG.

A PNG holds ``depth = offset + scale * value`` for values 1..65535; 0 is unknown. Metric depth is in millimetres
(scale 0.001, offset 0, as ROS and the RGB-D data sets have it); relative depth fills the whole range.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream.errors import SinkError
from stream.frames import DepthMap, Floats, Frame, Kind, View

Format: TypeAlias = Literal["png16", "npy", "color"]

METRES_PER_STEP = 0.001
LAST = 65535
MEANING: Mapping[Kind, str] = {
    "metric": "metres along the optical axis",
    "relative_inverse": "inverse depth, larger is nearer; scale and shift are unknown and differ from frame to frame",
    "relative": "depth, larger is farther; scale and shift are unknown and differ from frame to frame",
}


class Png16(NamedTuple):
    """A depth map as 16-bit integers."""

    values: NDArray[np.uint16]
    """(H, W) uint16; 0 where depth is unknown."""
    scale: float
    """Depth units a step; 0 for a flat relative map."""
    offset: float
    clipped: int
    """Pixels whose depth does not fit and became the nearest value: beyond 65.535 m, below 1 mm, infinite."""


def encode_png16(depth_map: DepthMap) -> Png16:
    """Depth as integers, at most half a step off (and float32's own rounding) where it was not clipped."""
    depth = depth_map.depth.astype(np.float64)
    scale, offset = (METRES_PER_STEP, 0.0) if depth_map.kind == "metric" else _whole_range(depth)
    known = ~np.isnan(depth)
    steps = np.full(depth.shape, 1.0)
    np.divide(depth - offset, scale, out=steps, where=known & (scale > 0))
    fitted = np.clip(np.rint(steps), 1, LAST)
    clipped = known & (np.isinf(depth) | (np.rint(steps) != fitted))
    return Png16(np.where(known, fitted, 0).astype(np.uint16), scale, offset, int(clipped.sum()))


def decode_png16(values: NDArray[np.uint16], scale: float, offset: float) -> Floats:
    """(H, W) uint16 -> (H, W) float32 depth, NaN where unknown."""
    depth = (offset + scale * values.astype(np.float64)).astype(np.float32)
    depth[values == 0] = np.nan
    return depth


def camera_and_number(frame: Frame) -> str:
    """``door_000042``: the usual name of a frame's files."""
    return f"{frame.camera.replace('/', '_')}_{frame.seq:06d}"


class DepthFiles:
    """Writes ``STEM.depth.png``, ``STEM.depth.npy``, ``STEM.depth.json`` (beside either) and ``STEM.color.png``.

    ``name`` gives the stem of a frame's files, ``source`` what the JSON calls the frame's origin (a file, say). Files
    of the same name are overwritten; a file appears under its name only when it is whole.
    """

    def __init__(
        self,
        folder: Path,
        formats: frozenset[Format],
        *,
        name: Callable[[Frame], str] = camera_and_number,
        source: Callable[[Frame], str] | None = None,
    ) -> None:
        self._folder, self._formats, self._name, self._source = folder.expanduser(), formats, name, source

    def __enter__(self) -> Self:
        """Raises SinkError if the folder cannot be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _failure(self._folder, error) from error
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Every file is already whole."""

    def write(self, item: View) -> None:
        """Raises SinkError for a full disk or a folder that cannot be written; no half file is left."""
        stem = self._name(item.depth_map.frame)
        for suffix, data in self._files(item, stem).items():
            _write_whole(self._folder / f"{stem}{suffix}", data)

    def _files(self, view: View, stem: str) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        about = self._about(view.depth_map)
        if "png16" in self._formats:
            values, scale, offset, clipped = encode_png16(view.depth_map)
            files[".depth.png"] = _png(values)
            about["png16"] = {
                "file": f"{Path(stem).name}.depth.png",
                "formula": "depth = offset + scale * value",
                "scale": scale,
                "offset": offset,
                "invalid_value": 0,
                "clipped_pixels": clipped,
            }
        if "npy" in self._formats:
            files[".depth.npy"] = _npy(view.depth_map.depth)
            about["npy"] = {
                "file": f"{Path(stem).name}.depth.npy",
                "dtype": "float32",
                "formula": "depth = value",
                "invalid_value": "NaN",
            }
        if files:
            files[".depth.json"] = json.dumps(about, indent=2, ensure_ascii=False).encode() + b"\n"
        if "color" in self._formats:
            files[".color.png"] = _png(view.image)
        return files

    def _about(self, depth_map: DepthMap) -> dict[str, Any]:
        frame = depth_map.frame
        taken = datetime.fromtimestamp(frame.stamp.unix_ns / 1e9, UTC)
        return {
            "kind": depth_map.kind,
            "unit": depth_map.unit,
            "meaning": MEANING[depth_map.kind],
            "model": depth_map.model,
            "weights": depth_map.weights,
            "size": {"width": depth_map.size.width, "height": depth_map.size.height},
            "camera": frame.camera,
            "source": self._source(frame) if self._source else None,
            "seq": frame.seq,
            "time": taken.isoformat(timespec="milliseconds"),
            "time_source": frame.stamp.source,
            "media_s": frame.stamp.media_s,
        }


def _whole_range(depth: NDArray[np.float64]) -> tuple[float, float]:
    """Scale and offset that put the smallest finite depth at 1 and the largest at 65535."""
    finite = depth[np.isfinite(depth)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    scale = (high - low) / (LAST - 1)
    return (scale, low - scale) if scale > 0 and math.isfinite(scale) else (0.0, low)


def _png(pixels: NDArray[np.uint16] | NDArray[np.uint8]) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", pixels)
    assert done, "OpenCV writes PNG in every build"
    return data.tobytes()


def _npy(depth: Floats) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, depth.astype(np.float32, copy=False), allow_pickle=False)
    return buffer.getvalue()


def _write_whole(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise _failure(path, error) from error


def _failure(path: Path, error: OSError) -> SinkError:
    full = error.errno in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
    advice = "free some space and run again" if full else "choose a folder that you may write to"
    return SinkError(f"{path}: cannot be written: {error.strerror}; {advice}")
