"""A pipeline whose device is lost in its midst: ``python -m tests.gpu.lose_device cuda|cpu``; prints one JSON line.

On a GPU a kernel fails an assertion, after which every call of CUDA fails in this process. On the CPU's tensors the
network raises what torch raises then.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterable, Iterator
from time import monotonic

import torch
from torch import Tensor

from pipelines.components.depth import add_depth
from stream.frames import DepthMap, Size
from stream.inference.device_estimator import DeviceEstimator
from stream.inference.fallback import FallbackEstimator
from stream.inference.open import fallback_for
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, SyntheticCamera
from stream.sources.synthetic import SyntheticSource
from stream.stages.capture import capture
from tests.gpu.devices import by_network, network

BEFORE, AFTER = 5, 5
"""Depth maps of the device, and of what takes over."""


class Failing(torch.nn.Module):
    """tiny, until it is told to fail."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.lost = network("tiny"), threading.Event()

    def forward(self, pixels: Tensor) -> Tensor:
        if self.lost.is_set():
            if pixels.device.type == "cpu":
                raise RuntimeError("CUDA error: device-side assert triggered")
            torch._assert_async(torch.zeros(1, device=pixels.device))
        depth: Tensor = self.network(pixels)
        return depth


def main(device: str) -> None:
    failing, settings = Failing(), ModelSettings()
    first = DeviceEstimator(settings, by_network(device, failing), device)
    estimator = FallbackEstimator(first, fallback_for(settings, "tiny"))
    camera = SyntheticCamera(source="synthetic", width=96, height=64, fps=20)
    pipe = Pipeline("test")
    source = pipe.source("capture", capture(SyntheticSource(camera)))
    depth = add_depth(pipe, estimator, [source], policy="latest", expect=[Size(64, 96)])
    seen: list[tuple[float, bool]] = []
    enough = threading.Event()

    def end(maps: Iterable[DepthMap]) -> Iterator[DepthMap]:
        for m in maps:
            seen.append((monotonic(), estimator.failure is not None))
            if len(seen) == BEFORE:
                failing.lost.set()
            if sum(after for _, after in seen) >= AFTER:
                enough.set()
            yield m

    pipe.stage("end", end, after=[depth], policy="drop_oldest")
    with pipe:
        assert enough.wait(60), "nothing took over"
    (account,) = pipe.stats().accounts
    back_s = next(at for at, after in seen if after) - seen[BEFORE - 1][0]
    told = {
        "back_s": back_s,
        "seen": len(seen),
        "published": account.published,
        "in_flight": account.in_flight,
        "engines_after": [estimator.describe().split(",")[0]],
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
