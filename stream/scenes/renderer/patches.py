"""Windows of nearly the same size, worked on as one tensor: a call costs as much as some thousand pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stream.scenes.renderer.primitives import Shape
from stream.scenes.renderer.triples import Triple
from stream.scenes.world.windows import Windows

WASTE_PX = 3000
"""A window joins a group if that makes the group compute at most so many pixels for nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """K slots of one shape; each patch starts at its window's top left and is at least as large as the window."""

    slots: list[int]
    windows: Windows
    """(K, 4)."""
    height: int
    width: int

    @classmethod
    def whole(cls, height: int, width: int) -> Patches:
        """One patch that is the image."""
        return cls([0], np.array([[0, height, 0, width]]), height, width)

    def corners(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Top and left of each patch, (K, 1, 1) int64."""
        corners = torch.from_numpy(self.windows[:, ::2].copy()).to(device)[:, :, None, None]
        return corners[:, 0], corners[:, 1]

    def view(self, of_pixels: Tensor) -> Tensor:
        """(..., H, W) -> (..., K, h, w); what sticks out of the image repeats its edge."""
        height, width = of_pixels.shape[-2:]
        top, left = self.corners(of_pixels.device)
        rows = (top + torch.arange(self.height, device=top.device)[:, None]).clamp_max(height - 1)
        columns = (left + torch.arange(self.width, device=top.device)).clamp_max(width - 1)
        place = rows * width + columns
        flat = of_pixels.flatten(-2)
        found = flat.gather(-1, place.flatten().expand(*flat.shape[:-1], -1))
        return found.view(*flat.shape[:-1], *place.shape)

    def pick(self, of_slots: Tensor) -> Tensor:
        """(B, n, ...) -> (B, K, ...): the rows of these slots."""
        return of_slots[:, self.slots]

    def triple(self, of_slots: Tensor) -> Triple:
        """(B, n, 3) -> three tensors (B, K, 1, 1) that broadcast over patches."""
        x, y, z = self.pick(of_slots)[..., None, None].unbind(2)
        return x, y, z

    def onto(self, patches: Tensor, *images: Tensor) -> Iterator[tuple[int, Tensor, list[Tensor]]]:
        """Slot by slot: its patch of (B, K, h, w) cut to its window, and that window of each image (B, H, W)."""
        for k, (slot, (top, bottom, left, right)) in enumerate(zip(self.slots, self.windows.tolist(), strict=True)):
            patch = patches[:, k, : bottom - top, : right - left]
            yield slot, patch, [image[:, top:bottom, left:right] for image in images]


def group(shapes: Sequence[Shape], windows: Windows, largest_px: int) -> tuple[Patches, ...]:
    """Slots that touch the image, in groups of one shape; no group of several holds more than ``largest_px``."""
    heights, widths = windows[:, 1] - windows[:, 0], windows[:, 3] - windows[:, 2]
    areas = heights.clip(0) * widths.clip(0)
    order = np.lexsort((-areas, shapes))
    groups, slots, height, width = [], list[int](), 0, 0
    for slot in order[areas[order] > 0].tolist():
        larger_height, larger_width = max(height, int(heights[slot])), max(width, int(widths[slot]))
        total_px = (len(slots) + 1) * larger_height * larger_width
        waste_px = total_px - len(slots) * height * width - int(areas[slot])
        if slots and (shapes[slot] != shapes[slots[0]] or waste_px > WASTE_PX or total_px > largest_px):
            groups.append(Patches(slots, windows[slots], height, width))
            slots, larger_height, larger_width = [], int(heights[slot]), int(widths[slot])
        slots.append(slot)
        height, width = larger_height, larger_width
    return (*groups, Patches(slots, windows[slots], height, width)) if slots else ()
