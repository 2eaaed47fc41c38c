"""A network run by torch without compilation, on any device, channels last, in single or half precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from stream.engines.batch_sizes import batch_sizes
from stream.engines.precision import Precision, to_precision
from stream.engines.streams import device_errors
from stream.engines.torch_flags import FULL_FLOAT32
from stream.errors import EngineError
from stream.frames import Size
from stream.models.spec import InputSpec

MIN_SIDE_PX = 64
"""Networks halve their input up to five times, and at least two pixels should be left."""
EXAMPLE_SIZE = Size(MIN_SIDE_PX, MIN_SIDE_PX)
WARM_UP_RUNS = 2
"""The first run allocates memory and loads kernels; the second one finds both."""


class EagerEngine:
    """Takes and returns tensors of the device, on torch's current stream; nothing here waits for the result.

    cuDNN selects its convolutions by heuristics, without trying them out (see ``torch_flags.CUDNN_AUTOTUNE``).
    """

    def __init__(
        self,
        name: str,
        network_factory: Callable[[], nn.Module],
        *,
        device: torch.device,
        precision: Precision = "fp32",
        max_batch: int = 1,
        example_size: Size = EXAMPLE_SIZE,
        outputs: tuple[str, ...] = ("depth",),
    ) -> None:
        """``example_size``: a size that the network takes; the conversion to half precision runs it once at that size.

        ``outputs``: names of the tensors that the network returns; several names stand for a tuple.
        """
        self.outputs = outputs
        self.name, self.device, self.precision, self._max_batch = name, device, precision, max_batch
        with device_errors(name), torch.inference_mode():
            network = to_precision(network_factory().eval(), precision, torch.zeros(1, 3, *example_size))
            network = network.requires_grad_(False).to(device)
            self._network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            if device.type == "cuda":
                # later calls use other streams, which would not wait for these copies
                torch.cuda.current_stream(device).synchronize()

    @property
    def max_batch(self) -> int:
        return self._max_batch

    def infer(self, **inputs: Tensor) -> dict[str, Tensor]:
        """``pixels`` (N, 3, h, w) float32 -> ``depth`` (N, h, w) float32, both on ``device``."""
        pixels = check_pixels(inputs, self.name, self.device, self._max_batch)
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            results = self._network(pixels)
        return dict(zip(self.outputs, results if isinstance(results, tuple) else (results,), strict=True))

    def prepare(self, size: Size) -> None:
        """Warm up with every captured batch size, the largest first so that the others fit into its memory."""
        for batch in reversed(batch_sizes(self._max_batch)):
            pixels = torch.zeros(batch, 3, *size, device=self.device)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            for _ in range(WARM_UP_RUNS):
                self.infer(pixels=pixels)

    def describe(self) -> str:
        return f"{self.name} by torch {torch.__version__} on {device_name(self.device)}, {self.precision}"

    def close(self) -> None:
        self._network = nn.Identity()


def example_size(spec: InputSpec) -> Size:
    """A network size that ``spec`` allows; a small one where it allows several."""
    if spec.canvas is not None:
        return spec.canvas.size
    side = spec.side if spec.fixed_size else -(-MIN_SIDE_PX // spec.multiple) * spec.multiple
    return Size(side, side)


def check_pixels(inputs: dict[str, Tensor], name: str, device: torch.device, max_batch: int) -> Tensor:
    """The images in ``inputs``. Raises EngineError unless they are (N, 3, h, w) float32 on ``device``, N fitting."""
    pixels = inputs.get("pixels")
    if pixels is None or len(inputs) != 1:
        raise EngineError(f'{name} takes one input, "pixels"; got: {", ".join(inputs) or "none"}')
    # Only the device's type, because torch holds "cuda" and "cuda:0" to be different.
    if pixels.ndim != 4 or pixels.shape[1] != 3 or pixels.dtype != torch.float32 or pixels.device.type != device.type:
        found = f"{tuple(pixels.shape)} {pixels.dtype} on {pixels.device}"
        raise EngineError(f"{name} takes (N, 3, h, w) float32 on {device}; got {found}")
    if not 1 <= len(pixels) <= max_batch:
        raise EngineError(f"{name} takes 1 to {max_batch} images at once; got {len(pixels)}")
    return pixels


def device_name(device: torch.device) -> str:
    """For people: the name of the GPU, or "the CPU"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
