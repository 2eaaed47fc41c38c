"""The camera's numbers: pose, intrinsics, and that a known point is where they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream.frames import Size
from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.primitives import ellipsoid
from stream.scenes.renderer.vectors import vector

CAMERAS = [
    Camera((0, 0, 1.5)),
    Camera((1, -2, 1.2), 0.5, -0.2, 0.0, math.radians(50)),
    Camera((0, 0, 2.0), -0.3, 0.1, 0.4, math.radians(90)),
]


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_axes_are_a_right_handed_frame(camera):
    """Right x down = ahead, as in REP 103's optical frame."""
    right, down, ahead = camera.axes().T
    np.testing.assert_allclose(camera.axes().T @ camera.axes(), np.eye(3), atol=1e-12)
    np.testing.assert_allclose(np.cross(right, down), ahead, atol=1e-12)


def test_angles_turn_the_way_their_docstrings_say():
    """Yaw left, pitch up, roll clockwise."""
    assert Camera(yaw_rad=0.1).axes()[1, 2] > 0
    assert Camera(pitch_rad=0.1).axes()[2, 2] > 0
    assert Camera(roll_rad=0.1).axes()[2, 0] < 0, "the right side goes down"
    np.testing.assert_allclose(Camera().axes(), [[0, 0, 1], [-1, 0, 0], [0, -1, 0]], atol=1e-12)


def test_the_centre_of_the_top_left_pixel_is_the_origin():
    """So the middle of an image of 4 x 3 pixels is at (1.5, 1)."""
    k = Camera(field_of_view_rad=math.radians(90)).intrinsics(Size(3, 4))
    assert (k.cx_px, k.cy_px) == (1.5, 1.0)
    assert k.fx_px == pytest.approx(2.0)
    assert k.fy_px == k.fx_px


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("optical", [(0.0, 0.0, 4.0), (1.1, -0.4, 5.0), (-0.9, 0.35, 3.0)])
def test_a_known_point_is_found_where_it_projects(draw, material, camera, optical):
    """A small ball put at a point of the optical frame shows up at f * (x, y) / z + c, within a quarter of a pixel."""
    world = camera.pose() @ (*optical, 1.0)
    images = draw(ellipsoid(world[:3], vector(0.2, 0.2, 0.2), material), camera=camera)
    v, u = np.nonzero(images.surface_id[0].numpy() == 0)
    k = camera.intrinsics(Size(*images.depth.shape[1:]))
    assert u.mean() == pytest.approx(k.fx_px * optical[0] / optical[2] + k.cx_px, abs=0.25)
    assert v.mean() == pytest.approx(k.fy_px * optical[1] / optical[2] + k.cy_px, abs=0.25)
    assert images.depth[0, v, u].min() == pytest.approx(optical[2] - 0.2, abs=0.02)
