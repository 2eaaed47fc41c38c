"""From a network's numbers to depth, as plain numbers: what they are multiplied with, and kept within."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stream.frames import Floats


@dataclass(frozen=True, slots=True)
class Decoding:
    """Of one picture. In this order; NaN stays NaN. On a device: ``stream.preprocess.gpu.decoded_``."""

    gain: float = 1.0
    low: float | None = None
    """Smaller values become this one."""
    high: float | None = None
    """Larger values become this one."""
    reciprocal: bool = False
    """At last, 1 / value."""

    def decoded(self, raw: Floats) -> Floats:
        """Depth of the network's numbers, both (H, W) float32; ``raw`` itself where there is nothing to do."""
        depth = raw if self.gain == 1.0 else np.multiply(raw, np.float32(self.gain), dtype=np.float32)
        for limit, bound in ((np.maximum, self.low), (np.minimum, self.high)):
            if bound is not None:
                depth = limit(depth, np.float32(bound), out=None if depth is raw else depth)
        if self.reciprocal:
            depth = np.reciprocal(depth, out=None if depth is raw else depth)
        return depth
