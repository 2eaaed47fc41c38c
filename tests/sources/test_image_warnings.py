"""What is said of images that would surprise: several in one file, twelve bits in sixteen."""

from __future__ import annotations

import logging
import struct
import threading
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from stream.settings import ImagesCamera
from stream.sources.images import ImagesSource, holds_several, read_image

GRAY = np.full((64, 80, 3), 90, np.uint8)


def encoded(suffix: str, image: np.ndarray = GRAY) -> bytes:
    there, content = cv2.imencode(suffix, image)
    if not there:
        raise cv2.error(f"cannot write {suffix}")
    return content.tobytes()


def animated_png() -> bytes:
    """One with an acTL chunk behind its header."""
    plain = encoded(".png")
    chunk = b"acTL" + struct.pack(">II", 2, 0)
    return plain[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]


def pages(path: Path, count: int) -> bytes:
    assert cv2.imwritemulti(str(path), [GRAY] * count)
    return path.read_bytes()


def test_several_images_in_one_file_are_noticed(tmp_path: Path) -> None:
    """Animations and pages; not the usual file of each kind, nor one that was cut."""
    assert holds_several(animated_png())
    assert holds_several(pages(tmp_path / "two.tiff", 2))
    assert holds_several(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02")
    assert not holds_several(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10")
    assert not holds_several(pages(tmp_path / "one.tiff", 1))
    assert not any(holds_several(encoded(suffix)) for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp"))
    assert not any(holds_several(animated_png()[:cut]) for cut in (0, 8, 30))
    assert not holds_several(b"II*\0\xff\xff\xff\xff")


def test_a_real_animation_of_the_web_is_noticed(tmp_path: Path) -> None:
    """As OpenCV itself writes it, where it can."""
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation = cv2.Animation()
    animation.frames, animation.durations = [GRAY, 255 - GRAY], [100, 100]
    for name in ("a.webp", "a.png"):
        assert cv2.imwriteanimation(str(tmp_path / name), animation)
        assert holds_several((tmp_path / name).read_bytes()), name


def test_only_the_first_of_several_is_said(tmp_path: Path) -> None:
    """With the file's name, and the image is used."""
    path, said = tmp_path / "a.png", list[str]()
    path.write_bytes(animated_png())
    assert read_image(path, lambda where, what: said.append(f"{where.name}: {what}")).shape == GRAY.shape
    assert len(said) == 1
    assert said[0].startswith("a.png: the file holds several images; only the first")


@pytest.mark.parametrize(("top", "remarks"), [(4095, 1), (4096, 0), (200, 1), (65535, 0), (0, 0)])
def test_twelve_bits_in_sixteen_are_noticed(tmp_path: Path, top: int, remarks: int) -> None:
    """Small values only; black is only black."""
    path, said = tmp_path / "a.png", list[str]()
    image = np.zeros((16, 16), np.uint16)
    image[4:8] = top
    path.write_bytes(encoded(".png", image))
    assert read_image(path, lambda where, what: said.append(what))[5, 5, 0] == top >> 8
    assert len(said) == remarks
    assert all(f"none above {top}" in each for each in said)


def test_a_folder_is_remarked_on_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ten thousand images of a camera with 12 bits are one line."""
    for number in range(3):
        path = tmp_path / f"{number}.png"
        path.write_bytes(encoded(".png", np.full((16, 16), 1000 + number, np.uint16)))
    with (
        caplog.at_level(logging.WARNING, "stream"),
        ImagesSource(ImagesCamera(source="images", path=str(tmp_path))) as source,
    ):
        assert len(list(source.frames(threading.Event()))) == 3
    (line,) = caplog.messages
    assert "0.png: 16 bits a value, but none above 1000" in line
    assert "others like it are not named" in line


@pytest.mark.parametrize("suffix", [".avif", ".ppm", ".jp2", ".dib", ".jpe"])
def test_less_usual_kinds_are_images(tmp_path: Path, suffix: str) -> None:
    """What OpenCV reads is no video."""
    try:
        content = encoded(suffix)
    except cv2.error:
        pytest.skip(f"this OpenCV does not write {suffix}")
    (tmp_path / f"a{suffix}").write_bytes(content)
    with ImagesSource(ImagesCamera(source="images", path=str(tmp_path))) as source:
        (frame,) = source.frames(threading.Event())
    assert np.abs(frame.image.astype(int) - GRAY).max() < 12
