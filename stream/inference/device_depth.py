"""Depth that is still on the device beside its copy on the host: what is painted there need not be painted here."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stream.engines.streams import DeviceStreams, Event, device_errors
from stream.frames import Floats, Image
from stream.render.colormap_gpu import lut_on, paint


@dataclass(frozen=True, slots=True, eq=False)
class DeviceDepth:
    """One image's (``stream.frames.OnDevice``)."""

    depth: Floats
    there: Tensor
    """(H, W) float32, the same numbers, on the device; made in the queue "work"."""
    made: Event
    streams: DeviceStreams

    def paint(self, low: float, high: float, colormap: str) -> Image:
        """What ``colormap.paint`` gives, to the byte; the calling thread sleeps until it is here.

        Raises UsageError for a colormap that does not exist, EngineError where the device fails.
        """
        device = self.there.device
        with device_errors("painting"), torch.inference_mode():
            self.streams.after("colour", self.made)
            with self.streams.on("colour"):
                painted = paint(self.there, low, high, lut_on(colormap, device))
                here = host_memory(painted.shape, torch.uint8, device)
                here.copy_(painted, non_blocking=True)
            self.streams.mark("colour").wait()  # until then nobody lets go of what the queue reads
        image: Image = here.numpy()
        return image


def host_memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Memory for what comes back from ``device``, the receiver's own: page-locked where there is a GPU.

    torch keeps page-locked memory that is let go of, and gives it out again once the copies into it are done.
    """
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")
