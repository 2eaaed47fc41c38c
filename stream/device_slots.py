"""Memory for pictures on their way to a device: a ring that is filled over and over.

Nothing is allocated for a frame, and nothing that one thread's queue still uses is given to another: a slot is used
again after all the others, and its queue first waits for the slot's last marks.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from stream.engines.streams import Mark
from stream.errors import EngineError
from stream.frames import Frame, Image, Size


@dataclass(slots=True, eq=False)
class Group:
    """Buffers for the pictures of one size in a slot."""

    host_pictures: Tensor
    """(n, H, W, 3) uint8, page-locked where there is a GPU."""
    pictures: Tensor
    """The same on the device."""


@dataclass(slots=True, eq=False)
class Slot:
    """The memory of one batch."""

    number: int
    generation: int = 0
    """Counts its uses: what was prepared in an earlier one is gone."""
    groups: dict[Size, Group] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    scalars: dict[str, Tensor] = field(default_factory=dict)
    """What the network says beside depth, (n,) float32 each, page-locked."""

    def scalar(self, name: str, most: int, device: torch.device) -> Tensor:
        """Allocated when the network first says it, for ``most`` pictures."""
        if name not in self.scalars:
            self.scalars[name] = torch.empty(most, dtype=torch.float32, pin_memory=device.type == "cuda")
        return self.scalars[name]

    def group(self, size: Size, most: int, device: torch.device) -> Group:
        """Allocated when pictures of this size are first seen, for ``most`` of them."""
        if size not in self.groups:
            locked = device.type == "cuda"
            shape = (most, *size, 3)
            self.groups[size] = Group(
                torch.empty(shape, dtype=torch.uint8, pin_memory=locked),
                torch.empty(shape, dtype=torch.uint8, device=device),
            )
        return self.groups[size]


class SlotRing:
    """Slots in turn; any thread may ask for the next."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._turn, self._lock = 0, threading.Lock()

    def next(self) -> Slot:
        """The slot that was used longest ago. Its marks are still those of that use."""
        with self._lock:
            slot = self._slots[self._turn % len(self._slots)]
            self._turn += 1
            slot.generation += 1
        return slot


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Network input in a slot: the ``pixels`` of a Batch whose network runs on a device."""

    slot: Slot
    generation: int
    pixels: Tensor
    """(N, 3, h, w) on the device; may still be in the making."""
    sizes: tuple[Size, ...]
    """Of the pictures; those of one size lie side by side."""

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice) -> Prepared:
        return Prepared(self.slot, self.generation, self.pixels[part], self.sizes[part])

    def check(self) -> None:
        """Raises EngineError where more batches wait than the ring has slots."""
        if self.slot.generation != self.generation:
            raise EngineError("a batch waited so long that its memory was used for another: too few slots")


def runs(sizes: tuple[Size, ...]) -> list[tuple[Size, slice]]:
    """Neighbours of one size: the size, and where they are."""
    starts = [i for i, size in enumerate(sizes) if i == 0 or size != sizes[i - 1]]
    return [(sizes[a], slice(a, b)) for a, b in pairwise([*starts, len(sizes)])]


def by_size(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Frames of one size side by side, else in their order."""
    sizes = list(dict.fromkeys(frame.size for frame in frames))
    return tuple(sorted(frames, key=lambda frame: sizes.index(frame.size)))


def fill(host: Tensor, images: list[Image]) -> None:
    """Copy pictures (H, W, 3) uint8 into page-locked memory."""
    array = host.numpy()
    for place, image in enumerate(images):
        array[place] = image
