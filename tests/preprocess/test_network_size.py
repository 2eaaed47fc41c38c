"""The size rule, against a table and against the official code's arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.frames import Size
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from stream.preprocess.geometry import network_size
from tests.preprocess.official import DEPTH_ANYTHING, MIDAS, resize_rule


@pytest.mark.parametrize(
    ("camera", "spec", "expected"),
    [
        ((720, 1280), MIDAS, (128, 256)),
        ((1080, 1920), MIDAS, (128, 256)),
        ((360, 640), MIDAS, (128, 256)),
        ((480, 640), MIDAS, (192, 256)),
        ((640, 480), MIDAS, (256, 192)),
        ((576, 768), MIDAS, (192, 256)),
        ((272, 640), MIDAS, (96, 256)),
        ((8, 8), MIDAS, (256, 256)),
        ((100, 1601), MIDAS, (32, 256)),
        ((100, 16000), MIDAS, (32, 256)),
        ((480, 640), DEPTH_ANYTHING, (518, 686)),
        ((720, 1280), DEPTH_ANYTHING, (518, 924)),
        ((320, 240), DEPTH_ANYTHING, (686, 518)),
        ((518, 518), DEPTH_ANYTHING, (518, 518)),
    ],
)
def test_known_sizes(camera: tuple[int, int], spec: InputSpec, expected: tuple[int, int]) -> None:
    """Height first; among them the ties that round to even."""
    assert network_size(Size(*camera), spec) == expected


@pytest.mark.parametrize("spec", [MIDAS, DEPTH_ANYTHING])
def test_without_aspect_every_image_becomes_the_square(spec: InputSpec) -> None:
    """keep_aspect = false."""
    square = InputSpec(spec.side, spec.bound, spec.multiple, spec.mean, spec.std, keep_aspect=False)
    for camera in (Size(720, 1280), Size(1001, 13)):
        assert network_size(camera, square) == (spec.side, spec.side)


sides = st.integers(min_value=8, max_value=16384)
specs = st.builds(
    InputSpec,
    side=st.integers(min_value=32, max_value=2048),
    bound=st.sampled_from(["upper", "lower"]),
    multiple=st.sampled_from([1, 14, 28, 32]),
    mean=st.just(IMAGENET_MEAN),
    std=st.just(IMAGENET_STD),
)


@given(sides, sides, specs)
def test_it_is_the_official_rule_but_never_zero(height: int, width: int, spec: InputSpec) -> None:
    """Whatever the image and the network."""
    camera = Size(height, width)
    expected = tuple(max(side, spec.multiple) for side in resize_rule(camera, spec))
    assert network_size(camera, spec) == expected


@given(sides, sides, specs)
def test_sides_are_multiples_on_the_right_side_of_the_bound(height: int, width: int, spec: InputSpec) -> None:
    """upper: never above; lower: never below; turning the image turns the size."""
    size = network_size(Size(height, width), spec)
    assert all(side > 0 and side % spec.multiple == 0 for side in size)
    if spec.bound == "upper":
        assert max(size) <= max(spec.side, spec.multiple)
    else:
        assert min(size) >= spec.side
    assert network_size(Size(width, height), spec) == (size.width, size.height)
