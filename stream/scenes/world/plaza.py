"""A tour of a small town square: houses on both sides, objects at every distance, people and a ball that pass by.

Depth is organised in lanes of x, so that nothing ever collides: the camera stays below 1 m, objects stand at 2.8..3.8,
a ball rolls at 4.3, a person walks at 5.2, objects stand at 6.4..9, a second person walks at 10, and the rest is
further away.
"""

from __future__ import annotations

import math

import numpy as np

from stream.scenes.camera.motion import EllipticPath, Sway
from stream.scenes.renderer.primitives import Colour, Material, Primitive, box, ellipsoid, placed
from stream.scenes.renderer.vectors import vector
from stream.scenes.scene import FAR_M, Environment, Light
from stream.scenes.world.furniture import awning, chair
from stream.scenes.world.objects import bush, crate, drum, fountain, lamp_post, stack, tree, van
from stream.scenes.world.tour import Mover, Tour, joined, pet, rolling_ball, textured, tour_atlas, walker

HOUSE_COLOURS: tuple[Colour, ...] = (
    *((0.93, 0.84, 0.66), (0.86, 0.62, 0.5), (0.8, 0.83, 0.84), (0.9, 0.75, 0.55)),
    *((0.72, 0.78, 0.66), (0.92, 0.88, 0.8), (0.78, 0.68, 0.62)),
)
COAT_COLOURS: tuple[Colour, ...] = ((0.85, 0.2, 0.18), (0.95, 0.75, 0.2), (0.2, 0.45, 0.8), (0.9, 0.9, 0.88))
HOUSE_FRONT_M = 6.6
"""From the middle of the square to the houses."""
STREET_ENDS = ((-4.0, 7.0), (7.0, 15.0), (15.0, 25.0), (25.0, 38.0))
"""x at which the houses on each side begin and end, metres."""


def plaza(seed: int) -> Tour:
    """Build the square; the seed decides its colours, its mirror image and where everything is at time 0."""
    rng = np.random.default_rng((seed, 1))
    mirror = 1 if seed == 0 or rng.random() < 0.5 else -1
    return Tour(
        atlas=tour_atlas(rng),
        still=joined(_houses(rng), _near(rng, mirror), _middle(rng, mirror), _far(rng, mirror)),
        movers=_movers(rng),
        environment=_ground(rng),
        light=_daylight(rng, mirror),
        sway=Sway(
            (0.0, 0.0, 1.6), (0.7, 0.45, 0.05), math.radians(-4), math.radians(66), phase=rng.uniform(0, 2 * math.pi)
        ),
    )


def _ground(rng: np.random.Generator) -> Environment:
    warm = rng.uniform(0.0, 0.08)
    floor = textured("paving", (0.74 + warm, 0.7 + warm / 2, 0.66), 0.35)
    air = textured("clouds", (1, 1, 1))
    return Environment((-FAR_M, -FAR_M, 0), (FAR_M, FAR_M, FAR_M), (air, air, air, air, floor, air), sky=True)


def _daylight(rng: np.random.Generator, mirror: int) -> Light:
    """A sun behind and to one side of the camera, high enough to light the square."""
    toward = np.array([-rng.uniform(0.55, 0.8), mirror * rng.uniform(0.25, 0.45), rng.uniform(0.65, 0.85)])
    x, y, z = toward / np.linalg.norm(toward)
    return Light(
        (float(x), float(y), float(z)),
        sun=(1.5, 1.38, 1.18),
        ambient=(0.36, 0.42, 0.52),
        clouds=0.85,
        cloud_texture=textured("clouds", (1, 1, 1)).texture,
        haze_per_m=0.004,
        exposure=0.85,
    )


def _houses(rng: np.random.Generator) -> list[Primitive]:
    parts = []
    for side in (-1, 1):
        for near, far in STREET_ENDS:
            height, front = rng.uniform(5.2, 9.5), HOUSE_FRONT_M + rng.uniform(-0.3, 0.4)
            half = vector((far - near) / 2 - 0.05, 2.5, height / 2)
            middle = vector((near + far) / 2, side * (front + 2.5), height / 2)
            parts.append(box(middle, half, _pick(rng, "front", HOUSE_COLOURS, 0.36)))
            roof = vector(half[0] + 0.05, half[1] + 0.25, 0.18)
            parts.append(
                box(middle + vector(0, 0, height / 2 + 0.18), roof, textured("planks", (0.55, 0.33, 0.27), 0.6))
            )
    hall = _pick(rng, "front", HOUSE_COLOURS, 0.3)
    tower = vector(45.0, rng.uniform(-3, 3), 0)
    return [
        *parts,
        *placed(crate(5, 26, 8.5, hall), vector(44.0, 0, 0)),
        *placed(crate(3.2, 3.2, 15, hall), tower),
        ellipsoid(
            tower + vector(0, 0, 15), vector(1.55, 1.55, 2.6), textured("planks", (0.3, 0.55, 0.48), 0.5, gloss=0.3)
        ),
    ]


def _near(rng: np.random.Generator, mirror: int) -> list[Primitive]:
    wood = textured("planks", (0.78, 0.58, 0.38), 1.1)
    barrel = textured("planks", (0.5, 0.33, 0.22), 1.0)
    pot = textured("bricks", (0.8, 0.45, 0.35), 0.8)
    leaf = textured("leaves", (0.5, 0.72, 0.3), 1.2)
    return _all(
        placed(stack(0.72, (wood, wood), 0.7), vector(3.3, -mirror * 1.75, 0), rng.uniform(-0.5, 0.5)),
        placed(drum(0.27, 0.75, barrel), vector(3.55, -mirror * 2.55, 0)),
        placed(bush(0.85, pot, leaf), vector(3.2, mirror * rng.uniform(1.75, 2.0), 0), rng.uniform(-0.3, 0.3)),
    )


def _middle(rng: np.random.Generator, mirror: int) -> list[Primitive]:
    iron, glass = textured("plaster", (0.22, 0.25, 0.27), gloss=0.4), textured("plaster", (1.0, 0.96, 0.85), gloss=0.6)
    post, cloth = textured("grain", (0.6, 0.42, 0.28)), textured("stripes", (1, 1, 1), 0.9)
    top, seat = textured("plaster", (0.92, 0.92, 0.9), gloss=0.3), _pick(rng, "cloth", COAT_COLOURS, 2.0)
    stall = vector(8.2, -mirror * 4.7, 0)
    cafe = vector(7.4, mirror * 3.0, 0)
    chairs = [
        placed(chair(0.45, iron, seat), cafe + vector(0.75 * math.cos(a), 0.75 * math.sin(a), 0), a + math.pi)
        for a in (0.6, 2.6, 4.4)
    ]
    return _all(
        placed(awning(2.6, 2.2, post, cloth), stall, mirror * math.pi / 2),
        placed(stack(0.5, (post, post), 0.8), vector(6.7, -mirror * 2.9, 0), rng.uniform(0, 1)),
        placed(lamp_post(3.6, iron, glass), vector(6.6, mirror * 4.6, 0)),
        placed(drum(0.05, 0.7, iron), cafe),
        placed(drum(0.42, 0.04, top), cafe + vector(0, 0, 0.7)),
        *chairs,
    )


def _far(rng: np.random.Generator, mirror: int) -> list[Primitive]:
    stone, water = (
        textured("stone", (0.82, 0.8, 0.76)),
        textured("clouds", (0.45, 0.65, 0.75), 0.4, contrast=0.5, gloss=0.8),
    )
    bark = textured("bark", (0.42, 0.31, 0.24), 1.5)
    iron, glass = textured("plaster", (0.22, 0.25, 0.27), gloss=0.4), textured("plaster", (1.0, 0.96, 0.85), gloss=0.6)
    body = _pick(rng, "plaster", ((0.95, 0.95, 0.93), (0.3, 0.5, 0.7), (0.75, 0.25, 0.2), (0.9, 0.7, 0.25)), 0.4)
    window, rubber = textured("plaster", (0.18, 0.22, 0.27), gloss=0.8), textured("plaster", (0.1, 0.1, 0.1))
    trees = [
        placed(tree(rng.uniform(4.4, 5.6), bark, _leaves(rng), 3, rng.uniform(0, 6)), vector(x, mirror * y, 0))
        for x, y in ((11.8, 4.4), (17.0, -4.6), (21.5, 4.3), (27.0, -4.4), (31.0, 4.0))
    ]
    return _all(
        placed(van(4.0, body, window, rubber), vector(13.2, -mirror * 4.6, 0), rng.choice([0.0, math.pi])),
        placed(fountain(1.6, stone, water), vector(18.0, mirror * rng.uniform(-0.4, 1.2), 0)),
        placed(lamp_post(3.8, iron, glass), vector(15.5, mirror * 3.0, 0)),
        placed(lamp_post(3.8, iron, glass), vector(23.0, -mirror * 3.2, 0)),
        *trees,
    )


def _movers(rng: np.random.Generator) -> tuple[Mover, ...]:
    skin = textured("plaster", (0.86, 0.66, 0.53))
    jeans, dark = textured("cloth", (0.25, 0.32, 0.5), 2.0), textured("cloth", (0.25, 0.24, 0.26), 2.0)
    first, second = rng.permutation(len(COAT_COLOURS))[:2]
    start = rng.uniform(0, 2 * math.pi)
    near = EllipticPath((5.35, 0, 0), 0.3, 4.0, 15.0, start)
    follower = EllipticPath((5.35, 0, 0), 0.3, 4.0, 15.0, start - 0.3)
    return (
        walker(near, rng.uniform(1.65, 1.85), textured("cloth", COAT_COLOURS[first], 2.0), jeans, skin),
        pet(follower, 0.55, textured("leaves", (0.62, 0.45, 0.3), 2.5, contrast=0.6)),
        walker(
            EllipticPath((10.0, 0, 0), 0.5, 3.6, 17.0, start + 2.2),
            1.75,
            textured("cloth", COAT_COLOURS[second], 2.0),
            dark,
            skin,
        ),
        rolling_ball(
            EllipticPath((4.3, 0, 0), 0.08, 2.4, 9.0, start + 4.0), 0.19, textured("stripes", (1, 1, 1), 1.7, gloss=0.4)
        ),
    )


def _leaves(rng: np.random.Generator) -> Material:
    return textured("leaves", (rng.uniform(0.4, 0.65), rng.uniform(0.62, 0.75), rng.uniform(0.22, 0.36)), 0.6)


def _pick(rng: np.random.Generator, name: str, colours: tuple[Colour, ...], repeats_per_m: float) -> Material:
    return textured(name, colours[rng.integers(len(colours))], repeats_per_m)


def _all(*objects: list[Primitive]) -> list[Primitive]:
    return list(joined(*objects))
