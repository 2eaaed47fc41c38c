"""Depth map kept on the GPU next to its host copy, so that it can be colourised there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stream.engines.streams import DeviceStreams, Event, device_errors
from stream.frames import Floats, Image
from stream.render.colormap_gpu import lut_on, paint


@dataclass(frozen=True, slots=True, eq=False)
class DeviceDepth:
    """The depth of one image on both sides; implements ``stream.frames.OnDevice``."""

    depth: Floats
    on_device: Tensor
    """(H, W) float32 on the device, the same numbers; written by the stream "compute"."""
    written: Event
    streams: DeviceStreams

    def paint(self, low: float, high: float, colormap: str) -> Image:
        """Paint on the device, byte for byte as ``colormap.paint`` does, and wait, without spinning, for the copy.

        Raises UsageError for a colormap that does not exist, EngineError where the device fails.
        """
        device = self.on_device.device
        with device_errors("painting"), torch.inference_mode():
            self.streams.wait_event("colour", self.written)
            with self.streams.on("colour"):
                painted = paint(self.on_device, low, high, lut_on(colormap, device))
                on_host = host_memory(painted.shape, torch.uint8, device)
                on_host.copy_(painted, non_blocking=True)
            self.streams.record("colour").wait()  # the stream reads these tensors until then
        image: Image = on_host.numpy()
        return image


def host_memory(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Allocate host memory for a copy from ``device``, page-locked where there is a GPU; the caller owns it.

    torch caches page-locked memory that is freed, and reuses it once the copies into it are done.
    """
    return torch.empty(shape, dtype=dtype, pin_memory=device.type == "cuda")
