"""The fast path against the straightforward one, in float64 and step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.errors import PictureError
from stream.frames import Size
from stream.input_spec import InputSpec
from stream.preprocess.cpu import to_camera, to_network
from tests.preprocess.official import DEPTH_ANYTHING, MIDAS, ODD_SIZES, official, pictures


@pytest.mark.parametrize("spec", [MIDAS, DEPTH_ANYTHING], ids=["midas", "depth anything"])
@pytest.mark.parametrize("size", ODD_SIZES)
def test_it_equals_the_official_path(size: tuple[int, int], spec: InputSpec) -> None:
    """Within 5e-4 on normalised values, which is an eighth of a gray level."""
    images = pictures(size)
    pixels = to_network(images, spec)
    for got, image in zip(pixels, images, strict=True):
        np.testing.assert_allclose(got, official(image, spec), rtol=0, atol=5e-4)


def test_torch_sees_channels_last_without_a_copy() -> None:
    """(N, 3, h, w) float32 over NHWC memory."""
    pixels = to_network([np.zeros((48, 64, 3), np.uint8)] * 3, MIDAS)
    assert (pixels.shape, pixels.dtype) == ((3, 3, 192, 256), np.float32)
    tensor = torch.from_numpy(pixels)
    assert tensor.is_contiguous(memory_format=torch.channels_last)
    assert tensor.data_ptr() == pixels.__array_interface__["data"][0]


def test_cameras_of_one_shape_share_a_batch() -> None:
    """640x360 and 1280x720 both become 256x128."""
    assert to_network([np.zeros((360, 640, 3), np.uint8), np.zeros((720, 1280, 3), np.uint8)], MIDAS).shape[0] == 2


def test_read_only_and_strided_pictures_are_taken_and_left_alone() -> None:
    """A mirrored view of a read-only frame."""
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    image.flags.writeable = False
    before = image.copy()
    np.testing.assert_allclose(
        to_network([image[:, ::-1]], MIDAS)[0], official(image[:, ::-1].copy(), MIDAS), atol=5e-4
    )
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [((8, 8), np.uint8, "not 8x8 uint8"), ((8, 8, 4), np.uint8, "8x8x4"), ((8, 8, 3), np.float32, "float32")],
)
def test_what_is_not_8_bit_bgr_is_refused(shape: tuple[int, ...], dtype: type, words: str) -> None:
    """In words, not by an OpenCV assertion."""
    with pytest.raises(PictureError, match=words):
        to_network([np.zeros(shape, dtype)], MIDAS)


@pytest.mark.parametrize("size", [(480, 640), (97, 33), (192, 256), (64, 100), (720, 1280)])
def test_the_way_back_is_torchs_bicubic(size: tuple[int, int]) -> None:
    """F.interpolate(mode="bicubic", align_corners=False), the official resize back, also when shrinking."""
    depth = np.random.default_rng(1).uniform(0, 100, (192, 256)).astype(np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(depth)[None, None], size, mode="bicubic", align_corners=False, antialias=False
    )[0, 0].numpy()
    got = to_camera(depth, Size(*size), MIDAS)
    assert (got.shape, got.dtype) == (size, np.float32)
    # OpenCV rounds its sampling positions differently: up to 3e-5 of the range.
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.005)
