"""The simulation of cameras and JPEG."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from stream.scenes.camera.film import Shots, blurred, defocus_px, random_shots, take
from stream.scenes.camera.jpeg import compressed

H, W = 40, 56


@pytest.fixture
def image() -> Tensor:
    """Two smooth random images (2, 3, H, W) in 0..1."""
    coarse = torch.rand(2, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, (H, W), mode="bilinear", align_corners=False)


@pytest.fixture
def plain() -> Shots:
    """Shots that change nothing but the number of bits."""
    one, zero = torch.ones(2), torch.zeros(2)
    return Shots(one, torch.ones(2, 3), one, one, zero.bool(), zero, zero, one, zero, one * 101, 0)


def ramp() -> Tensor:
    """(2, H, W): 1 m on the left, 9 m on the right; sky in the last column."""
    depth = torch.linspace(1, 9, W).expand(2, H, W).clone()
    depth[..., -1] = torch.inf
    return depth


def test_a_perfect_camera_only_rounds(image: Tensor, plain: Shots) -> None:
    """To 8 bits, (B, 3, H, W)."""
    taken = take(image, ramp(), plain)
    assert taken.dtype == torch.uint8
    assert float((taken / 255 - image).abs().max()) <= 0.5 / 255 + 1e-6


def test_the_seed_decides(image: Tensor) -> None:
    """The same seed gives the same image, another seed another one."""
    first, again, other = (take(image, ramp(), random_shots(np.random.default_rng(s), 2)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_grey_camera_has_no_colours(image: Tensor, plain: Shots) -> None:
    """Only the image that is meant to be grey."""
    taken = take(image, ramp(), replace(plain, grey=torch.tensor([True, False])))
    spread = (taken.amax(1).int() - taken.amin(1).int()).flatten(1).amax(1)
    assert spread[0] == 0
    assert spread[1] > 20


def test_exposure_and_balance_are_factors(image: Tensor, plain: Shots) -> None:
    """Half the light, and half of that in blue."""
    shots = replace(plain, exposure=torch.full((2,), 0.5), balance=torch.tensor([[1, 1, 0.5]] * 2))
    taken = take(image, ramp(), shots) / 255
    expected = image * torch.tensor([0.5, 0.5, 0.25])[:, None, None]
    torch.testing.assert_close(taken, expected, atol=0.5 / 255 + 1e-6, rtol=0)


def test_noise_has_the_stated_strength(plain: Shots) -> None:
    """Its deviation is 1.2 times the setting in the dark, and 0.9 times on middle grey."""
    grey = torch.full((2, 3, 100, 100), 0.5)
    taken = take(grey, torch.ones(2, 100, 100), replace(plain, noise=torch.tensor([0.04, 0.0]))) / 255
    assert float(taken[0].std()) == pytest.approx(0.036, rel=0.05)
    assert float(taken[1].std()) == pytest.approx(0.0, abs=1e-6)


def test_only_what_is_out_of_focus_is_blurred(plain: Shots) -> None:
    """Focused on the nearest column, stripes stay there and fade with distance."""
    stripes = (torch.arange(W) % 2).float().expand(2, 3, H, W)
    taken = take(stripes, ramp(), replace(plain, aperture=torch.full((2,), 3.0))) / 255
    assert float(taken[..., 0].max()) < 0.1  # column 0 is in focus and black
    assert float(taken[..., 20:-15].std(-1).max()) < 0.02  # the last columns repeat the edge's stripe


@pytest.mark.parametrize("width_px", [0.6, 1.2, 2.4])
def test_blur_has_the_stated_width(width_px: float) -> None:
    """The blur of a line, by its second moment, within 5%; its light is kept."""
    line = torch.zeros(1, 1, 31, 61)
    line[..., 30] = 1
    row = blurred(line, torch.full((1, 1, 1), width_px))[0, 0, 15]
    assert float(row.sum()) == pytest.approx(1, abs=1e-4)
    moment = (row * (torch.arange(61) - 30.0) ** 2).sum().sqrt()
    assert float(moment) == pytest.approx(width_px, rel=0.06)


def test_sky_and_focus_make_finite_blur() -> None:
    """+inf is as sharp as the horizon."""
    spread = defocus_px(ramp(), torch.tensor([2.0, 4.0]), torch.tensor([2.0, 4.0]))
    assert bool(spread.isfinite().all())
    assert spread[:, 0, -1].tolist() == [1.0, 1.0]


def opencvs(eight_bits: Tensor, quality: int) -> Tensor:
    """(3, H, W) uint8 RGB through a file of OpenCV's (libjpeg)."""
    bgr = eight_bits.permute(1, 2, 0).numpy()[..., ::-1]
    _, file = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1).float()


@pytest.mark.parametrize("quality", [20, 50, 90])
@pytest.mark.parametrize("grey", [True, False])
def test_jpeg_is_libjpegs(image: Tensor, quality: int, grey: bool) -> None:
    """As far from the original as OpenCV's files, within 10%; grey ones are the same but for roundings.

    Coloured ones differ more: libjpeg interpolates the halved colours with other weights. No side is a multiple of 16.
    """
    textured = (image + 0.1 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    if grey:
        textured = textured[:, :1].expand(-1, 3, -1, -1)
    original = (textured * 255).round()
    ours = compressed(original / 255, torch.full((2,), float(quality)))[0] * 255
    theirs = opencvs(original[0].to(torch.uint8), quality)
    error = (ours - original[0]).abs().mean()
    assert float(error) == pytest.approx(float((theirs - original[0]).abs().mean()), rel=0.1)
    assert float((ours - theirs).abs().mean()) < (1.0 if grey else 0.5 * float(error))


def test_images_of_a_batch_have_their_own_quality(image: Tensor) -> None:
    """An image's neighbours change nothing."""
    both = compressed(image, torch.tensor([30.0, 95.0]))
    alone = compressed(image[:1], torch.tensor([30.0]))
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=0)
    error = (both - image).abs().mean((1, 2, 3))
    assert error[0] > 2 * error[1]
