"""Sizes read from headers: the same as the decoder's, and decompression bombs are rejected before decoding."""

from __future__ import annotations

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from depth_api_rig import Network, encoded, noise, serving
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.frames import Size
from stream.web.depth_api.decoding import decode
from stream.web.depth_api.image_header import Header, check_size, read_header
from stream.web.http_errors import RequestError

ENDINGS = (".png", ".jpg", ".webp", ".bmp", ".tiff")
HUGE = 60_000


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    frame = b"\xff\xc0\0\x11\x08" + struct.pack(">HH", height, width) + b"\x03\x01\x22\0\x02\x11\x01\x03\x11\x01"
    return b"\xff\xd8" + before + frame + b"\xff\xda\0\x02" + bytes(40) + b"\xff\xd9"


def webp(kind: bytes, payload: bytes) -> bytes:
    content = b"WEBP" + kind + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(content)) + content


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *6 * [0])


def tiff(entries: dict[int, int], order: str = "<", kind: int = 4) -> bytes:
    form = {1: "B3x", 3: "H2x", 4: "I", 12: "I"}[kind]
    listed = b"".join(struct.pack(f"{order}HHI{form}", tag, kind, 1, value) for tag, value in entries.items())
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return head + listed + bytes(4 + 64)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", [(8, 9), (97, 31), (16, 700)])
def test_the_claim_is_the_decoders(ending: str, size: tuple[int, int]) -> None:
    """For every format that OpenCV writes."""
    data = encoded(noise(*size), ending)
    header = read_header(data)
    assert (header.size, header.buffer_px) == (Size(*size), size[0] * size[1])
    assert decode(data, header).shape == (*size, 3)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (encoded(noise(33, 20), ".jpg")[:2] + 999 * b"\xff" + encoded(noise(33, 20), ".jpg")[2:], (33, 20)),
        (jpeg(7, 9, b"\xff\xc4\0\x04ab" + b"noise" + b"\xff\xe1\0\x08\xff\xc0\0\x11ab"), (9, 7)),
        (webp(b"VP8X", bytes(4) + b"\x09\x00\x00" + b"\x13\x00\x01"), (65556, 10)),
        (webp(b"VP8L", b"\x2f" + struct.pack("<I", 9 | 19 << 14)), (20, 10)),
        (webp(b"VP8 ", bytes(6) + struct.pack("<HH", 10 | 0x4000, 20)), (20, 10)),
        (bmp(30, -20), (20, 30)),
        (b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 30, 20, 1, 24), (20, 30)),
        (tiff({256: 30, 257: 20}, ">"), (20, 30)),
        (tiff({256: 30, 257: 20}, ">", 3), (20, 30)),
        (tiff({256: 30, 257: 20}, "<", 1), (20, 30)),
    ],
)
def test_forms_that_opencv_does_not_write_are_read(data: bytes, size: tuple[int, int]) -> None:
    """Fill bytes and thumbnails in a JPEG, three kinds of WebP, rows from the top, both orders of bytes."""
    assert read_header(data).size == size


BOMBS = {
    "PNG": png(HUGE, HUGE, zlib.compress(bytes(1000))),
    "JPEG": jpeg(HUGE, HUGE),
    "WebP": webp(b"VP8X", bytes(4) + 2 * (HUGE - 1).to_bytes(3, "little")),
    "BMP": bmp(HUGE, HUGE),
    "TIFF": tiff({256: HUGE, 257: HUGE}),
    "tiled TIFF": tiff({256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 277: 1, 322: 16_000, 323: 16_000, 324: 200, 325: 64}),
    "TIFF with a repeated width": tiff({256: 16, 257: 16})[:10].replace(b"\x02\0", b"\x03\0")
    + struct.pack("<HHII", 256, 4, 1, 16)
    + struct.pack("<HHII", 256, 4, 1, HUGE)
    + struct.pack("<HHII", 257, 4, 1, HUGE)
    + bytes(64),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_nothing(bomb: str) -> None:
    """3.6 gigapixels, or a tile of a quarter of one, in less than a kilobyte: refused before anything is allocated."""
    network = Network()
    with serving(network) as client:
        client.post(encoded(noise()))
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        reply = client.post(BOMBS[bomb])
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert (len(BOMBS[bomb]) < 1024, reply.status, len(network.calls)) == (True, 413, 1)
    assert "at most 40 megapixels and 16384 px a side" in reply.words
    assert grown_kb < 16_384


def test_one_long_side_is_too_large_whatever_the_area() -> None:
    """An image of one row."""
    with pytest.raises(RequestError, match="16385x8 px") as refusal:
        check_size(Header("PNG", Size(8, 16_385), 8 * 16_385), 10**9)
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "data",
    [
        png(0, 9),
        b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", bytes(20)),
        b"\xff\xd8\xff\xd9" + bytes(20),
        b"\xff\xd8\xff\xda\0\x02",
        b"\xff\xd8" + 10_000 * b"\xff\xd0",
        b"\xff\xd8" + 20_000 * b"\xff",
        webp(b"ICCP", bytes(20)),
        bmp(-5, 5),
        tiff({256: 5}),
        tiff({256: 5, 257: 5}, kind=12),
        b"II*\0" + struct.pack("<IH", 8, 65535) + bytes(10**6),
        b"II*\0\xff\xff\xff\xff",
    ],
)
def test_headers_without_sense_are_damage(data: bytes) -> None:
    """No size, none before the image, or an endless search for one."""
    with pytest.raises(RequestError, match="is damaged: ") as refusal:
        read_header(data)
    assert refusal.value.status == 400


def outcome(data: bytes) -> int:
    """The HTTP status for an image."""
    try:
        header = read_header(data)
        check_size(header, 10_000)
        image = decode(data, header)
    except RequestError as refusal:
        return refusal.status
    assert (image.dtype, image.ndim, image.flags.writeable) == (np.uint8, 3, False)
    return 200


@pytest.mark.slow
@settings(deadline=None)
@given(
    st.sampled_from(ENDINGS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    st.integers(0, 500),
)
def test_whatever_was_damaged_it_is_read_or_refused(ending: str, changes: list[tuple[int, int]], length: int) -> None:
    """Nothing else is raised, from the header to the pixels."""
    data = bytearray(encoded(noise(8, 8), ending))
    for place, value in changes:
        data[place % len(data)] = value
    assert outcome(bytes(data[:length]) if length < 400 else bytes(data)) in {200, 400, 413, 415}


@pytest.mark.slow
def test_a_png_with_more_behind_its_last_row_is_refused() -> None:
    """200 MB of zeros in 200 kB, which libpng would inflate to the end; 20 MB of those keep it busy for minutes."""
    squeeze = zlib.compressobj(9)
    data = b"".join([*(squeeze.compress(bytes(10**7)) for _ in range(20)), squeeze.flush()])
    bomb = png(16, 16, data)
    with pytest.raises(RequestError, match="the PNG holds more than its image"):
        decode(bomb, read_header(bomb))
    many = png(16, 16)[:33] + 100_001 * chunk(b"tIME", b"")
    with pytest.raises(RequestError, match="the PNG has more than 100000 parts"):
        decode(many, read_header(many))


def test_no_honest_png_is_taken_for_a_bomb() -> None:
    """The most bytes a pixel there are: 16 bits, four channels, tiny and large."""
    for height, width in ((8, 8), (8, 1000), (1000, 8)):
        data = encoded(np.random.default_rng(0).integers(0, 65536, (height, width, 4), np.uint16))
        assert decode(data, read_header(data)).shape == (height, width, 3)


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    """Each of them costs a pass over the whole image; a usual progressive one is read."""
    image = noise(64, 64)
    done, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    data = coded.tobytes()
    assert done
    assert decode(data, read_header(data)).shape == (64, 64, 3)
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + 100 * data[last:-2] + b"\xff\xd9"
    with pytest.raises(RequestError, match="more than 100 scans"):
        decode(bomb, read_header(bomb))
