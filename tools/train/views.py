"""Training views, rendered in numbered chunks that depend on nothing but the seed and their number.

A resumed training therefore gets the views it would have had. Chunks are rendered by processes of one thread each, on
the CPU or, with a context each, on the GPU; they return 8-bit images and half-precision inverse depth.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from stream.frames import Size
from stream.scenes.camera.film import random_shots, take
from stream.scenes.renderer.render import colour, trace
from stream.scenes.renderer.textures import Atlas, random_atlas
from stream.scenes.world.layouts import random_scene, worth_keeping

TEXTURES = 384
"""Textures in the atlas."""
CPU_BATCH, CUDA_BATCH = 1, 64
"""Views rendered at once. The scenes of a batch share the union of their windows, so a core is fastest with one scene
(twice as fast as with four), but a GPU needs large batches to be busy."""
ATLAS_STREAM, VIEW_STREAM = 1, 2
"""Independent streams of random numbers of one seed."""
MAX_TRIES = 40
"""A chunk fails if it needs more than this many rendered batches per view."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what the views look like."""

    seed: int
    sizes: tuple[Size, ...]
    """Each chunk gets one of these sizes at random."""
    views_in_chunk: int = 16
    textures: int = TEXTURES
    device: str = "cpu"
    """The torch device that renders."""
    family: str | None = None
    """The only scene family to draw; None draws all."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """n views of one size."""

    rgb: NDArray[np.uint8]
    """(n, 3, H, W) uint8 RGB."""
    inverse: NDArray[np.float16]
    """(n, H, W) float16: inverse depth, 1/m; 0 for sky."""

    @property
    def size(self) -> Size:
        return Size(*self.inverse.shape[1:])


def render_chunk(recipe: Recipe, number: int) -> Chunk:
    """Render views for chunk ``number`` until ``views_in_chunk`` of them are worth keeping."""
    rng = np.random.default_rng((recipe.seed, VIEW_STREAM, number))
    size = recipe.sizes[int(rng.integers(len(recipe.sizes)))]
    batch = min(CPU_BATCH if recipe.device == "cpu" else CUDA_BATCH, recipe.views_in_chunk)
    rgb, inverse, kept = [], [], 0
    while kept < recipe.views_in_chunk:
        images, depths = _render_batch(recipe, rng, size, batch)
        rgb.append(images)
        inverse.append(depths)
        kept += len(images)
        assert len(rgb) < MAX_TRIES * recipe.views_in_chunk, f"no view of {recipe} is worth keeping"
    n = recipe.views_in_chunk
    return Chunk(np.concatenate(rgb)[:n], np.concatenate(inverse)[:n])  # the last batch may bring more than are needed


def chunks(recipe_of: Callable[[int], Recipe], first: int, workers: int) -> Generator[Chunk, None, None]:
    """Yield chunks ``first``, ``first + 1``, ... without end, rendered ahead by ``workers`` processes.

    With 0 workers each chunk is rendered here on demand. Closing the iterator ends the processes.
    """
    if workers == 0:
        number = first
        while True:
            yield render_chunk(recipe_of(number), number)
            number += 1
    with _process_pool(workers) as pool:
        waiting: deque[Future[Chunk]] = deque()
        try:
            number = first
            while True:
                while len(waiting) < chunks_ahead(workers):
                    waiting.append(pool.submit(render_chunk, recipe_of(number), number))
                    number += 1
                yield waiting.popleft().result()
        finally:
            # Requested chunks are not needed any more, and rendering them would delay the end.
            pool.shutdown(wait=False, cancel_futures=True)


def chunks_ahead(workers: int) -> int:
    """Chunks that are requested before they are needed."""
    return 2 * workers + 1 if workers else 0


def render_chunks(recipes: Sequence[Recipe], workers: int) -> list[Chunk]:
    """Render chunk 0 of every recipe."""
    if workers == 0:
        return [render_chunk(recipe, 0) for recipe in recipes]
    with _process_pool(workers) as pool:
        return list(pool.map(render_chunk, recipes, [0] * len(recipes)))


def _process_pool(workers: int) -> ProcessPoolExecutor:
    """A pool of spawned processes; torch's threads and CUDA's context do not survive a fork."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    """Use one thread, and leave Ctrl-C to the main process, which has something to save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _render_batch(
    recipe: Recipe, rng: np.random.Generator, size: Size, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """Render ``count`` views and return those worth keeping, after the film simulation."""
    atlas = _atlas(recipe.seed, recipe.textures, recipe.device)
    traced = trace([random_scene(rng, atlas.count, recipe.family) for _ in range(count)], size, atlas.texels.device)
    shots = random_shots(rng, count)
    with torch.inference_mode():
        keep = worth_keeping(traced.hits.depth, traced.hits.surface_id)
        if not keep.any():
            return np.empty((0, 3, *size), np.uint8), np.empty((0, *size), np.float16)
        images = colour(traced, atlas)
        taken = take(images.rgb, images.depth, shots)
        inverse = (1 / images.depth[keep]).half()
    return taken[keep].cpu().numpy(), inverse.cpu().numpy()


@cache
def _atlas(seed: int, count: int, device: str) -> Atlas:
    """The atlas of a seed, rendered once per process."""
    return random_atlas(int(np.random.default_rng((seed, ATLAS_STREAM)).integers(1 << 31)), count).to(device)
