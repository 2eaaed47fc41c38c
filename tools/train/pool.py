"""A pool of views: a window that slides over the numbered chunks as their views are used up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from stream.frames import Size
from tools.train.views import Recipe, chunks, chunks_ahead


@dataclass(frozen=True, slots=True)
class Window:
    """The number of chunks in the pool, and when the next one is due."""

    views_in_chunk: int
    reuse: float
    """Mean number of uses of a view before a fresh one is due; a slow renderer makes the training wait."""
    first: int = 6
    """Chunks before the first step."""
    capacity: int = 96
    """Chunks kept at most."""

    def chunks_needed(self, used: int) -> int:
        """Chunks that must have been rendered once ``used`` views have been used."""
        return self.first + int(used / (self.reuse * self.views_in_chunk))


class Pool:
    """Views to draw from, on the device. Its content depends only on the number of views used so far.

    A pool opened at ``used`` views renders the chunks again that it would hold by then. Chunks follow ``recipe``, and
    after ``grow`` they follow ``later``.
    """

    def __init__(
        self,
        recipe: Recipe,
        window: Window,
        *,
        later: Recipe | None = None,
        grown_at: int | None = None,
        used: int = 0,
        workers: int = 0,
        device: torch.device | str = "cpu",
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        """``grown_at`` is the result of an earlier ``grow``.

        ``report`` is called with the numbers of chunks rendered and due while the pool fills.
        """
        start = max(0, window.chunks_needed(used) - window.capacity)
        self._window, self._device, self._report = window, torch.device(device), report
        self._recipe, self._later, self._grown_at = recipe, later or recipe, grown_at
        self._chunks_ahead = chunks_ahead(workers)
        self._source = chunks(self._recipe_of, start, workers)
        self._held: deque[tuple[Tensor, Tensor]] = deque(maxlen=window.capacity)
        self._next, self.used = start, used

    def __enter__(self) -> Self:
        self._fill()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    @property
    def rendered(self) -> int:
        """Views rendered so far, including those before a resume."""
        return self._next * self._window.views_in_chunk

    def grow(self) -> int:
        """Switch chunks that are not requested yet to the later recipe; returns the number of the first one."""
        self._grown_at = self._next + self._chunks_ahead
        return self._grown_at

    def pick(self, rng: np.random.Generator, count: int, at_least: Size) -> tuple[Tensor, Tensor]:
        """Draw ``count`` views of one size: (count, 3, H, W) uint8 RGB and (count, H, W) float16 inverse depth.

        The size covers ``at_least`` if any in the pool does, else it is the largest.
        """
        self.used += count
        self._fill()
        sizes = {Size(*inverse.shape[1:]) for _, inverse in self._held}
        enough = sorted(s for s in sizes if s.height >= at_least.height and s.width >= at_least.width)
        size = enough[int(rng.integers(len(enough)))] if enough else max(sizes, key=lambda s: (s.height * s.width, s))
        held = [views for views in self._held if tuple(views[1].shape[1:]) == tuple(size)]
        chosen = rng.integers(len(held) * self._window.views_in_chunk, size=count)
        indices = [divmod(int(i), self._window.views_in_chunk) for i in chosen]
        return torch.stack([held[c][0][i] for c, i in indices]), torch.stack([held[c][1][i] for c, i in indices])

    def _recipe_of(self, number: int) -> Recipe:
        return self._recipe if self._grown_at is None or number < self._grown_at else self._later

    def _fill(self) -> None:
        """Wait until all chunks that are due have been rendered."""
        due = self._window.chunks_needed(self.used)
        start = self._next
        while self._next < due:
            chunk = next(self._source)
            tensors = torch.from_numpy(chunk.rgb), torch.from_numpy(chunk.inverse)
            self._held.append((tensors[0].to(self._device), tensors[1].to(self._device)))
            self._next += 1
            self._report(self._next - start, due - start)
