"""GPU frame formats converted in CPU memory: the code is the same for both."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from av.codec.hwaccel import HWAccel
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from stream.errors import SourceError
from stream.sources.pixels.bgr import BgrConverter
from stream.sources.pixels.nv12 import BT601_WEIGHTS, FORMATS, frame_to_bgr, planes, to_bgr

PALETTE = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (0, 0, 255), (0, 255, 0), (255, 0, 0), (20, 90, 160)]
"""Colours in BGR."""


def squares(height: int = 64, width: int = 112) -> np.ndarray:
    """(H, W, 3) BGR: flat squares of 16 pixels whose corners are on chroma samples."""
    rng = np.random.default_rng(0)
    colours = np.array(PALETTE, np.uint8)[rng.integers(len(PALETTE), size=(-(-height // 16), -(-width // 16)))]
    return np.repeat(np.repeat(colours, 16, 0), 16, 1)[:height, :width].copy()


def inside_squares(image: np.ndarray) -> np.ndarray:
    """The squares without two pixels at each border, where FFmpeg mixes neighbouring chroma when it encodes."""
    y, x = (np.arange(length) % 16 for length in image.shape[:2])
    return image[(y >= 3) & (y < 13)][:, (x >= 3) & (x < 13)]


def as_decoded(image: np.ndarray, kind: str, space: Colorspace, span: ColorRange) -> VideoFrame:
    frame = VideoFrame.from_ndarray(image, "bgr24")
    return frame.reformat(format=kind, dst_colorspace=space, dst_color_range=span)


@pytest.mark.parametrize("span", [ColorRange.MPEG, ColorRange.JPEG])
@pytest.mark.parametrize("space", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("kind", FORMATS)
def test_colours_come_back(kind: str, space: Colorspace, span: ColorRange) -> None:
    """For all matrices, ranges and bit depths, the colours equal those before encoding."""
    image = squares()
    frame = as_decoded(image, kind, space, span)
    frame.colorspace, frame.color_range = space.value, span.value
    found = frame_to_bgr(frame).numpy()
    difference = np.abs(inside_squares(found).astype(int) - inside_squares(image).astype(int))
    assert difference.max() <= 3, difference.max()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_card_and_the_cpu_show_the_same_image(kind: str) -> None:
    """FFmpeg's own conversion of the same frame agrees, so both decoders show the same colours."""
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8), (0, 0), 12)
    image = cv2.normalize(image.astype(np.float32), None, 40, 215, cv2.NORM_MINMAX).astype(np.uint8)
    frame = as_decoded(image, kind, Colorspace.ITU601, ColorRange.MPEG)
    difference = np.abs(frame_to_bgr(frame).numpy().astype(int) - BgrConverter()(frame).astype(int))
    assert difference.mean() < 1.5
    assert np.quantile(difference, 0.99) <= 6


def test_a_stream_that_names_no_matrix_is_taken_as_ffmpeg_takes_it() -> None:
    """It is BT.601 at every size."""
    frame = as_decoded(squares(), "nv12", Colorspace.ITU601, ColorRange.MPEG)
    frame.colorspace, frame.color_range = 2, 0  # AVCOL_SPC_UNSPECIFIED, AVCOL_RANGE_UNSPECIFIED
    ours, theirs = inside_squares(frame_to_bgr(frame).numpy()), inside_squares(BgrConverter()(frame))
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 3


def test_the_image_is_a_copy_and_the_planes_are_not() -> None:
    """A decoder has few surfaces and reuses them."""
    frame = as_decoded(squares(), "nv12", Colorspace.ITU601, ColorRange.MPEG)
    image = frame_to_bgr(frame)
    before = image.clone()
    luma, _ = planes(frame)
    np.frombuffer(frame.planes[0], np.uint8)  # the same memory
    luma.zero_()
    assert not np.frombuffer(frame.planes[0], np.uint8)[: frame.width].any()
    assert torch.equal(image, before)


def test_odd_sizes_take_the_last_chroma_twice() -> None:
    """Cameras crop 1080 lines from 1088, and some crop to odd sizes."""
    luma, chroma = torch.full((5, 7), 128, dtype=torch.uint8), torch.full((2, 3, 2), 128, dtype=torch.uint8)
    chroma[1, 2] = torch.tensor([128, 200])
    image = to_bgr(luma, chroma, BT601_WEIGHTS, full_range=True)
    assert image.shape == (5, 7, 3)
    assert image[4, 6].tolist() == image[3, 5].tolist() != image[0, 0].tolist() == [128, 128, 128]


@pytest.mark.parametrize(
    ("text", "words"), [("CUDA error: unspecified launch failure\nmore", "CUDA error: [a-z ]*;"), ("", "RuntimeError;")]
)
def test_a_card_that_fails_is_a_failure_of_the_source(monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    """A SourceError is retried, another error would end the camera; the frame and the GPU are stand-ins."""

    def lost(frame: object) -> torch.Tensor:
        raise RuntimeError(text)

    monkeypatch.setattr("stream.sources.pixels.nv12.frame_to_bgr", lost)
    frame: Any = SimpleNamespace(format=SimpleNamespace(name="cuda"), sw_format=SimpleNamespace(name="nv12"))
    with pytest.raises(SourceError, match=f"gives no image: {words} decode = .cpu."):
        BgrConverter()(frame)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_card_decodes_to_the_same_images(tmp_path: Path) -> None:
    """NVDEC's surfaces, read by torch, equal the CPU decoder's images: H.264 prescribes every bit."""
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for i in range(12):
            image = np.roll(squares(240, 320), 4 * i, axis=1)
            container.mux(stream.encode(VideoFrame.from_ndarray(image, "bgr24")))
        container.mux(stream.encode())
    images = {}
    for hardware in (None, HWAccel("cuda", is_hw_owned=True)):
        with av.open(path, hwaccel=hardware) as container:
            frames = list(container.decode(video=0))
            to_image = BgrConverter()
            images[frames[0].format.name] = np.stack([to_image(frame) for frame in frames])
    assert images.keys() == {"yuv420p", "cuda"}
    difference = np.abs(images["cuda"].astype(int) - images["yuv420p"].astype(int))
    assert np.median(difference) <= 2
