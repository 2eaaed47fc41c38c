"""A network as torch runs it by itself, on a device, channels last, in single or half precision."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from stream.engines.precision import Precision, in_precision
from stream.engines.streams import device_errors
from stream.errors import EngineError
from stream.frames import Size
from stream.input_spec import InputSpec

LEAST_PX = 64
"""Networks halve their input up to five times, and two pixels at least should be left."""
SOME_SIZE = Size(LEAST_PX, LEAST_PX)
WARM_UP_RUNS = 3
"""Convolutions are tried out in the first runs (cudnn.benchmark)."""


class EagerEngine:
    """Tensors of the device in and out, put into torch's current stream; nothing waits for the result here."""

    def __init__(
        self,
        name: str,
        network_factory: Callable[[], nn.Module],
        *,
        device: torch.device,
        precision: Precision = "fp32",
        max_batch: int = 1,
        some_size: Size = SOME_SIZE,
        outputs: tuple[str, ...] = ("depth",),
    ) -> None:
        """``some_size``: one that the network takes (``some_size``): it is run at it to bring it into half precision.

        ``outputs``: names of what the network returns; several are a tuple.
        """
        self.outputs = outputs
        self.name, self.device, self.precision, self._max_batch = name, device, precision, max_batch
        with device_errors(name), torch.inference_mode():
            network = in_precision(network_factory().eval(), precision, torch.zeros(1, 3, *some_size))
            network = network.requires_grad_(False).to(device)
            self._network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """``pixels`` (N, 3, h, w) float32 on ``device`` -> ``depth`` (N, h, w) float32 there."""
        pixels = checked(inputs, self.name, self.device, self._max_batch)
        with torch.inference_mode(), device_errors(self.name), _convolutions(self.device):
            results = self._network(pixels)
        return dict(zip(self.outputs, results if isinstance(results, tuple) else (results,), strict=True))

    def prepare(self, size: Size) -> None:
        """Run it a few times with a full batch: memory is got, and the fastest convolutions are found."""
        pixels = torch.zeros(self._max_batch, 3, *size, device=self.device)
        pixels = pixels.contiguous(memory_format=torch.channels_last)
        for _ in range(WARM_UP_RUNS):
            self.infer(pixels=pixels)

    def describe(self) -> str:
        return f"{self.name} by torch {torch.__version__} on {device_name(self.device)}, {self.precision}"

    def close(self) -> None:
        self._network = nn.Identity()


def some_size(spec: InputSpec) -> Size:
    """A size that a network with such input takes, a small one where it takes several."""
    if spec.canvas is not None:
        return spec.canvas.size
    side = spec.side if spec.fixed else -(-LEAST_PX // spec.multiple) * spec.multiple
    return Size(side, side)


def _convolutions(device: torch.device) -> AbstractContextManager[Any]:
    """cuDNN tries out its algorithms (benchmark), and computes float32 as float32.

    Its default is TF32, whose products have half precision's mantissa. Not set for the process: that may be another
    program's, which uses this one as a library.
    """
    if device.type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False)
    return flags


def checked(inputs: dict[str, Tensor], name: str, device: torch.device, max_batch: int) -> Tensor:
    """The pictures in ``inputs``. Raises EngineError unless they are what the engine takes."""
    pixels = inputs.get("pixels")
    if pixels is None or len(inputs) != 1:
        raise EngineError(f'{name} takes one input, "pixels"; got: {", ".join(inputs) or "none"}')
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.float32 or pixels.device.type != device.type:
        found = f"{tuple(pixels.shape)} {pixels.dtype} on {pixels.device}"
        raise EngineError(f"{name} takes (N, 3, h, w) float32 on {device}; got {found}")
    if not 1 <= len(pixels) <= max_batch:
        raise EngineError(f"{name} takes 1 to {max_batch} pictures at once; got {len(pixels)}")
    return pixels


def device_name(device: torch.device) -> str:
    """For people: the card's name, or "the CPU"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
