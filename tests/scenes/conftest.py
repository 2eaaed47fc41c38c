"""A grey atlas, and scenes of given primitives on an endless floor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from stream.frames import Size
from stream.scenes.camera.camera import Camera
from stream.scenes.renderer.primitives import Material, Primitive
from stream.scenes.renderer.render import Images, render
from stream.scenes.renderer.textures import Atlas, atlas_of
from stream.scenes.scene import FAR_M, Environment, Light, Scene

GREY = Material(0)
SIZE = Size(48, 64)
Draw = Callable[..., Images]


@pytest.fixture(scope="session")
def grey() -> Atlas:
    """One plain texture."""
    return atlas_of([np.full((16, 16, 3), 0.7, np.float32)])


@pytest.fixture(scope="session")
def material() -> Material:
    return GREY


@pytest.fixture(scope="session")
def make_scene() -> Callable[..., Scene]:
    def make(
        *primitives: Primitive, camera: Camera | None = None, sun: tuple[float, float, float] = (0, 0, 1)
    ) -> Scene:
        ground = Environment((-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), (GREY,) * 6, sky=True)
        return Scene(primitives, ground, Light(sun, exposure=0.5), camera or Camera())

    return make


@pytest.fixture(scope="session")
def draw(grey: Atlas, make_scene: Callable[..., Scene]) -> Draw:
    """Render primitives on an endless floor."""

    def draw(*primitives: Primitive, camera: Camera | None = None) -> Images:
        return render([make_scene(*primitives, camera=camera)], grey, SIZE)

    return draw
