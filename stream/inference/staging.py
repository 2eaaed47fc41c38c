"""Memory for images on their way to a device: a ring that is filled over and over.

Nothing is allocated for a frame of a size that comes often, and nothing that the device still reads is written to.
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
"""Sizes of images whose memory a slot keeps; of others it is allocated anew."""


@dataclass(slots=True, eq=False)
class Group:
    """Buffers for the images of one size in a slot."""

    host: Tensor
    """(n, H, W, 3) uint8, page-locked where there is a GPU."""
    images: Tensor
    """The same on the device."""


@dataclass(slots=True, eq=False)
class StagingBuffers:
    """The memory of one batch, for one thread at a time (``lock``)."""

    number: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    groups: OrderedDict[Size, Group] = field(default_factory=OrderedDict)
    """The size that was used last is the last."""
    used: Event | None = None
    """When the device has read all of it."""

    def wait(self) -> None:
        """Until the device has read what was here last; sizes that were not used for long are let go of."""
        if self.used is not None:
            self.used.wait()
        while len(self.groups) > KEPT_SIZES:
            self.groups.popitem(last=False)

    def group(self, size: Size, count: int, device: torch.device) -> Group:
        """Memory for ``count`` images of this size: what is there, or if that is less, more."""
        known = self.groups.pop(size, None)
        if known is None or len(known.images) < count:
            shape = (count, *size, 3)
            known = Group(
                torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda"),
                torch.empty(shape, dtype=torch.uint8, device=device),
            )
        self.groups[size] = known
        return known


class StagingRing:
    """Slots in turn; any thread may ask for the next."""

    def __init__(self, count: int) -> None:
        self._slots = [StagingBuffers(number) for number in range(count)]
        self._turn, self._lock = 0, threading.Lock()

    def next(self) -> StagingBuffers:
        """The slot that was used longest ago."""
        with self._lock:
            slot = self._slots[self._turn % len(self._slots)]
            self._turn += 1
            return slot


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Network input on a device: the ``pixels`` of a Batch whose network runs there."""

    pixels: Tensor
    """(N, 3, h, w); may still be in the making."""
    sizes: tuple[Size, ...]
    """Of the images; those of one size lie side by side."""
    begun: Event
    ready: Event

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice) -> Prepared:
        return Prepared(self.pixels[part], self.sizes[part], self.begun, self.ready)


def runs(sizes: tuple[Size, ...]) -> list[tuple[Size, slice]]:
    """Neighbours of one size: the size, and where they are."""
    starts = [i for i, size in enumerate(sizes) if i == 0 or size != sizes[i - 1]]
    return [(sizes[a], slice(a, b)) for a, b in pairwise([*starts, len(sizes)])]


def by_size(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Frames of one size side by side, else in their order."""
    sizes = list(dict.fromkeys(frame.size for frame in frames))
    return tuple(sorted(frames, key=lambda frame: sizes.index(frame.size)))


def fill(host: Tensor, images: list[Image]) -> None:
    """Copy images (H, W, 3) uint8 into page-locked memory."""
    array = host.numpy()
    for place, image in enumerate(images):
        array[place] = image
