"""Depth against closed formulas, worked out in float64 with another method than the renderer's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stream.frames import Size
from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.primitives import box, cylinder, ellipsoid
from stream.scenes.renderer.vectors import about_x, about_y, about_z, vector

LEVEL = Camera((0, 0, 1.5))
TILTED = Camera((0.4, -0.3, 1.8), 0.2, -0.3, 0.15, math.radians(75))
CAMERAS = pytest.mark.parametrize("camera", [LEVEL, TILTED], ids=["level", "yaw, pitch, roll, moved"])
ROUNDING = 2e-7
"""A few steps of float32, relative to a ray's components."""


def rays(camera, size):
    """(H, W, 3) float64: directions in the world with optical z = 1."""
    k = camera.intrinsics(size)
    v, u = np.mgrid[: size.height, : size.width]
    optical = np.stack([(u - k.cx_px) / k.fx_px, (v - k.cy_px) / k.fy_px, np.ones_like(u, float)], axis=-1)
    return optical @ camera.pose()[:3, :3].T


def nearer_root(camera, center, radius, direction):
    """Where a sphere is met, (H, W), and the discriminant."""
    offset = np.array(camera.position) - center
    a, b, c = (direction**2).sum(-1), direction @ offset, offset @ offset - radius**2
    root = b**2 - a * c
    return (-b - np.sqrt(np.maximum(root, 0))) / a, root


def seen(images, surface_id):
    """Depth (H, W), and a mask of the pixels whose surface id is ``surface_id``."""
    return images.depth[0].numpy().astype(np.float64), images.surface_id[0].numpy() == surface_id


@CAMERAS
def test_the_floor_is_where_the_rays_meet_it(draw, camera):
    """Ground plane: depth = height / how fast the ray falls; above the horizon is sky, +inf."""
    images = draw(camera=camera)
    direction = rays(camera, _size(images))
    depth, floor = seen(images, 4)
    assert floor.any()
    expected = camera.position[2] / -direction[floor][:, 2]
    assert (np.abs(depth[floor] / expected - 1) < ROUNDING * (1 + expected / camera.position[2])).all()
    assert (direction[~floor][:, 2] > -1e-3).all()
    assert np.isposinf(depth[~floor]).all()


@CAMERAS
def test_a_ball_is_seen_at_the_nearer_root(draw, material, camera):
    """Sphere: solve |o + t d - c| = r for every pixel."""
    center, radius = vector(5, 0.4, 1.2), 0.8
    images = draw(ellipsoid(center, vector(radius, radius, radius), material), camera=camera)
    depth, ball = seen(images, 0)
    expected, root = nearer_root(camera, center, radius, rays(camera, _size(images)))
    assert (ball == (root > 0)).mean() > 0.998
    inner = ball & (root > 0.1)
    assert inner.sum() > 50
    np.testing.assert_allclose(depth[inner], expected[inner], rtol=1e-5)


def test_a_far_small_ball_keeps_its_depth(draw, material):
    """Float32 must not lose a ball of 20 cm at 50 m, where the textbook formula does."""
    camera, center = Camera((0, 0, 10), field_of_view_rad=math.radians(1)), vector(50, 0, 10)
    images = draw(ellipsoid(center, vector(0.2, 0.2, 0.2), material), camera=camera)
    depth, ball = seen(images, 0)
    expected, root = nearer_root(camera, center, 0.2, rays(camera, _size(images)))
    inner = ball & (root > 0.01)
    assert inner.sum() > 200
    np.testing.assert_allclose(depth[inner], expected[inner], atol=5e-5)


@CAMERAS
@pytest.mark.parametrize("turn", [np.eye(3), about_z(0.5) @ about_x(0.4) @ about_y(-0.3)], ids=["upright", "turned"])
def test_points_on_a_box_lie_on_its_faces(draw, material, camera, turn):
    """Box: back in its own frame, every seen point has its largest coordinate at 1, and the others within."""
    center, half = vector(5, -0.2, 1.3), vector(0.7, 0.9, 0.5)
    images = draw(box(center, half, material, turn), camera=camera)
    depth, mine = seen(images, 0)
    local = (_points(camera, images)[mine] - center) @ turn / half
    assert mine.sum() > 50
    np.testing.assert_allclose(np.abs(local).max(-1), 1, atol=1e-4)
    facing = (np.array(camera.position) - center) @ turn / half
    corner = np.abs(local).argmax(-1)
    towards = np.take_along_axis(local, corner[:, None], 1)[:, 0] * facing[corner]
    assert (towards > 0).all(), "a face that looks away was seen"
    assert np.isfinite(depth[mine]).all()


@CAMERAS
def test_points_on_a_cylinder_lie_on_its_side_or_cap(draw, material, camera):
    """Cylinder from above: side where the radius is 1, cap where |z| is 1; the cap is a plane."""
    center, turn = vector(4, 0.1, 0.5), about_y(-0.3)
    images = draw(cylinder(center, 0.6, 0.5, material, turn), camera=camera)
    _, mine = seen(images, 0)
    local = (_points(camera, images)[mine] - center) @ turn / (0.6, 0.6, 0.5)
    radius, height = np.hypot(local[:, 0], local[:, 1]), np.abs(local[:, 2])
    np.testing.assert_allclose(np.maximum(radius, height), 1, atol=1e-4)
    assert (np.abs(local[:, 2] - 1) < 1e-4).sum() > 10, "no cap in view"
    assert (radius > 1 - 1e-4).sum() > 10, "no side in view"


def test_the_nearer_object_hides_the_farther(draw, material):
    """Whatever their order in the scene."""
    near, far = (box(vector(x, 0, 1.5), vector(0.1, 1, 1), material) for x in (3, 6))
    for order in ((near, far), (far, near)):
        images = draw(*order)
        assert images.depth[0, 24, 32] == pytest.approx(2.9, rel=1e-5)


def test_what_is_behind_the_camera_is_not_seen(draw, material):
    """A ray has one direction."""
    images = draw(ellipsoid(vector(-3, 0, 1.5), vector(1, 1, 1), material))
    assert not (images.surface_id == 0).any()


def test_depth_is_positive_and_infinite_only_in_the_sky(draw, material):
    """Sky pixels are those with the surface id of the sky."""
    images = draw(ellipsoid(vector(4, 0, 1), vector(1, 1, 1), material))
    sky = images.surface_id == -1
    assert sky.any()
    assert bool((images.depth > 0).all())
    assert bool((images.depth.isinf() == sky).all())


def _size(images):
    return Size(*images.depth.shape[1:])


def _points(camera, images):
    direction = rays(camera, _size(images))
    depth = np.where(np.isfinite(d := images.depth[0].numpy().astype(np.float64)), d, 0)
    return np.array(camera.position) + depth[..., None] * direction
