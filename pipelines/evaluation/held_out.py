"""Rendered views held out from training: random scenes of every family, the same ones on every run.

View i is drawn by ``numpy.random.default_rng((SEED, i))`` and textured from ``random_atlas(SEED, TEXTURES)``. Training
that seeds with a single number, or with another first number, sees neither these scenes nor these textures. A change of
the renderer changes the views, so compare only metrics of the same version of the program.
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
"""Reserved for evaluation; never train with it."""
TEXTURES = 128
SIZE = Size(240, 320)
SOFTNESS, GRAIN = 0.08, 1.2
"""Lens blur and sensor noise, the same values as the synthetic camera's (``stream.sources.synthetic``)."""


class HeldOutViews:
    """``views`` rendered images with exact depth; the families have the same shares as in training.

    Views without depth, or filled by a single surface, are drawn again, as they are for training.
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
            image, ground_truth = to_bgr(images.rgb, grain.of_frame(number))[0].numpy(), images.depth[0].numpy()
            yield Sample(f"{family} {number}", family, image, ground_truth)


def _families() -> Iterator[str]:
    """An endless, fixed sequence of families: the next one is the one furthest behind its share."""
    from stream.scenes.world.layouts import FAMILIES

    total = sum(share for _, share in FAMILIES.values())
    views = dict.fromkeys(FAMILIES, 0)
    for number in count(1):
        chosen = max(FAMILIES, key=lambda name: FAMILIES[name][1] / total * number - views[name])
        views[chosen] += 1
        yield chosen


def _view(number: int, family: str, atlas: Atlas) -> Images:
    """The first view of this number's random sequence that passes ``worth_keeping``."""
    from stream.scenes.renderer.render import render
    from stream.scenes.world.layouts import random_scene, worth_keeping

    rng = np.random.default_rng((SEED, number))
    while True:  # ends soon: the tests of every family keep at least 5 of 12 views
        images = render([random_scene(rng, atlas.count, family)], atlas, SIZE, softness=SOFTNESS)
        if bool(worth_keeping(images.depth, images.surface_id)):
            return images
