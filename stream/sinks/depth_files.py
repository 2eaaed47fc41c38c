"""Depth files for other programs: 16-bit PNG, float32 NPY, a JSON that explains the numbers, and a colour PNG.

``stream.depth_png`` describes how a PNG stores depth.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

from stream.core.atomic_write import atomic_write
from stream.depth_png import FORMULA, MEANING, encode_png16, npy_bytes, png_bytes
from stream.errors import SinkError
from stream.frames import DepthMap, Frame, View

Format: TypeAlias = Literal["png16", "npy", "color"]

SUFFIXES: Mapping[Format, tuple[str, ...]] = {
    "png16": (".depth.png", ".depth.json"),
    "npy": (".depth.npy", ".depth.json"),
    "color": (".color.png",),
}
"""File suffixes of each format."""


def default_stem(frame: Frame) -> str:
    """Camera and frame number, such as ``door_000042``: the default stem of a frame's files."""
    return f"{frame.camera.replace('/', '_')}_{frame.seq:06d}"


class DepthFiles:
    """Writes ``STEM.depth.png``, ``STEM.depth.npy``, ``STEM.depth.json`` (with either) and ``STEM.color.png``.

    ``name`` returns the stem of a frame's files, ``source`` the origin of the frame for the JSON, such as a file name.
    Files of the same name are overwritten; a file appears under its name only when it is whole.
    """

    def __init__(
        self,
        folder: Path,
        formats: frozenset[Format],
        *,
        name: Callable[[Frame], str] = default_stem,
        source: Callable[[Frame], str] | None = None,
    ) -> None:
        self._folder, self._formats, self._name, self._source = folder.expanduser(), formats, name, source

    def __enter__(self) -> Self:
        """Create the folder. Raises SinkError if that fails."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _failure(self._folder, error) from error
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Do nothing: every file was complete when ``write`` returned."""

    def write(self, item: View) -> None:
        """Write the files of one frame. Raises SinkError for a full disk or a folder without write permission.

        A failed write leaves no partial file.
        """
        stem = self._name(item.depth_map.frame)
        for suffix, data in self._files(item, stem).items():
            path = self._folder / f"{stem}{suffix}"
            try:
                atomic_write(path, data)
            except OSError as error:
                raise _failure(path, error) from error

    def _files(self, view: View, stem: str) -> dict[str, bytes]:
        files: dict[str, bytes] = {}
        metadata = self._metadata(view.depth_map)
        if "png16" in self._formats:
            values, scale, offset, clipped = encode_png16(view.depth_map)
            files[".depth.png"] = png_bytes(values)
            metadata["png16"] = {
                "file": f"{Path(stem).name}.depth.png",
                "formula": FORMULA,
                "scale": scale,
                "offset": offset,
                "invalid_value": 0,
                "clipped_pixels": clipped,
            }
        if "npy" in self._formats:
            files[".depth.npy"] = npy_bytes(view.depth_map.depth)
            metadata["npy"] = {
                "file": f"{Path(stem).name}.depth.npy",
                "dtype": "float32",
                "formula": "depth = value",
                "invalid_value": "NaN",
            }
        if files:
            files[".depth.json"] = json.dumps(metadata, indent=2, ensure_ascii=False).encode() + b"\n"
        if "color" in self._formats:
            files[".color.png"] = png_bytes(view.image)
        return files

    def _metadata(self, depth_map: DepthMap) -> dict[str, Any]:
        frame = depth_map.frame
        taken = datetime.fromtimestamp(frame.stamp.unix_ns / 1e9, UTC)
        return {
            "kind": depth_map.kind,
            "unit": depth_map.unit,
            "meaning": MEANING[depth_map.kind],
            "model": depth_map.model,
            "weights": depth_map.weights,
            "scale_guessed": depth_map.scale_guessed,
            "size": {"width": depth_map.size.width, "height": depth_map.size.height},
            "camera": frame.camera,
            "source": self._source(frame) if self._source else None,
            "seq": frame.seq,
            "time": taken.isoformat(timespec="milliseconds"),
            "time_source": frame.stamp.source,
            "media_s": frame.stamp.media_s,
        }


def _failure(path: Path, error: OSError) -> SinkError:
    full = error.errno in {errno.EFBIG, errno.ENOSPC, errno.EDQUOT}
    advice = "free some space and run again" if full else "choose a folder that you may write to"
    return SinkError(f"{path}: cannot be written: {error.strerror}; {advice}")
