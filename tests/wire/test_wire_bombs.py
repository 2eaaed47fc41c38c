"""Payloads that state a wrong size are refused before anything of that size is allocated."""

from __future__ import annotations

import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard

from stream.errors import WireError
from stream.frames import Size
from stream.wire.header import HEADER_BYTES, Compression, Encoding, Header, WireKind
from stream.wire.images import PNG_SIGNATURE, png_fault
from stream.wire.message import Sender, pack_preview, parse
from tests.wire.golden import golden
from tests.wire.samples import PUBLISH_NS, depth_of, image_of, map_of


def announcing(size: Size, payload: bytes, compression: Compression, encoding: Encoding = Encoding.U16) -> bytes:
    """A message whose header announces an image of ``size`` whatever its payload is."""
    kind, pixel = (WireKind.COLOUR, 3) if encoding == Encoding.U8X3 else (WireKind.RELATIVE, 2)
    step = size.width * pixel
    places = (0, 0, 0, size.width, size.height, step, len(payload))
    return Header("depth/a", *places, encoding, compression, kind).pack() + payload


def zstd(zeros: int, stated: bool = True) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=stated).compress(bytes(zeros))


def zstd_that_claims(size: int) -> bytes:
    """A frame header with a content size of eight bytes, and no content."""
    return b"\x28\xb5\x2f\xfd\xe0" + size.to_bytes(8, "little") + b"\x01\x00\x00"


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, body: bytes = b"", more: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">II", width, height) + bytes([16, 0, 0, 0, 0]))
    return PNG_SIGNATURE + header + more + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def jpeg_of(size: Size) -> bytes:
    message = pack_preview(image_of(size), map_of(depth_of()), Sender(7, Encoding.F32, Compression.RAW), 90, PUBLISH_NS)
    return message[HEADER_BYTES:]


def two_faced_jpeg() -> bytes:
    """A parser that takes RST0 for a segment with a length skips 20000x20000 px and reads 16x16; a decoder does not."""
    small, huge = jpeg_of(Size(16, 16)), jpeg_of(Size(16, 16)).replace(b"\x00\x10\x00\x10\x03", b"\x4e\x20\x4e\x20\x03")
    return b"\xff\xd8\xff\xd0" + (2 + len(huge[2:])).to_bytes(2, "big") + huge[2:] + small[2:]


GREEDY_CHUNK = b"\x7f\xff\xff\xffIDAT"
PROFILE = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(8_000_000)))
SMALL, HUGE = Size(4, 6), Size(8192, 8192)
BOMBS: dict[str, Callable[[], bytes]] = {
    "zstd of 100 MB for a small image": lambda: announcing(SMALL, zstd(100_000_000), Compression.ZSTD),
    "delta of 100 MB for a small image": lambda: announcing(SMALL, zstd(100_000_000), Compression.DELTA_ZSTD),
    "zstd that does not state its size": lambda: announcing(SMALL, zstd(100_000_000, stated=False), Compression.ZSTD),
    "zstd that states 2 to the 60": lambda: announcing(SMALL, zstd_that_claims(2**60), Compression.ZSTD),
    "two zstd frames": lambda: announcing(SMALL, zstd(48) + zstd(100_000_000), Compression.ZSTD),
    "a skippable frame first": lambda: announcing(SMALL, b"\x50\x2a\x4d\x18\4\0\0\0abcd" + zstd(48), Compression.ZSTD),
    "zstd of an image beyond reason": lambda: announcing(
        Size(16384, 16384), zstd_that_claims(16384 * 16384 * 2), Compression.ZSTD
    ),
    "a small PNG for a huge image": lambda: announcing(HUGE, png(6, 4), Compression.PNG16),
    "a huge PNG for a small image": lambda: announcing(SMALL, png(60_000, 60_000), Compression.PNG16),
    "a PNG with all of zlib in it": lambda: announcing(
        SMALL, png(16384, 16384, zlib.compress(bytes(10_000_000))), Compression.PNG16
    ),
    "a PNG chunk that says 2 GB": lambda: announcing(SMALL, png(6, 4, more=GREEDY_CHUNK), Compression.PNG16),
    "a PNG with a colour profile of 8 MB": lambda: announcing(SMALL, png(6, 4, more=PROFILE), Compression.PNG16),
    "a small JPEG for a huge image": lambda: announcing(HUGE, jpeg_of(SMALL), Compression.JPEG, Encoding.U8X3),
    "a JPEG with two faces": lambda: announcing(Size(16, 16), two_faced_jpeg(), Compression.JPEG, Encoding.U8X3),
    "a huge JPEG for a small image": lambda: announcing(
        SMALL,
        jpeg_of(Size(16, 16)).replace(b"\x00\x10\x00\x10\x03", b"\xff\xff\xff\xff\x03"),
        Compression.JPEG,
        Encoding.U8X3,
    ),
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_a_decompression_bomb_is_refused_before_it_allocates(bomb: Callable[[], bytes]) -> None:
    """Less than a hundredth of the claimed size, by the account of Python's allocator, which numpy uses too."""
    message = bomb()
    tracemalloc.start()
    with pytest.raises(WireError):
        parse(message).array()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


READ_ALL = """
import sys
from resource import RUSAGE_SELF, getrusage
from stream.errors import WireError
from stream.wire.message import parse
good, *bombs = [open(name, "rb").read() for name in sys.argv[1:]]
parse(good).array()
before = getrusage(RUSAGE_SELF).ru_maxrss
for bomb in bombs:
    try:
        parse(bomb).array()
    except WireError:
        print("refused", getrusage(RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
def test_bombs_do_not_make_a_process_grow(tmp_path: Path) -> None:
    """By the kernel's account, so that memory of OpenCV and Zstandard counts: all together less than 20 MB more."""
    for number, message in enumerate((golden("metric-u16-png16"), *(make() for make in BOMBS.values()))):
        (tmp_path / f"{number:02}").write_bytes(message)
    names = sorted(str(file) for file in tmp_path.iterdir())
    command = [sys.executable, "-c", READ_ALL, *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    kilobytes = [int(line.removeprefix("refused ")) for line in done.stdout.splitlines()]
    assert len(kilobytes) == len(BOMBS)
    assert max(kilobytes) < 20_000


def test_a_damaged_png_is_not_read_as_depth() -> None:
    """Each single bit, with a message that has no checksum: the depth that was sent, or an error."""
    message, sent = golden("metric-u16-png16"), parse(golden("metric-u16-png16")).array()
    refused = 0
    for bit in range(8 * HEADER_BYTES, 8 * len(message)):
        damaged = bytearray(message)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            np.testing.assert_array_equal(parse(bytes(damaged)).array(), sent)
        except WireError:
            refused += 1
    assert refused > 0.9 * 8 * (len(message) - HEADER_BYTES)


def test_a_png_must_be_whole_and_end_where_it_ends() -> None:
    file = golden("metric-u16-png16")[HEADER_BYTES:]
    assert png_fault(memoryview(file), 5, 7) == ""
    assert "bytes by its chunks" in png_fault(memoryview(file + b"x"), 5, 7)
    assert "cut short" in png_fault(memoryview(file[:-12]), 5, 7)
    assert "7x6" in png_fault(memoryview(file), 6, 7)
