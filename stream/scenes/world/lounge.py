"""A tour of a living room: furniture along the walls and in the middle, a cat, a ball and somebody passing.

Lanes as in the square: the camera keeps to x < 0.5, a stool and a plant stand at 1.7..2.2, the cat walks at 2.9, the
ball rolls at 3.4, the table stands at 4.2..5.2, somebody walks at 6, shelf and images are on the wall at 7.2.
"""

from __future__ import annotations

import math

import numpy as np

from stream.scenes.camera.motion import Round, Sway
from stream.scenes.renderer.materials import Colour
from stream.scenes.renderer.primitives import Primitive, placed
from stream.scenes.renderer.rotations import Vector, vector
from stream.scenes.scene import Environment, Light
from stream.scenes.world.furniture import board_heights, books, chair, floor_lamp, image, shelf, sofa, table
from stream.scenes.world.objects import ball, crate, drum, plant, stack
from stream.scenes.world.tour import Mover, Tour, paint, paint_box, pet, rolling_ball, together, walker

WALL_COLOURS: tuple[Colour, ...] = ((0.86, 0.86, 0.82), (0.75, 0.83, 0.85), (0.9, 0.82, 0.72), (0.78, 0.84, 0.74))
CLOTH_COLOURS: tuple[Colour, ...] = ((0.3, 0.45, 0.62), (0.68, 0.3, 0.26), (0.36, 0.52, 0.4), (0.8, 0.62, 0.25))
BOOK_COLOURS: tuple[Colour, ...] = ((0.7, 0.25, 0.2), (0.2, 0.35, 0.55), (0.85, 0.8, 0.65), (0.25, 0.45, 0.3))
BACK_WALL_M, SIDE_WALL_M, CEILING_M = 7.2, 3.3, 2.7


def lounge(seed: int) -> Tour:
    rng = np.random.default_rng((seed, 2))
    mirror = 1 if rng.random() < 0.5 else -1
    cloth = CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))]
    return Tour(
        atlas=paint_box(rng),
        still=together(
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
    wall = paint("plaster", WALL_COLOURS[rng.integers(len(WALL_COLOURS))], 0.7)
    floor = paint("planks", (0.72, 0.52, 0.35), 0.8, gloss=0.15)
    ceiling = paint("plaster", (0.95, 0.95, 0.94), 0.4)
    low, high = (-2.5, -SIDE_WALL_M, 0.0), (BACK_WALL_M, SIDE_WALL_M, CEILING_M)
    return Environment(low, high, (wall, wall, wall, wall, floor, ceiling), sky=False)


def _daylight(rng: np.random.Generator, mirror: int) -> Light:
    """As through a wide window behind and beside the camera, and a warm lamp under the ceiling."""
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
    wood, leaf = paint("grain", (0.55, 0.38, 0.25)), paint("leaves", (0.38, 0.62, 0.3), 2.0)
    pot = paint("stone", (0.85, 0.82, 0.78), 1.5)
    return [
        *placed(plant(1.1, 8, pot, leaf), vector(2.15, mirror * 1.5, 0)),
        *placed(drum(0.2, 0.42, wood), vector(1.95, -mirror * 1.25, 0)),
        *placed(
            stack(0.2, (paint("cloth", (0.75, 0.3, 0.3), 2.0), paint("cloth", (0.3, 0.4, 0.6), 2.0))),
            vector(1.95, -mirror * 1.25, 0.42),
            0.4,
        ),
    ]


def _seats(rng: np.random.Generator, mirror: int, cloth: Colour) -> list[Primitive]:
    rug = paint("carpet", CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], 0.9)
    cushion = paint("checks", (0.95, 0.88, 0.75), 3.0)
    return [
        *placed(crate(3.2, 3.6, 0.012, rug), vector(3.9, 0, 0)),
        *placed(sofa(2.0, paint("cloth", cloth, 1.6), cushion), vector(4.6, mirror * 2.75, 0), -mirror * math.pi / 2),
        *placed(
            floor_lamp(1.55, paint("plaster", (0.2, 0.2, 0.2)), paint("cloth", (1.0, 0.92, 0.75), 1.0)),
            vector(6.4, mirror * 2.75, 0),
        ),
    ]


def _laid_table(rng: np.random.Generator, mirror: int) -> list[Primitive]:
    wood, cloth = paint("grain", (0.78, 0.58, 0.38), 0.8), paint("cloth", (0.5, 0.52, 0.55), 2.0)
    place, height = vector(4.7, -mirror * 0.55, 0), 0.74
    cup, fruit = paint("plaster", (0.95, 0.95, 0.95), gloss=0.6), paint("leaves", (0.85, 0.45, 0.15), 3.0, gloss=0.3)
    jug = paint("stripes", (0.85, 0.92, 1.0), 2.0, gloss=0.5)

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
    wood, white = paint("planks", (0.85, 0.78, 0.66), 0.6), paint("plaster", (0.93, 0.93, 0.92))
    place, height, boards = vector(BACK_WALL_M - 0.19, -mirror * 1.7, 0), 1.9, 5
    parts = placed(shelf(1.5, height, 0.34, boards, wood=wood, back=white), place, math.pi)
    for level, z in enumerate(board_heights(height, boards)[:-1]):
        covers = [paint("cloth", BOOK_COLOURS[i], 2.0) for i in rng.integers(0, len(BOOK_COLOURS), 5)]
        parts += placed(books(0.7, 0.36, covers), place + vector(-0.03, rng.uniform(-0.3, 0.3), z), math.pi)
        if level % 2:
            parts += placed(ball(0.1, paint("stone", cloth, 2.0, gloss=0.4)), place + vector(-0.05, 0.62, z))
    canvas = [paint("leaves", (0.5, 0.62, 0.75), 0.8), paint("bark", (0.85, 0.6, 0.35), 0.9)]
    dark = paint("plaster", (0.15, 0.13, 0.12))
    for i, (y, size) in enumerate(((0.3, 0.75), (1.5, 0.55))):
        hung = vector(BACK_WALL_M - 0.02, mirror * y, 1.6)
        parts += placed(image(size, size * rng.uniform(0.75, 1.25), dark, canvas[i]), hung, math.pi)
    return parts


def _movers(rng: np.random.Generator, cloth: Colour) -> tuple[Mover, ...]:
    start, skin = rng.uniform(0, 2 * math.pi), paint("plaster", (0.84, 0.64, 0.5))
    trousers = paint("cloth", (0.3, 0.28, 0.3), 2.0)
    coat = paint("stripes", CLOTH_COLOURS[rng.integers(len(CLOTH_COLOURS))], 1.5)
    fur = paint("leaves", ((0.72, 0.5, 0.3), (0.35, 0.34, 0.35), (0.88, 0.85, 0.8))[rng.integers(3)], 3.0, contrast=0.6)
    return (
        walker(Round((6.0, 0, 0), 0.18, 1.7, 14.0, start), 1.72, coat, trousers, skin),
        pet(Round((2.9, 0, 0), 0.16, 1.7, 13.0, start + 1.5), 0.42, fur),
        rolling_ball(Round((3.4, 0, 0), 0.06, 1.3, 8.0, start + 3.0), 0.12, paint("checks", cloth, 3.0, gloss=0.5)),
    )
