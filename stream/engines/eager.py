"""A network as torch runs it by itself, on a device, channels last, in single or half precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stream.engines.batch_sizes import batch_sizes
from stream.engines.precision import Precision, in_precision
from stream.engines.streams import device_errors
from stream.engines.torch_flags import FULL_FLOAT32
from stream.errors import EngineError
from stream.frames import Size
from stream.models.spec import InputSpec

LEAST_PX = 64
"""Networks halve their input up to five times, and two pixels at least should be left."""
SOME_SIZE = Size(LEAST_PX, LEAST_PX)
WARM_UP_RUNS = 2
"""The first gets memory and loads kernels, the second finds them."""


class EagerEngine:
    """Tensors of the device in and out, put into torch's current stream; nothing waits for the result here.

    cuDNN takes its convolutions by rule, without trying them out (``process_settings.FASTEST``).
    """

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
            if device.type == "cuda":
                torch.cuda.current_stream(device).synchronize()  # whoever runs it does so in another stream

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """``pixels`` (N, 3, h, w) float32 on ``device`` -> ``depth`` (N, h, w) float32 there."""
        pixels = checked(inputs, self.name, self.device, self._max_batch)
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            results = self._network(pixels)
        return dict(zip(self.outputs, results if isinstance(results, tuple) else (results,), strict=True))

    def prepare(self, size: Size) -> None:
        """Run it with full batches and smaller ones, the largest first: they fit into its memory."""
        for batch in reversed(batch_sizes(self._max_batch)):
            pixels = torch.zeros(batch, 3, *size, device=self.device)
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


def checked(inputs: dict[str, Tensor], name: str, device: torch.device, max_batch: int) -> Tensor:
    """The images in ``inputs``. Raises EngineError unless they are what the engine takes."""
    pixels = inputs.get("pixels")
    if pixels is None or len(inputs) != 1:
        raise EngineError(f'{name} takes one input, "pixels"; got: {", ".join(inputs) or "none"}')
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.float32 or pixels.device.type != device.type:
        found = f"{tuple(pixels.shape)} {pixels.dtype} on {pixels.device}"
        raise EngineError(f"{name} takes (N, 3, h, w) float32 on {device}; got {found}")
    if not 1 <= len(pixels) <= max_batch:
        raise EngineError(f"{name} takes 1 to {max_batch} images at once; got {len(pixels)}")
    return pixels


def device_name(device: torch.device) -> str:
    """For people: the card's name, or "the CPU"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
