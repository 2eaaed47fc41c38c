"""Staging buffers for images on their way to a device: a ring that is filled over and over.

Frames of common sizes cause no allocation, and memory that the device still reads is not written to.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from stream.engines.streams import Event
from stream.frames import Frame, Image, Size

KEPT_SIZES = 4
"""Image sizes whose buffers are kept from batch to batch; buffers of other sizes are allocated anew."""


@dataclass(slots=True, eq=False)
class SizeBuffers:
    """Buffers for the images of one size in a batch."""

    host: Tensor
    """(n, H, W, 3) uint8, page-locked where there is a GPU."""
    images: Tensor
    """(n, H, W, 3) uint8 on the device."""


@dataclass(slots=True, eq=False)
class StagingBuffers:
    """Memory of one batch, used by one thread at a time (``lock``)."""

    number: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    by_size: OrderedDict[Size, SizeBuffers] = field(default_factory=OrderedDict)
    """In the order of last use, the most recent size last."""
    used: Event | None = None
    """Recorded after the device's last read of this memory."""

    def wait(self) -> None:
        """Wait until the device has read the last batch; free the buffers of sizes not used for long."""
        if self.used is not None:
            self.used.wait()
        # Only now, because the device may have been reading from them.
        while len(self.by_size) > KEPT_SIZES:
            self.by_size.popitem(last=False)

    def buffers(self, size: Size, count: int, device: torch.device) -> SizeBuffers:
        """Buffers for at least ``count`` images of this size: the present ones, or larger new ones."""
        known = self.by_size.pop(size, None)
        if known is None or len(known.images) < count:
            shape = (count, *size, 3)
            known = SizeBuffers(
                torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda"),
                torch.empty(shape, dtype=torch.uint8, device=device),
            )
        self.by_size[size] = known
        return known


class StagingRing:
    """A ring of staging buffers, handed out in turn to any thread."""

    def __init__(self, count: int) -> None:
        self._all = [StagingBuffers(number) for number in range(count)]
        self._turn, self._lock = 0, threading.Lock()

    def next(self) -> StagingBuffers:
        """The buffers that were handed out longest ago."""
        with self._lock:
            buffers = self._all[self._turn % len(self._all)]
            self._turn += 1
            return buffers


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Network input on a device: what ``Batch.pixels`` holds for a network that runs there."""

    pixels: Tensor
    """(N, 3, h, w); complete once ``ready`` is reached."""
    sizes: tuple[Size, ...]
    """Size of each camera image; images of one size are neighbours."""
    begun: Event
    ready: Event

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice) -> Prepared:
        return Prepared(self.pixels[part], self.sizes[part], self.begun, self.ready)


def runs(sizes: tuple[Size, ...]) -> list[tuple[Size, slice]]:
    """Split ``sizes`` into runs of equal neighbours: the size, and its slice."""
    starts = [i for i, size in enumerate(sizes) if i == 0 or size != sizes[i - 1]]
    return [(sizes[a], slice(a, b)) for a, b in pairwise([*starts, len(sizes)])]


def by_size(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Sort frames so that those of one size are neighbours; otherwise their order is kept."""
    sizes = list(dict.fromkeys(frame.size for frame in frames))
    return tuple(sorted(frames, key=lambda frame: sizes.index(frame.size)))


def fill(host: Tensor, images: list[Image]) -> None:
    """Copy images (H, W, 3) uint8 into page-locked memory."""
    array = host.numpy()
    for index, image in enumerate(images):
        array[index] = image
