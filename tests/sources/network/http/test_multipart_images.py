"""The images of a Motion JPEG body, however it is framed and however it arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.network.http.multipart import LARGEST_PART, LONGEST_HEAD, FoundImage, ImageFinder
from tests.sources.network.http.http_camera import number_of, numbered_jpeg, part

A, B, C = (numbered_jpeg(number) for number in (1, 2, 3))
HALF = B[: len(B) // 2]
THUMBNAIL = b"Exif\0\0" + numbered_jpeg(9, (32, 80))
EXIF = B[:2] + b"\xff\xe1" + (len(THUMBNAIL) + 2).to_bytes(2, "big") + THUMBNAIL + B[2:]


def without_tables(jpeg: bytes) -> bytes:
    """Without Huffman tables, as many webcams send it."""
    kept, at = bytearray(jpeg[:2]), 2
    while jpeg[at + 1] != 0xDA:
        size = int.from_bytes(jpeg[at + 2 : at + 4], "big") + 2
        kept += jpeg[at : at + size] if jpeg[at + 1] != 0xC4 else b""
        at += size
    return bytes(kept) + jpeg[at:]


def stated(jpeg: bytes, length: object, after: bytes = b"\r\n") -> bytes:
    return f"--image\r\nContent-Type: image/jpeg\r\nContent-Length: {length}\r\n\r\n".encode() + jpeg + after


def bare(jpeg: bytes, head: bytes = b"--image\r\nContent-Type: image/jpeg\r\n\r\n") -> bytes:
    return head + jpeg + b"\r\n"


ALL = (A, B, C)
WHOLE = {
    "as most": b"".join(map(part, ALL)),
    "no first boundary": part(A)[9:] + part(B) + part(C),
    "doubled boundary": b"".join(b"--image\r\n" + part(each) for each in ALL),
    "dashes in the boundary": b"".join(part(each, "----image") for each in ALL),
    "no dashes": b"".join(part(each, "image") for each in ALL),
    "another boundary": b"".join(part(each, "--other") for each in ALL),
    "no Content-Type": b"".join(f"--image\r\nContent-Length: {len(j)}\r\n\r\n".encode() + j + b"\r\n" for j in ALL),
    "no Content-Length": b"".join(map(bare, ALL)),
    "no headers": b"".join(bare(each, b"--image\r\n\r\n") for each in ALL),
    "no blank line": b"".join(bare(each, b"--image\r\n") for each in ALL),
    "nothing but images": b"".join(ALL),
    "lower case": b"".join(part(each).replace(b"Content-Length", b"content-length") for each in ALL),
    "zero length": b"".join(stated(each, 0) for each in ALL),
    "absurd length": b"".join(stated(each, 10**9) for each in ALL),
    "text as length": b"".join(stated(each, "many") for each in ALL),
    "negative length": b"".join(stated(each, -5) for each in ALL),
    "length too small": b"".join(stated(each, len(each) - 40) for each in ALL),
    "length far too small": b"".join(stated(each, 7) for each in ALL),
    "length too large": b"".join(stated(each, len(each) + 40) for each in ALL),
    "length far too large": b"".join(stated(each, 3 * len(each)) for each in ALL),
    "length with the line end": b"".join(stated(each, len(each) + 2) for each in ALL),
    "line feeds only": b"".join(stated(each, len(each), b"\n").replace(b"\r\n", b"\n", 4) for each in ALL),
    "no line end after the image": b"".join(stated(each, len(each), b"") for each in ALL),
    "more headers": b"".join(b"--image\r\nX-Timestamp: 1.5\r\nX-Foo: bar\r\n" + part(each)[9:] for each in ALL),
    "empty parts": b"".join(stated(b"", 0) + part(each) for each in ALL),
    "preamble": b"This is a multipart message.\r\n\r\n" + b"".join(map(part, ALL)),
    "parts of text": b"".join(b"--image\r\nContent-Type: text/plain\r\n\r\nhello\r\n" + part(each) for each in ALL),
    "zeros after the image": b"".join(stated(each + bytes(500), len(each) + 500) for each in ALL),
    "a second picture inside": b"".join(stated(each + A, len(each) + len(A)) for each in ALL),
    "the end of the body": b"".join(map(part, ALL)) + b"--image--\r\n",
}


def found(body: bytes, *cuts: int, boundary: bytes = b"image") -> list[FoundImage]:
    finder, images = ImageFinder(boundary), []
    for number, (start, end) in enumerate(zip((0, *cuts), (*cuts, len(body)), strict=True)):
        images += finder.feed(body[start:end], number, number)
    return images


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_every_framing_gives_the_same_images(body: bytes) -> None:
    """Byte for byte, undamaged, and each image with its last byte: nothing follows the last one."""
    images = found(body)
    assert [(image.data, image.damage) for image in images] == [(each, "") for each in ALL]


@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_an_image_is_complete_with_its_last_byte(body: bytes) -> None:
    end = body.index(A[-20:]) + 20
    assert found(body[: end - 1]) == []
    assert [image.data for image in found(body[:end])] == [A]


@pytest.mark.parametrize("boundary", [b"", b"image", b"--image", b"x" * 5000, b"\xff\xd8\xff"])
def test_the_stated_boundary_may_be_wrong(boundary: bytes) -> None:
    assert [image.data for image in found(WHOLE["as most"], boundary=boundary)] == [A, B, C]


def test_the_thumbnail_is_no_image() -> None:
    for body in (part(A) + part(EXIF) + part(C), bare(A) + bare(EXIF) + bare(C)):
        assert [image.data for image in found(body)] == [A, EXIF, C]


def test_tables_may_be_left_out() -> None:
    spare = without_tables(B)
    assert [image.data for image in found(bare(A) + bare(spare) + bare(C))] == [A, spare, C]
    assert number_of(spare) == 2


def test_a_cut_image_is_damaged_inside() -> None:
    """Whether its length is stated or not, the next image is whole."""
    for cut in (part(HALF), bare(HALF), stated(HALF, len(B))):
        images = found(part(A) + cut + part(C))
        assert [(image.data, image.damage) for image in images] == [(A, ""), (HALF, "inside"), (C, "")]


def test_a_cut_image_is_told_with_the_next_boundary() -> None:
    assert [image.data for image in found(part(A) + part(HALF) + b"--image\r\nContent-Type: image/jpeg")] == [A, HALF]


def test_an_image_without_coded_data_is_lost() -> None:
    """So the image after it is damaged before."""
    images = found(part(A) + part(B[:100]) + part(C))
    assert [(image.data, image.damage) for image in images] == [(A, ""), (C, "before")]


def test_an_image_carries_the_arrival_of_its_first_and_last_byte() -> None:
    body = part(A) + part(B)
    start, end = body.index(A), body.index(A) + len(A)
    image, second = found(body, start, start + 1, end - 1, end, len(body) - 5)
    assert (image.first_ns, image.complete_ns) == (1, 3)
    assert second.first_ns == 4


def test_many_small_pieces_keep_the_arrival_of_the_first() -> None:
    finder = ImageFinder()
    images = [image for at, byte in enumerate(A) for image in finder.feed(bytes([byte]), at, at)]
    assert images == [FoundImage(A, 0, len(A) - 1, "")]


@pytest.mark.parametrize(
    ("begin", "reason"),
    [(b"", "no JPEG image among 32 MB"), (A[:-2], "no end within 32 MB")],
    ids=["no image", "an image without an end"],
)
def test_what_never_becomes_an_image_is_bounded(begin: bytes, reason: str) -> None:
    finder, block = ImageFinder(b"image"), bytes(1 << 20)
    assert finder.feed(begin, 0, 0) == []
    for _ in range((LARGEST_PART >> 20) - 1):
        assert finder.feed(block, 0, 0) == []
    with pytest.raises(ValueError, match=reason):
        finder.feed(2 * block, 0, 0)


def test_a_huge_part_header_is_forgotten_in_part() -> None:
    """Its length is out of reach, the markers tell."""
    head = stated(b"", len(A), b"")[:-2] + b"X-Long: " + b"x" * 3 * LONGEST_HEAD + b"\r\n\r\n"
    assert [image.data for image in found(head + A + part(B))] == [A, B]


PIECES = [part(A), bare(B), part(HALF), part(B[:100]), EXIF, stated(C, 7), stated(C, 9000), b"\xff", b"\xff\xd8\xff"]
PIECES += [b"--image\r\n", b"\r\n\r\n", b"\xff\xd9", bytes(50), b"Content-Length: 20\r\n\r\n", b"\xff\xda\x00\x02"]


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=60), max_size=8),
    st.lists(st.integers(0, 30_000), max_size=12),
)
def test_any_split_of_any_bytes_gives_the_same_images(pieces: list[bytes], cuts: list[int]) -> None:
    body = b"".join(pieces)
    inside = sorted(cut for cut in cuts if cut < len(body))
    whole, split = found(body), found(body, *inside)
    assert [(image.data, image.damage) for image in split] == [(image.data, image.damage) for image in whole]
    assert all(image.first_ns <= image.complete_ns for image in split)
