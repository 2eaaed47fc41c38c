"""The placement of images on a canvas, against a table and as properties of every size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.frames import Size
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Canvas, InputSpec
from stream.preprocess.geometry import Placement, network_size, placement
from tests.preprocess.official import METRIC3D, WAYS, depth_pro_spec, sam_spec


@pytest.mark.parametrize(
    ("camera", "spec", "size", "top", "left"),
    [
        ((720, 1280), METRIC3D, (598, 1064), 9, 0),
        ((480, 640), METRIC3D, (616, 821), 0, 121),
        ((375, 1242), METRIC3D, (321, 1064), 147, 0),
        ((616, 1064), METRIC3D, (616, 1064), 0, 0),
        ((1, 5000), METRIC3D, (1, 1064), 307, 0),
        ((720, 1280), sam_spec(1024), (576, 1024), 0, 0),
        ((480, 640), sam_spec(512), (384, 512), 0, 0),
        ((683, 1024), sam_spec(512), (342, 512), 0, 0),
        ((5000, 1), sam_spec(512), (512, 1), 0, 0),
        ((720, 1280), depth_pro_spec(1536), (1536, 1536), 0, 0),
        ((97, 33), depth_pro_spec(1536), (1536, 1536), 0, 0),
    ],
)
def test_known_places(camera: tuple[int, int], spec: InputSpec, size: tuple[int, int], top: int, left: int) -> None:
    """Cut for Metric3D (616.0 of 480 rows, 821.33 columns), half up for SAM (341.5 rows), all of it for Depth Pro."""
    place = placement(Size(*camera), spec)
    assert (place.size, place.top, place.left) == (size, top, left)
    assert place.canvas == network_size(Size(*camera), spec)


@pytest.mark.parametrize(
    ("camera", "spec", "scale"),
    [
        ((720, 1280), METRIC3D, 1064 / 1280),
        ((480, 640), METRIC3D, 616 / 480),
        ((720, 1280), depth_pro_spec(1536), 1536 / 1280),
        ((720, 1280), WAYS["midas"].spec, 256 / 1280),
    ],
)
def test_the_scale_is_the_one_before_sides_are_rounded(camera: tuple[int, int], spec: InputSpec, scale: float) -> None:
    """With it a focal length in camera pixels becomes one in network pixels, as Metric3D's official code has it."""
    assert placement(Size(*camera), spec).scale == pytest.approx(scale, rel=1e-15)


sides = st.integers(min_value=1, max_value=16384)
canvases = st.builds(
    Canvas,
    size=st.builds(Size, st.integers(28, 2048), st.integers(28, 2048)),
    anchor=st.sampled_from(["centre", "top_left"]),
    rounding=st.sampled_from(["down", "half_up"]),
    border=st.just((0.0, 0.0, 0.0)),
)


def on(canvas: Canvas, height: int, width: int) -> Placement:
    spec = InputSpec(max(canvas.size), "upper", 1, IMAGENET_MEAN, IMAGENET_STD, canvas=canvas)
    return placement(Size(height, width), spec)


@given(sides, sides, canvases)
def test_the_image_lies_inside_and_touches_two_sides(height: int, width: int, canvas: Canvas) -> None:
    """As large as it can be: no border either above and below, or left and right (but for a pixel that is cut)."""
    place = on(canvas, height, width)
    assert place.canvas == canvas.size
    assert 0 <= place.rows.start < place.rows.stop <= canvas.size.height
    assert 0 <= place.columns.start < place.columns.stop <= canvas.size.width
    free = (canvas.size.height - place.size.height, canvas.size.width - place.size.width)
    assert min(free) <= (1 if canvas.rounding == "down" else 0)
    assert place.fills_canvas == (free == (0, 0))


@given(sides, sides, canvases)
def test_the_image_keeps_its_shape(height: int, width: int, canvas: Canvas) -> None:
    """Each side is the scaled one, less than a pixel lost, or half a pixel rounded; never nothing."""
    place = on(canvas, height, width)
    for side, camera in zip(place.size, (height, width), strict=True):
        exact = camera * place.scale
        low, high = (exact - 1, exact) if canvas.rounding == "down" else (exact - 0.5, exact + 0.5)
        assert low - 1e-6 <= side <= max(high + 1e-6, 1)


@pytest.mark.slow
@given(sides, sides, canvases)
def test_the_image_is_in_the_middle_or_in_the_corner(height: int, width: int, canvas: Canvas) -> None:
    """The smaller half of an odd border comes first."""
    place = on(canvas, height, width)
    below = canvas.size.height - place.rows.stop
    right = canvas.size.width - place.columns.stop
    if canvas.anchor == "top_left":
        assert (place.top, place.left) == (0, 0)
    else:
        assert below - place.top in (0, 1)
        assert right - place.left in (0, 1)
