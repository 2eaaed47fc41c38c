"""An engine of a device as one of the CPU: for the engine gate, which knows numpy only."""

from __future__ import annotations

import numpy as np
import torch

from stream.engines.base import Engine
from stream.engines.streams import device_errors
from stream.frames import Floats, Size


class NumpyEngine:
    """Arrays in and out; every call waits until the answer is there. Closing it closes the engine."""

    def __init__(self, engine: Engine, device: torch.device) -> None:
        self.engine, self._device = engine, device

    @property
    def max_batch(self) -> int:
        return self.engine.max_batch

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        with device_errors(self.describe()), torch.inference_mode():
            tensors = {name: torch.from_numpy(np.array(value)).to(self._device) for name, value in inputs.items()}
            return {name: output.cpu().numpy() for name, output in self.engine.infer(**tensors).items()}

    def prepare(self, size: Size) -> None:
        self.engine.prepare(size)

    def describe(self) -> str:
        return self.engine.describe()

    def close(self) -> None:
        self.engine.close()
