"""The views at hand: a window that slides over the numbered chunks as their views are used up."""

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
from tools.train.views import Recipe, ahead, chunks


@dataclass(frozen=True, slots=True)
class Window:
    """How many chunks are kept, and when the next one is due."""

    views_in_chunk: int
    reuse: float
    """How often a view is used before as many fresh ones are due; a slow renderer makes the training wait."""
    first: int = 6
    """Chunks to begin with."""
    most: int = 96
    """Chunks kept."""

    def last(self, used: int) -> int:
        """How many chunks have been needed after ``used`` views."""
        return self.first + int(used / (self.reuse * self.views_in_chunk))


class Pool:
    """Views to draw from, on the device; what it holds depends on how many have been used and nothing else.

    Opened at ``used`` views it draws the chunks again that it would hold by then. They follow ``recipe``, and ``later``
    after ``grow``.
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
        """``grown_at``: what an earlier ``grow`` gave. ``report`` is told how many of the first chunks are there."""
        start = max(0, window.last(used) - window.most)
        self._window, self._device, self._report = window, torch.device(device), report
        self._recipe, self._later, self._grown_at, self._ahead = recipe, later or recipe, grown_at, ahead(workers)
        self._source = chunks(self._recipe_of, start, workers)
        self._held: deque[tuple[Tensor, Tensor]] = deque(maxlen=window.most)
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
        """Views made so far, those before a resume included."""
        return self._next * self._window.views_in_chunk

    def grow(self) -> int:
        """Draw chunks that have not been asked for yet by the later recipe; the number of the first of them."""
        self._grown_at = self._next + self._ahead
        return self._grown_at

    def pick(self, rng: np.random.Generator, count: int, at_least: Size) -> tuple[Tensor, Tensor]:
        """``count`` views of one size: (count, 3, H, W) uint8 and (count, H, W) float16.

        Of a size that holds ``at_least`` if there is one, else of the largest.
        """
        self.used += count
        self._fill()
        sizes = {Size(*inverse.shape[1:]) for _, inverse in self._held}
        enough = sorted(s for s in sizes if s.height >= at_least.height and s.width >= at_least.width)
        size = enough[int(rng.integers(len(enough)))] if enough else max(sizes, key=lambda s: (s.height * s.width, s))
        held = [views for views in self._held if tuple(views[1].shape[1:]) == tuple(size)]
        which = rng.integers(len(held) * self._window.views_in_chunk, size=count)
        places = [divmod(int(i), self._window.views_in_chunk) for i in which]
        return torch.stack([held[c][0][i] for c, i in places]), torch.stack([held[c][1][i] for c, i in places])

    def _recipe_of(self, number: int) -> Recipe:
        return self._recipe if self._grown_at is None or number < self._grown_at else self._later

    def _fill(self) -> None:
        """Wait for the chunks that are due."""
        due = self._window.last(self.used)
        start = self._next
        while self._next < due:
            chunk = next(self._source)
            tensors = torch.from_numpy(chunk.rgb), torch.from_numpy(chunk.inverse)
            self._held.append((tensors[0].to(self._device), tensors[1].to(self._device)))
            self._next += 1
            self._report(self._next - start, due - start)
