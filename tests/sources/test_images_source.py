"""Image files and folders: natural order, every bit depth, and errors that name the file."""

from __future__ import annotations

import struct
import threading
import zlib
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.errors import ImageError, SourceError
from stream.frames import check_image
from stream.settings import ImagesCamera
from stream.sources.images import MAX_SIDE_PX, ImagesSource, read_image


def save(path: Path, image: np.ndarray | None = None) -> Path:
    """Write through imencode, which accepts any file name."""
    image = np.full((12, 16, 3), 90, np.uint8) if image is None else image
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def open_source(path: Path, **settings: object) -> ImagesSource:
    return ImagesSource(ImagesCamera(source="images", path=str(path), **settings))


def test_a_folder_is_read_in_the_order_people_count(tmp_path: Path) -> None:
    """2 comes before 10, capitals are sorted among the rest, other files and folders are skipped."""
    for name in ("shot10.png", "shot2.png", "Shot3.JPG", "shot1.webp", "a.tiff", "z.bmp"):
        save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "sub.png").mkdir()
    with open_source(tmp_path, name="table") as source:
        assert [path.name for path in source.paths] == [
            "a.tiff", "shot1.webp", "shot2.png", "Shot3.JPG", "shot10.png", "z.bmp",
        ]  # fmt: skip
        frames = list(source.frames(threading.Event()))
        assert source.describe().endswith(": 6 images")
        assert source.count == 6
    assert source.count == 6, "later stages name their files by the paths"
    assert [frame.seq for frame in frames] == list(range(6))
    assert {(frame.camera, frame.stamp.source, frame.stamp.media_s) for frame in frames} == {("table", "file", None)}


def test_one_image_is_a_folder_of_one(tmp_path: Path) -> None:
    """The image is BGR, read-only and contiguous."""
    image = np.arange(12 * 16 * 3, dtype=np.uint8).reshape(12, 16, 3)
    with open_source(save(tmp_path / "one.png", image)) as source:
        (frame,) = source.frames(threading.Event())
    np.testing.assert_array_equal(frame.image, image)
    assert frame.image.flags.c_contiguous
    assert not frame.image.flags.writeable


def test_a_loop_starts_the_folder_again(tmp_path: Path) -> None:
    """The numbers and the time line continue."""
    for level in (10, 20, 30):
        save(tmp_path / f"{level}.png", np.full((12, 16, 3), level, np.uint8))
    stopping = threading.Event()
    with open_source(tmp_path, loop=True, fps=1000) as source:
        frames = source.frames(stopping)
        five = list(islice(frames, 5))
        stopping.set()
        assert list(frames) == []
    assert [int(frame.image[0, 0, 0]) for frame in five] == [10, 20, 30, 10, 20]
    assert [frame.stamp.media_s for frame in five] == pytest.approx([0, 0.001, 0.002, 0.003, 0.004])


@pytest.mark.parametrize(
    ("stored", "seen"),
    [
        (np.full((10, 10), 70, np.uint8), (70, 70, 70)),
        (np.full((10, 10), 65535, np.uint16), (255, 255, 255)),
        (np.full((10, 10, 3), (0, 32768, 65535), np.uint16), (0, 128, 255)),
        (np.full((10, 10, 4), (5, 6, 7, 0), np.uint8), (5, 6, 7)),
        (np.full((10, 10, 4), (5 << 8, 6 << 8, 7 << 8, 1), np.uint16), (5, 6, 7)),
    ],
    ids=["gray", "gray 16", "colour 16", "transparent", "transparent 16"],
)
def test_every_kind_of_image_becomes_8_bit_bgr(tmp_path: Path, stored: np.ndarray, seen: tuple[int, ...]) -> None:
    """The kinds are gray, 16 bits and transparency."""
    image = read_image(save(tmp_path / "image.png", stored))
    assert (image.shape, image.dtype) == ((10, 10, 3), np.uint8)
    assert tuple(image[3, 3].tolist()) == seen


def test_exif_turns_the_image(tmp_path: Path) -> None:
    """With orientation 6 the camera was held upright, and the image is rotated clockwise."""
    sideways = np.full((16, 32, 3), 128, np.uint8)
    sideways[:, :8] = 255
    jpeg = cv2.imencode(".jpg", sideways)[1].tobytes()
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)
    tiff = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 0)
    path = tmp_path / "phone.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(tiff) + 2) + tiff + jpeg[2:])
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[:6].min() > 240
    assert image[12:].max() < 140


def test_names_may_hold_any_letters(tmp_path: Path) -> None:
    """Umlauts, Japanese and spaces work."""
    assert read_image(save(tmp_path / "für 写真.jpg")).shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.png", b"not an image at all", "broken.png: not an image"),
        ("empty.jpg", b"", "empty.jpg: the file is empty"),
    ],
)
def test_a_broken_file_is_named_when_its_turn_comes(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    """The good images before it are delivered."""
    save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(content)
    with open_source(tmp_path) as source:
        frames = source.frames(threading.Event())
        next(frames)
        with pytest.raises(SourceError, match=words):
            next(frames)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file or folder"),
        (lambda path: path.mkdir(), "the folder holds no images; these count: .avif .bmp"),
    ],
    ids=["missing", "empty"],
)
def test_a_path_without_images_is_refused_on_entering(tmp_path: Path, make, words: str) -> None:
    """The error comes before anything starts."""
    make(tmp_path / "photos")
    with pytest.raises(SourceError) as caught, open_source(tmp_path / "photos"):
        pass
    assert words in str(caught.value)


def test_a_missing_image_is_named() -> None:
    """``read_image`` raises it alone, as the command line uses it."""
    with pytest.raises(SourceError, match=r"nowhere/cat.png: cannot be read: No such file"):
        read_image(Path("nowhere/cat.png"))


@pytest.mark.parametrize("shape", [(7, 40), (40, 7), (1, 1)])
def test_a_tiny_image_is_refused(tmp_path: Path, shape: tuple[int, int]) -> None:
    """A network needs at least 8 px."""
    with pytest.raises(ImageError, match=f"{shape[1]}x{shape[0]} px is too small: sides of at least 8 px are needed"):
        read_image(save(tmp_path / "dot.png", np.zeros(shape, np.uint8)))


def test_a_side_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """A side of 16384 px is accepted, one more is too much."""
    check_image(np.zeros((8, MAX_SIDE_PX, 3), np.uint8), "wide")
    with pytest.raises(ImageError, match="16385x8 px is too large"):
        read_image(save(tmp_path / "wide.png", np.zeros((8, MAX_SIDE_PX + 1), np.uint8)))


def test_an_image_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """The file has a few bytes that claim 1.6 thousand million pixels."""
    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks))
    with pytest.raises(ImageError, match=r"bomb\.png: too large to decode"):
        read_image(path)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
