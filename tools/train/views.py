"""Fresh training views: numbered chunks, each a function of the seed and its number alone.

They are rendered by processes of one thread each, on the CPU or, with a context each, on the GPU; what travels back is
8-bit images and half-precision inverse depth. That a chunk is a function of its number is what lets a training resume
with the views it would have had.
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
from stream.scenes.renderer.render import colour, outlines
from stream.scenes.renderer.textures import Atlas, random_atlas
from stream.scenes.world.layouts import random_scene
from stream.scenes.world.staging import worth_keeping

TEXTURES = 384
CPU_BATCH, CUDA_BATCH = 1, 64
"""Views rendered at once: scenes of a batch are worked on over the windows of all of them, so that a core is fastest
with one (twice as fast as with four); a GPU has to be kept busy."""
ATLAS_STREAM, VIEW_STREAM = 1, 2
"""Streams of random numbers of one seed."""
FEWEST_TRIES = 40
"""A chunk that needs more rendered batches than this times its own is not worth waiting for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what the views look like."""

    seed: int
    sizes: tuple[Size, ...]
    """Chunk number i is drawn in one of these, by chance."""
    views_in_chunk: int = 16
    textures: int = TEXTURES
    device: str = "cpu"
    """Where views are rendered."""
    family: str | None = None
    """Only this family of scenes."""


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """n views of one size."""

    rgb: NDArray[np.uint8]
    """(n, 3, H, W)."""
    inverse: NDArray[np.float16]
    """(n, H, W): 1 / metres; 0 for sky."""

    @property
    def size(self) -> Size:
        return Size(*self.inverse.shape[1:])


def draw_chunk(recipe: Recipe, number: int) -> Chunk:
    """Render views of chunk ``number`` until ``views_in_chunk`` are worth keeping."""
    rng = np.random.default_rng((recipe.seed, VIEW_STREAM, number))
    size = recipe.sizes[int(rng.integers(len(recipe.sizes)))]
    batch = min(CPU_BATCH if recipe.device == "cpu" else CUDA_BATCH, recipe.views_in_chunk)
    rgb, inverse, found = [], [], 0
    while found < recipe.views_in_chunk:
        images, depths = _draw_batch(recipe, rng, size, batch)
        rgb.append(images)
        inverse.append(depths)
        found += len(images)
        assert len(rgb) < FEWEST_TRIES * recipe.views_in_chunk, f"no view of {recipe} is worth keeping"
    n = recipe.views_in_chunk
    return Chunk(np.concatenate(rgb)[:n], np.concatenate(inverse)[:n])


def chunks(recipe_of: Callable[[int], Recipe], first: int, workers: int) -> Generator[Chunk, None, None]:
    """Chunks ``first``, ``first + 1``, ... without end, drawn ahead by ``workers`` processes; 0: here, when asked.

    Closing the iterator ends the processes.
    """
    if workers == 0:
        number = first
        while True:
            yield draw_chunk(recipe_of(number), number)
            number += 1
    with _processes(workers) as pool:
        waiting: deque[Future[Chunk]] = deque()
        try:
            number = first
            while True:
                while len(waiting) < ahead(workers):
                    waiting.append(pool.submit(draw_chunk, recipe_of(number), number))
                    number += 1
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def ahead(workers: int) -> int:
    """Chunks that are asked for before they are needed."""
    return 2 * workers + 1 if workers else 0


def drawn(recipes: Sequence[Recipe], workers: int) -> list[Chunk]:
    """Chunk 0 of every recipe."""
    if workers == 0:
        return [draw_chunk(recipe, 0) for recipe in recipes]
    with _processes(workers) as pool:
        return list(pool.map(draw_chunk, recipes, [0] * len(recipes)))


def _processes(workers: int) -> ProcessPoolExecutor:
    """Spawned, not forked: torch's threads and CUDA's context do not survive a fork."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)


def _start_worker() -> None:
    """One thread a process; Ctrl-C is for the process that has something to save."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _draw_batch(
    recipe: Recipe, rng: np.random.Generator, size: Size, count: int
) -> tuple[NDArray[np.uint8], NDArray[np.float16]]:
    """The views worth keeping among ``count``, as a camera and its file would give them."""
    atlas = _atlas(recipe.seed, recipe.textures, recipe.device)
    seen = outlines([random_scene(rng, atlas.count, recipe.family) for _ in range(count)], size, atlas.texels.device)
    shots = random_shots(rng, count)
    with torch.inference_mode():
        keep = worth_keeping(seen.hits.depth, seen.hits.ident)
        if not keep.any():
            return np.empty((0, 3, *size), np.uint8), np.empty((0, *size), np.float16)
        images = colour(seen, atlas)
        taken = take(images.rgb, images.depth, shots)
        inverse = (1 / images.depth[keep]).half()
    return taken[keep].cpu().numpy(), inverse.cpu().numpy()


@cache
def _atlas(seed: int, count: int, device: str) -> Atlas:
    """Drawn once in the life of a process; another seed has other textures."""
    return random_atlas(int(np.random.default_rng((seed, ATLAS_STREAM)).integers(1 << 31)), count).to(device)
