"""The golden messages. ``python -m tests.wire.golden`` writes them anew; only a new version of the format may need it.

Readers in other languages may test themselves against golden/*.bin; ``tests/wire/samples.py`` says what is in them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import zstandard

from stream.frames import Kind
from stream.wire.header import Compression, Encoding, Header, WireKind
from stream.wire.json_topics import pack_json
from stream.wire.message import Sender, pack_preview
from tests.wire.samples import PUBLISH_NS, SERVER_ID, depth_of, image_of, known_depth_of, map_of, packed

FOLDER = Path(__file__).with_name("golden")
INFO = {"stream": "cam0", "model": "tiny", "kind": "metric", "unit": "m", "width": 7, "height": 5, "note": "Tür"}
LONGER_HEADER = 320
PREVIEW_QUALITY = 95


def colour(compression: Compression) -> bytes:
    """An image that is not a JPEG file; our publisher sends none, our reader takes them."""
    pixels = image_of().tobytes()
    payload = pixels if compression == Compression.RAW else zstandard.ZstdCompressor(level=1).compress(pixels)
    header = replace(
        Header.parse(preview()),
        compression=compression,
        payload_bytes=len(payload),
    )
    return header.pack() + payload


def preview() -> bytes:
    sender = Sender(SERVER_ID, Encoding.F32, Compression.RAW, checksum=False)
    return pack_preview(image_of(), map_of(depth_of()), sender, PREVIEW_QUALITY, PUBLISH_NS)


def confidence() -> bytes:
    """Numbers from 0 to 1, one for each pixel."""
    message = packed(map_of(known_depth_of() / np.float32(16), "relative"), Encoding.F32, Compression.RAW)
    return replace(Header.parse(message), topic="confidence/cam0", kind=WireKind.CONFIDENCE).pack() + message[256:]


def of_a_later_version() -> bytes:
    """Version 2, whose header has 64 bytes more, of which this reader knows nothing."""
    message = packed(map_of(depth_of()), Encoding.F32, Compression.RAW, checksum=True)
    header = replace(Header.parse(message), header_bytes=LONGER_HEADER).pack()
    return header[:68] + b"\x02\x00" + header[70:] + bytes(range(LONGER_HEADER - 256)) + message[256:]


def _depth(kind: Kind, encoding: Encoding, compression: Compression, checksum: bool = False) -> Callable[[], bytes]:
    """For relative depth only ordinary numbers: a millionfold outlier would leave 16 bits nothing for the rest."""
    depth = depth_of if kind == "metric" else known_depth_of
    return lambda: packed(map_of(depth(), kind), encoding, compression, checksum)


GOLDEN: dict[str, Callable[[], bytes]] = {
    "metric-f32-raw": _depth("metric", Encoding.F32, Compression.RAW),
    "metric-f32-raw-checksum": _depth("metric", Encoding.F32, Compression.RAW, checksum=True),
    "metric-f32-zstd": _depth("metric", Encoding.F32, Compression.ZSTD),
    "metric-f16-raw": _depth("metric", Encoding.F16, Compression.RAW),
    "metric-f16-zstd": _depth("metric", Encoding.F16, Compression.ZSTD),
    "metric-u16-raw": _depth("metric", Encoding.U16, Compression.RAW),
    "metric-u16-zstd": _depth("metric", Encoding.U16, Compression.ZSTD),
    "metric-u16-delta-zstd": _depth("metric", Encoding.U16, Compression.DELTA_ZSTD),
    "metric-u16-png16": _depth("metric", Encoding.U16, Compression.PNG16),
    "relative-f32-raw": _depth("relative", Encoding.F32, Compression.RAW),
    "relative-inverse-u16-raw": _depth("relative_inverse", Encoding.U16, Compression.RAW),
    "relative-inverse-u16-delta-zstd": _depth("relative_inverse", Encoding.U16, Compression.DELTA_ZSTD, checksum=True),
    "confidence-f32-raw": confidence,
    "preview-jpeg": preview,
    "preview-raw": lambda: colour(Compression.RAW),
    "preview-zstd": lambda: colour(Compression.ZSTD),
    "later-version": of_a_later_version,
    "info": lambda: pack_json("info/cam0", INFO),
}
"""File name, without .bin, to the message that must be in it."""


def golden(name: str) -> bytes:
    return (FOLDER / f"{name}.bin").read_bytes()


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, message in GOLDEN.items():
        (FOLDER / f"{name}.bin").write_bytes(message())


if __name__ == "__main__":
    write()
