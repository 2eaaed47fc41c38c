"""Where a JPEG file ends, by its structure."""

from __future__ import annotations

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.network.http.jpeg import MOST_STEPS, JpegEnd, JpegWalk
from tests.sources.network.http.http_camera import numbered_jpeg

PLAIN = numbered_jpeg(1)
THUMBNAIL = b"Exif\0\0" + numbered_jpeg(2, (32, 80))
FILES = {
    "baseline": PLAIN,
    "progressive": numbered_jpeg(1, (48, 160), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restart markers": numbered_jpeg(1, (48, 160), cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "thumbnail": PLAIN[:2] + b"\xff\xe1" + (len(THUMBNAIL) + 2).to_bytes(2, "big") + THUMBNAIL + PLAIN[2:],
    "fill bytes": PLAIN[:2] + b"\xff\xff" + PLAIN[2:-2] + b"\xff\xff" + PLAIN[-2:],
    "comment with an end marker": PLAIN[:2] + b"\xff\xfe\x00\x08ab\xff\xd9cd" + PLAIN[2:],
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_ends_at_its_own_end_marker(file: bytes) -> None:
    walk = JpegWalk()
    assert walk.end(bytearray(file + PLAIN)) == JpegEnd(len(file), "end")
    assert walk.has_scan
    assert not walk.is_broken


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_the_end_is_seen_with_its_last_byte(file: bytes) -> None:
    walk, data = JpegWalk(), bytearray()
    for index, byte in enumerate(file):
        data.append(byte)
        assert walk.end(data) == (JpegEnd(len(file), "end") if index == len(file) - 1 else None)


def test_a_cut_file_ends_where_the_next_begins() -> None:
    cut = PLAIN[: len(PLAIN) // 2]
    assert JpegWalk().end(bytearray(cut + b"\r\n--b\r\n\r\n" + PLAIN)) == JpegEnd(len(cut) + 9, "start")


def test_a_broken_structure_is_searched_for_an_end_marker() -> None:
    walk = JpegWalk()
    broken = PLAIN[:2] + b"\xff\x10nonsense" + PLAIN[2:]
    assert walk.end(bytearray(broken)) == JpegEnd(len(broken), "end")
    assert walk.is_broken


@pytest.mark.parametrize("filler", [b"\xff\xe0\0\2", b"\xff"])
def test_a_file_of_very_many_segments_is_searched_for_its_end_marker(filler: bytes) -> None:
    """Each was a step of its own: eight million of them, in 32 MB, held the reader for many seconds."""
    walk, many = JpegWalk(), bytearray(PLAIN[:2] + filler * (MOST_STEPS + 1) + PLAIN[2:])
    assert walk.end(many) == JpegEnd(len(many), "end")
    assert walk.is_broken


@given(st.binary(max_size=400), st.integers(1, 7))
def test_any_bytes_are_walked_the_same_in_pieces(rest: bytes, step: int) -> None:
    """Markers are frequent in the input, as a random byte in a hundred would hardly be one."""
    data = bytearray(b"\xff\xd8" + rest.replace(b"\x01", b"\xff").replace(b"\x02", b"\xd9").replace(b"\x03", b"\xda"))
    whole = JpegWalk().end(data)
    walk, seen, end = JpegWalk(), bytearray(), None
    for start in range(0, len(data), step):
        seen += data[start : start + step]
        end = end or walk.end(seen)
    assert end == whole
