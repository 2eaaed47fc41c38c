"""Rendered views that no training may see: random scenes of every family, always the same ones.

View i is drawn by ``numpy.random.default_rng((SEED, i))`` and painted from ``random_atlas(SEED, TEXTURES)``. Training
that seeds with one number, or with another first number, meets neither these scenes nor these textures. A change of
the renderer changes the views: compare figures of one version of the program only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from pipelines.evaluation.sample import Sample
from stream.frames import Size

if TYPE_CHECKING:
    from stream.scenes.renderer.render import Images
    from stream.scenes.renderer.textures import Atlas

SEED = 20_161_107
"""Kept for evaluation; do not train with it."""
TEXTURES = 128
SIZE = Size(240, 320)
SOFTNESS, GRAIN = 0.08, 1.2
"""The lens and the noise of the synthetic camera (``stream.sources.synthetic``)."""


class HeldOutViews:
    """``views`` rendered images with exact depth, each family as often as training scenes have it.

    Views without depth or blocked by one surface are drawn again, as for training.
    """

    name = "synthetic"

    def __init__(self, views: int) -> None:
        self._views = views

    @property
    def about(self) -> str:
        return f"{self._views} rendered views, {SIZE}, seeds ({SEED}, 0..{self._views - 1}), never trained on"

    def __len__(self) -> int:
        return self._views

    def __iter__(self) -> Iterator[Sample]:
        from stream.scenes.camera.exposure import Grain, to_bgr
        from stream.scenes.renderer.textures import random_atlas

        atlas, grain = random_atlas(SEED, TEXTURES), Grain(SEED, SIZE, GRAIN)
        for number, family in zip(range(self._views), _families(), strict=False):
            images = _view(number, family, atlas)
            image, truth = to_bgr(images.rgb, grain.of_frame(number))[0].numpy(), images.depth[0].numpy()
            yield Sample(f"{family} {number}", family, image, truth)


def _families() -> Iterator[str]:
    """Endless, in a fixed order: the one that is furthest behind its share comes next."""
    from stream.scenes.world.layouts import FAMILIES

    total = sum(share for _, share in FAMILIES.values())
    seen = dict.fromkeys(FAMILIES, 0)
    for number in count(1):
        chosen = max(FAMILIES, key=lambda name: FAMILIES[name][1] / total * number - seen[name])
        seen[chosen] += 1
        yield chosen


def _view(number: int, family: str, atlas: Atlas) -> Images:
    """The first view of this number's random sequence that is worth looking at."""
    from stream.scenes.renderer.render import render
    from stream.scenes.world.layouts import random_scene
    from stream.scenes.world.staging import worth_keeping

    rng = np.random.default_rng((SEED, number))
    while True:  # every family's own test has at least 5 of 12 views kept
        images = render([random_scene(rng, atlas.count, family)], atlas, SIZE, softness=SOFTNESS)
        if bool(worth_keeping(images.depth, images.ident)):
            return images
