"""A tour of a living room: furniture along the walls and in the middle, a cat, a ball and a person who walks by.

Lanes of x keep everything apart, as in ``plaza``: the camera stays below 0.5 m, a stool and a plant stand at 1.7..2.2,
the cat walks at 2.9, the ball rolls at 3.4, the table stands at 4.2..5.2, a person walks at 6, and the shelf and the
paintings are on the wall at 7.2.
"""

from __future__ import annotations

import math

import numpy as np

from stream.scenes.camera.motion import EllipticPath, Sway
from stream.scenes.renderer.primitives import Colour, Primitive, placed
from stream.scenes.renderer.vectors import Vector, vector
from stream.scenes.scene import Environment, Light
from stream.scenes.world.furniture import board_heights, books, chair, floor_lamp, painting, shelf, sofa, table
from stream.scenes.world.objects import ball, crate, drum, plant, stack
from stream.scenes.world.tour import Mover, Tour, joined, pet, rolling_ball, textured, tour_atlas, walker

WALL_COLOURS: tuple[Colour, ...] = ((0.86, 0.86, 0.82), (0.75, 0.83, 0.85), (0.9, 0.82, 0.72), (0.78, 0.84, 0.74))
CLOTH_COLOURS: tuple[Colour, ...] = ((0.3, 0.45, 0.62), (0.68, 0.3, 0.26), (0.36, 0.52, 0.4), (0.8, 0.62, 0.25))
BOOK_COLOURS: tuple[Colour, ...] = ((0.7, 0.25, 0.2), (0.2, 0.35, 0.55), (0.85, 0.8, 0.65), (0.25, 0.45, 0.3))
BACK_WALL_M, SIDE_WALL_M, CEILING_M = 7.2, 3.3, 2.7
"""x of the back wall, |y| of the side walls, z of the ceiling, metres."""


def lounge(seed: int) -> Tour:
    """Build the living room; the seed decides its colours, its mirror image and where everything is at time 0."""
    rng = np.random.default_rng((seed, 2))
    mirror = 1 if rng.random() < 0.5 else -1
    cloth = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
    return Tour(
        atlas=tour_atlas(rng),
        still=joined(
            _front(mirror), _seats(rng, mirror, cloth), _laid_table(rng, mirror), _back_wall(rng, mirror, cloth)
        ),
        movers=_movers(rng, cloth),
        environment=_room(rng),
        light=_daylight(rng, mirror),
        sway=Sway(
            (0.0, 0.0, 1.45), (0.4, 0.4, 0.04), math.radians(-9), math.radians(68), phase=rng.uniform(0, 2 * math.pi)
        ),
    )


def _room(rng: np.random.Generator) -> Environment:
    wall = textured("plaster", WALL_COLOURS[rng.integers(len(WALL_COLOURS))], 0.7)
    floor = textured("planks", (0.72, 0.52, 0.35), 0.8, gloss=0.15)
    ceiling = textured("plaster", (0.95, 0.95, 0.94), 0.4)
    low, high = (-2.5, -SIDE_WALL_M, 0.0), (BACK_WALL_M, SIDE_WALL_M, CEILING_M)
    return Environment(low, high, (wall, wall, wall, wall, floor, ceiling), sky=False)


def _daylight(rng: np.random.Generator, mirror: int) -> Light:
    """Light as if through a wide window behind and to one side of the camera, and a warm lamp under the ceiling."""
    toward = np.array([-rng.uniform(0.4, 0.6), mirror * rng.uniform(0.35, 0.55), rng.uniform(0.7, 0.9)])
    x, y, z = toward / np.linalg.norm(toward)
    return Light(
        (float(x), float(y), float(z)),
        sun=(1.0, 0.95, 0.85),
        ambient=(0.42, 0.44, 0.48),
        lamp_at=(3.6, 0.0, 2.0),
        lamp=(0.75, 0.62, 0.45),
        lamp_reach_m=2.6,
        exposure=0.95,
    )


def _front(mirror: int) -> list[Primitive]:
    wood, leaf = textured("grain", (0.55, 0.38, 0.25)), textured("leaves", (0.38, 0.62, 0.3), 2.0)
    pot = textured("stone", (0.85, 0.82, 0.78), 1.5)
    return [
        *placed(plant(1.1, 8, pot, leaf), vector(2.15, mirror * 1.5, 0)),
        *placed(drum(0.2, 0.42, wood), vector(1.95, -mirror * 1.25, 0)),
        *placed(
            stack(0.2, (textured("cloth", (0.75, 0.3, 0.3), 2.0), textured("cloth", (0.3, 0.4, 0.6), 2.0))),
            vector(1.95, -mirror * 1.25, 0.42),
            0.4,
        ),
    ]


def _seats(rng: np.random.Generator, mirror: int, cloth: Colour) -> list[Primitive]:
    rug = textured("carpet", CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], 0.9)
    cushion = textured("checks", (0.95, 0.88, 0.75), 3.0)
    return [
        *placed(crate(3.2, 3.6, 0.012, rug), vector(3.9, 0, 0)),
        *placed(
            sofa(2.0, textured("cloth", cloth, 1.6), cushion), vector(4.6, mirror * 2.75, 0), -mirror * math.pi / 2
        ),
        *placed(
            floor_lamp(1.55, textured("plaster", (0.2, 0.2, 0.2)), textured("cloth", (1.0, 0.92, 0.75), 1.0)),
            vector(6.4, mirror * 2.75, 0),
        ),
    ]


def _laid_table(rng: np.random.Generator, mirror: int) -> list[Primitive]:
    wood, cloth = textured("grain", (0.78, 0.58, 0.38), 0.8), textured("cloth", (0.5, 0.52, 0.55), 2.0)
    place, height = vector(4.7, -mirror * 0.55, 0), 0.74
    cup, fruit = (
        textured("plaster", (0.95, 0.95, 0.95), gloss=0.6),
        textured("leaves", (0.85, 0.45, 0.15), 3.0, gloss=0.3),
    )
    jug = textured("stripes", (0.85, 0.92, 1.0), 2.0, gloss=0.5)

    def on_top(x: float, y: float) -> Vector:
        return place + vector(x, y, height)

    return [
        *placed(table(0.9, 1.6, height, wood), place),
        *placed(chair(0.46, wood, cloth), place + vector(-0.62, 0.35, 0), 0.15),
        *placed(chair(0.46, wood, cloth), place + vector(0.1, -1.1, 0), math.pi / 2 + rng.uniform(-0.2, 0.2)),
        *placed(drum(0.045, 0.1, cup), on_top(-0.2, 0.5)),
        *placed(drum(0.045, 0.1, cup), on_top(0.12, -0.5)),
        *placed(drum(0.07, 0.24, jug), on_top(0.1, 0.2)),
        *placed(drum(0.16, 0.06, cup), on_top(-0.1, -0.1)),
        *(part for a in (0.3, 2.4, 4.5) for part in placed(
            ball(0.055, fruit), on_top(-0.1 + 0.07 * math.cos(a), -0.1 + 0.07 * math.sin(a)) + vector(0, 0, 0.05)
        )),
    ]  # fmt: skip


def _back_wall(rng: np.random.Generator, mirror: int, cloth: Colour) -> list[Primitive]:
    wood, white = textured("planks", (0.85, 0.78, 0.66), 0.6), textured("plaster", (0.93, 0.93, 0.92))
    place, height, boards = vector(BACK_WALL_M - 0.19, -mirror * 1.7, 0), 1.9, 5
    parts = placed(shelf(1.5, height, 0.34, boards, wood=wood, back=white), place, math.pi)
    for level, z in enumerate(board_heights(height, boards)[:-1]):
        covers = [textured("cloth", BOOK_COLOURS[i], 2.0) for i in rng.integers(0, len(BOOK_COLOURS), 5)]
        parts += placed(books(0.7, 0.36, covers), place + vector(-0.03, rng.uniform(-0.3, 0.3), z), math.pi)
        if level % 2:
            parts += placed(ball(0.1, textured("stone", cloth, 2.0, gloss=0.4)), place + vector(-0.05, 0.62, z))
    canvas = [textured("leaves", (0.5, 0.62, 0.75), 0.8), textured("bark", (0.85, 0.6, 0.35), 0.9)]
    dark = textured("plaster", (0.15, 0.13, 0.12))
    for i, (y, size) in enumerate(((0.3, 0.75), (1.5, 0.55))):
        hung = vector(BACK_WALL_M - 0.02, mirror * y, 1.6)
        parts += placed(painting(size, size * rng.uniform(0.75, 1.25), dark, canvas[i]), hung, math.pi)
    return parts


def _movers(rng: np.random.Generator, cloth: Colour) -> tuple[Mover, ...]:
    start, skin = rng.uniform(0, 2 * math.pi), textured("plaster", (0.84, 0.64, 0.5))
    trousers = textured("cloth", (0.3, 0.28, 0.3), 2.0)
    coat = textured("stripes", CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], 1.5)
    fur = textured(
        "leaves", ((0.72, 0.5, 0.3), (0.35, 0.34, 0.35), (0.88, 0.85, 0.8))[rng.integers(3)], 3.0, contrast=0.6
    )
    return (
        walker(EllipticPath((6.0, 0, 0), 0.18, 1.7, 14.0, start), 1.72, coat, trousers, skin),
        pet(EllipticPath((2.9, 0, 0), 0.16, 1.7, 13.0, start + 1.5), 0.42, fur),
        rolling_ball(
            EllipticPath((3.4, 0, 0), 0.06, 1.3, 8.0, start + 3.0), 0.12, textured("checks", cloth, 3.0, gloss=0.5)
        ),
    )
