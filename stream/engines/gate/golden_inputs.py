"""Golden inputs: rendered scenes at the network's own sizes, the same on every run, that engines are compared on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from stream.engines.gate.comparison import GoldenInputs
from stream.frames import Floats, Image, Size
from stream.models.spec import InputSpec
from stream.preprocess.cpu import to_network
from stream.preprocess.geometry import network_size

if TYPE_CHECKING:
    from stream.scenes.renderer.render import Images
    from stream.scenes.renderer.textures import Atlas

VERSION = 1
"""Increased whenever the rendered images change; older verdicts are then judged anew."""
CAMERAS = (Size(480, 640), Size(720, 1280))
"""4:3 and 16:9, the aspect ratios of nearly all cameras."""
SEED, TEXTURES = 20_170_612, 32
"""Seed of all random choices; number of textures in the atlas of the still images."""
FAMILIES = ("room", "outdoors", "table_top", "from_above", "thicket", "close_up", "backdrop", "wall_ahead")
"""One image of each scene family: near and far, with and without a floor, smooth and full of edges."""
FRAMES, STILL_S, MOVING_S = 6, 0.04, 0.4
"""Frames per clip, and seconds between them: a tripod at 25 frames a second, and a camera in quick motion."""
OVERSAMPLING = 1.25
"""Images are rendered this much larger than the network's input, so that they are resized as a camera's are."""
SOFTNESS, GRAIN = 0.08, 1.2
"""Lens blur and noise of the synthetic camera (``stream.sources.synthetic``)."""


def spec_for_size(spec: InputSpec, size: Size) -> tuple[InputSpec, tuple[Size, ...]]:
    """The spec and the cameras to judge an engine with that takes only the network input ``size``."""
    bound = max(size) if spec.bound == "upper" else min(size)
    canvas = replace(spec.canvas, size=size) if spec.canvas else None
    return replace(spec, side=bound, canvas=canvas, keep_aspect=True), (Size(2 * size.height, 2 * size.width),)


def golden_inputs(spec: InputSpec, cameras: tuple[Size, ...] = CAMERAS) -> GoldenInputs:
    """Eight images and four extremes for each network size of ``cameras``; for the first, a still and a moving clip.

    The rendered images are cached for the next call.
    """
    shapes = {network_size(camera, spec): _rendered_size(camera, spec) for camera in cameras}
    first = next(iter(shapes.values()))
    with _one_thread():
        return GoldenInputs(
            images=tuple(_to_network(_images(shape), spec) for shape in shapes.values()),
            clips=tuple(_to_network(_clip(first, still), spec) for still in (True, False)),
            extremes=tuple(_to_network(_extremes(shape), spec) for shape in shapes.values()),
        )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread inside the block."""
    # a second thread gains nothing here, and where threads spin (``stream.engines.cpu_setup``) it may cost a minute
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _rendered_size(camera: Size, spec: InputSpec) -> Size:
    size = network_size(camera, spec)
    share = min(1.0, OVERSAMPLING * max(size.height / camera.height, size.width / camera.width))
    return Size(round(share * camera.height), round(share * camera.width))


def _to_network(images: tuple[Image, ...], spec: InputSpec) -> Floats:
    pixels = to_network(images, spec)
    pixels.setflags(write=False)
    return pixels


@lru_cache(maxsize=4)
def _images(size: Size) -> tuple[Image, ...]:
    """One view of each family as an everyday camera takes it: blurred, noisy, badly exposed, JPEG-compressed."""
    from stream.scenes.camera.film import random_shots, take
    from stream.scenes.renderer.textures import random_atlas

    atlas, images = random_atlas(SEED, TEXTURES), []
    for number, family in enumerate(FAMILIES):
        rng = np.random.default_rng((SEED, number, *size))
        view = _view(rng, family, atlas, size)
        rgb = take(view.rgb, view.depth, random_shots(rng, 1))
        images.append(np.ascontiguousarray(rgb[0].permute(1, 2, 0).flip(-1).numpy()))
    return tuple(images)


def _view(rng: np.random.Generator, family: str, atlas: Atlas, size: Size) -> Images:
    """The first random scene of ``family`` whose view is not blocked by one surface."""
    from stream.scenes.renderer.render import render
    from stream.scenes.world.layouts import random_scene, worth_keeping

    while True:  # it ends soon: the tests of the families require that at least 5 of 12 views are kept
        images = render([random_scene(rng, atlas.count, family)], atlas, size)
        if bool(worth_keeping(images.depth, images.surface_id)):
            return images


@lru_cache(maxsize=4)
def _clip(size: Size, still: bool) -> tuple[Image, ...]:
    """A town square with people: from a tripod, or swaying and with MOVING_S between two frames."""
    from stream.scenes.camera.exposure import Grain, to_bgr
    from stream.scenes.renderer.render import render
    from stream.scenes.world.tours import tour

    shown, grain = tour(SEED), Grain(SEED, size, GRAIN)
    camera = shown.sway.stopped() if still else shown.sway
    images = []
    for number in range(FRAMES):
        scene = replace(shown, sway=camera).at(number * (STILL_S if still else MOVING_S))
        rendered = render([scene], shown.atlas, size, softness=SOFTNESS)
        images.append(to_bgr(rendered.rgb, grain.of_frame(number))[0].numpy())
    return tuple(images)


def _extremes(size: Size) -> tuple[Image, ...]:
    """Black, white, noise of every value, and a one-pixel checkerboard: where small number formats overflow first."""
    noise = np.random.default_rng(SEED).integers(0, 256, (*size, 3), np.uint8)
    checks = np.indices(size).sum(0) % 2 * 255
    flat = (np.full((*size, 3), level, np.uint8) for level in (0, 255))
    return *flat, noise, np.repeat(checks.astype(np.uint8)[..., None], 3, axis=2)
