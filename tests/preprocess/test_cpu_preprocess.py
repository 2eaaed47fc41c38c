"""The fast preprocessing against the official steps in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stream.errors import ImageError
from stream.preprocess.cpu import to_network
from tests.preprocess.official import (
    CANVASES,
    LARGE_WAYS,
    MIDAS,
    ODD_SIZES,
    WAYS,
    levels,
    sample_images,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("size", ODD_SIZES)
def test_it_equals_the_official_path(size: tuple[int, int], name: str) -> None:
    """Within 5e-4 on normalised values, which is an eighth of a gray level; bytes exactly, where they are the rule."""
    if name.startswith("sam"):
        pytest.importorskip("PIL")
    way, images = WAYS[name], sample_images(size)
    for got, image in zip(to_network(images, way.spec), images, strict=True):
        expected = way(image)
        np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 if way.spec.round_to_bytes else 5e-4)
        if way.spec.round_to_bytes:
            np.testing.assert_array_equal(levels(got, way.spec), levels(expected, way.spec))


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE_WAYS)
@pytest.mark.parametrize("size", [(720, 1280), (1536, 1536), (97, 33)])
def test_large_squares_equal_the_official_path(size: tuple[int, int], name: str) -> None:
    """1536x1536 whatever the image's shape, and Segment Anything's 1024x1024."""
    if name.startswith("sam"):
        pytest.importorskip("PIL")
    way, image = LARGE_WAYS[name], sample_images(size)[0]
    np.testing.assert_allclose(to_network([image], way.spec)[0], way(image), rtol=0, atol=2e-6)


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


@pytest.mark.parametrize("name", CANVASES)
def test_images_of_any_size_share_a_batch_and_change_nothing_in_each_other(name: str) -> None:
    """Where the network's input has one size for all: exactly what each gives alone, also one pixel high or wide."""
    sizes = [(480, 640), (33, 500), (720, 405), (1, 90), (90, 1), (616, 1064), (1500, 1500)]
    images = [image for size in sizes for image in sample_images(size)]
    together = to_network(images, CANVASES[name])
    for one, image in zip(together, images, strict=True):
        np.testing.assert_array_equal(one, to_network([image], CANVASES[name])[0])


@pytest.mark.parametrize("name", WAYS)
def test_read_only_and_mirrored_images_are_taken_and_left_alone(name: str) -> None:
    """A mirrored view of a read-only frame."""
    spec = WAYS[name].spec
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    image.flags.writeable = False
    before = image.copy()
    np.testing.assert_array_equal(to_network([image[:, ::-1]], spec), to_network([image[:, ::-1].copy()], spec))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [((8, 8), np.uint8, "not 8x8 uint8"), ((8, 8, 4), np.uint8, "8x8x4"), ((8, 8, 3), np.float32, "float32")],
)
def test_what_is_not_8_bit_bgr_is_refused(shape: tuple[int, ...], dtype: type, words: str) -> None:
    """The error names shape and dtype instead of being an OpenCV assertion."""
    with pytest.raises(ImageError, match=words):
        to_network([np.zeros(shape, dtype)], MIDAS)
