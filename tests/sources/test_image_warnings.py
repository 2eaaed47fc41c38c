"""Warnings about image files: several images in one file, 12-bit data in 16 bits."""

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
from stream.sources.images import ImagesSource, has_multiple_images, read_image

GRAY = np.full((64, 80, 3), 90, np.uint8)


def encoded(suffix: str, image: np.ndarray = GRAY) -> bytes:
    there, content = cv2.imencode(suffix, image)
    if not there:
        raise cv2.error(f"cannot write {suffix}")
    return content.tobytes()


def animated_png() -> bytes:
    """A PNG with an acTL chunk behind its header."""
    plain = encoded(".png")
    chunk = b"acTL" + struct.pack(">II", 2, 0)
    return plain[:33] + struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]


def pages(path: Path, count: int) -> bytes:
    assert cv2.imwritemulti(str(path), [GRAY] * count)
    return path.read_bytes()


def test_several_images_in_one_file_are_noticed(tmp_path: Path) -> None:
    """Animations and pages count; plain files of each kind and truncated ones do not."""
    assert has_multiple_images(animated_png())
    assert has_multiple_images(pages(tmp_path / "two.tiff", 2))
    assert has_multiple_images(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02")
    assert not has_multiple_images(b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10")
    assert not has_multiple_images(pages(tmp_path / "one.tiff", 1))
    assert not any(has_multiple_images(encoded(suffix)) for suffix in (".png", ".jpg", ".webp", ".tiff", ".bmp"))
    assert not any(has_multiple_images(animated_png()[:cut]) for cut in (0, 8, 30))
    assert not has_multiple_images(b"II*\0\xff\xff\xff\xff")


def test_a_real_animation_of_the_web_is_noticed(tmp_path: Path) -> None:
    """The animation is one that OpenCV itself writes, if it can."""
    if not hasattr(cv2, "imwriteanimation"):
        pytest.skip("this OpenCV writes no animations")
    animation = cv2.Animation()
    animation.frames, animation.durations = [GRAY, 255 - GRAY], [100, 100]
    for name in ("a.webp", "a.png"):
        assert cv2.imwriteanimation(str(tmp_path / name), animation)
        assert has_multiple_images((tmp_path / name).read_bytes()), name


def test_several_images_in_one_file_are_warned_about(tmp_path: Path) -> None:
    """The warning has the file's name, and the first image is used."""
    path, warnings = tmp_path / "a.png", list[str]()
    path.write_bytes(animated_png())
    assert read_image(path, lambda where, what: warnings.append(f"{where.name}: {what}")).shape == GRAY.shape
    assert len(warnings) == 1
    assert warnings[0].startswith("a.png: the file holds several images; only the first")


@pytest.mark.parametrize(("top", "count"), [(4095, 1), (4096, 0), (200, 1), (65535, 0), (0, 0)])
def test_twelve_bits_in_sixteen_are_noticed(tmp_path: Path, top: int, count: int) -> None:
    """Only small values are warned about; an all-black image is simply black."""
    path, warnings = tmp_path / "a.png", list[str]()
    image = np.zeros((16, 16), np.uint16)
    image[4:8] = top
    path.write_bytes(encoded(".png", image))
    assert read_image(path, lambda where, what: warnings.append(what))[5, 5, 0] == top >> 8
    assert len(warnings) == count
    assert all(f"none above {top}" in each for each in warnings)


def test_a_folder_is_warned_about_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Any number of 12-bit images in one folder cause one warning."""
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
    """Every suffix that OpenCV reads counts as an image."""
    try:
        content = encoded(suffix)
    except cv2.error:
        pytest.skip(f"this OpenCV does not write {suffix}")
    (tmp_path / f"a{suffix}").write_bytes(content)
    with ImagesSource(ImagesCamera(source="images", path=str(tmp_path))) as source:
        (frame,) = source.frames(threading.Event())
    assert np.abs(frame.image.astype(int) - GRAY).max() < 12
