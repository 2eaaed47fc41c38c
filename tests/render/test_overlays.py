"""Objects drawn into images."""

from __future__ import annotations

import numpy as np
import pytest

from stream.frames import Kind, Size
from stream.objects import Box, Objects, Ruler
from stream.render.overlays import COLOURS_BGR, TINT, caption_of, draw_objects
from tests.detections.interior import depth_map_of, interior

SIZE = Size(240, 320)


def seen(*boxes: Box, kind: Kind = "metric", depth: float = 2.345, size: Size = SIZE, guessed: bool = False) -> Objects:
    depth_map = depth_map_of(np.full(size, depth, np.float32), kind=kind, scale_guessed=guessed)
    ruler = Ruler(depth_map)
    return Objects(depth_map, tuple(ruler.measure(box, interior(box, size), 1.0) for box in boxes))


@pytest.mark.parametrize(
    ("kind", "depth", "guessed", "caption"),
    [
        ("metric", 2.345, False, "cup 2.35 m"),
        ("metric", 2.345, True, "cup ~2.35 m"),
        ("relative", 2.345, False, "cup rank 0.50"),
        ("relative_inverse", 2.345, False, "cup rank 0.50"),
        ("metric", np.nan, False, "cup no depth"),
        ("relative", np.nan, False, "cup no depth"),
    ],
)
def test_a_caption_says_how_far_and_in_what(kind: Kind, depth: float, guessed: bool, caption: str) -> None:
    """The caption has metres, metres with a guessed scale, or a rank; never a bare number."""
    scene = seen(Box(100, 100, 200, 200, "cup"), kind=kind, depth=depth, guessed=guessed)
    assert caption_of(scene.objects[0], scene) == caption


def test_a_caption_is_what_the_font_can_write() -> None:
    scene = seen(Box(100, 100, 200, 200, "Tür"))
    assert caption_of(scene.objects[0], scene) == "T?r 2.35 m"


def test_mask_box_and_caption_are_drawn_and_the_rest_is_left() -> None:
    """All other pixels, and the frame's own image, are unchanged."""
    scene = seen(Box(100, 100, 200, 200, "cup"), Box(220, 20, 300, 90))
    before = scene.depth_map.frame.image.copy()
    image = draw_objects(scene)
    np.testing.assert_array_equal(scene.depth_map.frame.image, before)
    for centre, colour in (((180, 150), COLOURS_BGR[0]), ((60, 260), COLOURS_BGR[1])):
        expected = 90 + TINT * (np.array(colour) - 90)
        np.testing.assert_allclose(image[centre], expected, atol=0.6)
    assert tuple(image[199, 150]) == COLOURS_BGR[0]
    assert tuple(image[89, 230]) == COLOURS_BGR[1]
    touched = (image != 90).any(axis=2)
    assert not touched[210:].any()
    assert not touched[:85, :210].any()
    caption = image[89:100, 100:180]
    assert (caption != COLOURS_BGR[0]).any()
    assert (caption == COLOURS_BGR[0]).all(axis=2).any()


@pytest.mark.parametrize("size", [Size(8, 8), Size(16, 200), Size(240, 320), Size(480, 640)])
def test_boxes_at_the_edges_and_tiny_images_are_drawn(size: Size) -> None:
    """A caption stays in the image, wherever its box is."""
    height, width = size
    corners = [(0, 0), (width - 5, 0), (0, height - 5), (width - 5, height - 5)]
    boxes = [Box(x, y, x + 5, y + 5, "a rather long label") for x, y in corners] + [Box(0, 0, width, height)]
    image = draw_objects(seen(*boxes, size=size))
    assert image.shape == (*size, 3)
    assert (image != 90).any()


def test_an_image_without_objects_is_the_image() -> None:
    scene = seen()
    np.testing.assert_array_equal(draw_objects(scene), scene.depth_map.frame.image)
