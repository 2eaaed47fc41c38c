"""Measure image rates on a GPU; every measurement starts and ends with an idle device, and rounds alternate.

Every function takes the device, so that all of it also runs, and is tested, on a CPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic, perf_counter, thread_time
from typing import Any

import numpy as np
import torch

from stream.core.clock import Stamp
from stream.engines.base import Engine
from stream.engines.select import Choice, EngineName, Precision
from stream.frames import Floats, Frame, Image, Size
from stream.inference.device_depth import host_memory
from stream.inference.device_estimator import DeviceEstimator, Ticket
from stream.inference.gpu_engines import GpuEngines
from stream.inference.staging import fill
from stream.models.base import DepthModel
from stream.models.spec import InputSpec
from stream.preprocess.geometry import network_size
from stream.preprocess.gpu import to_camera, to_network
from stream.render.colormap_gpu import lut_on, paint
from stream.settings import ModelSettings

WARM_UP = 5
IN_FLIGHT = 2
Step = Callable[[], int]
"""Does some work and returns the number of images finished."""


@dataclass(frozen=True, slots=True)
class Rig:
    """Network, weights, camera and device that all measurements share."""

    model: DepthModel
    weights: str
    camera: Size
    device: str = "cuda"

    def estimator(self, engine: EngineName, batch: int = 1, precision: str = "fp32") -> DeviceEstimator:
        """A loaded estimator that preprocesses on the device and runs the network with ``engine``."""
        fields = {"name": self.model.name, "weights": self.weights, "max_batch": batch, "layout": "throughput"}
        settings = ModelSettings.model_validate({**fields, "engine": engine, "precision": precision})
        half: Precision = "fp16" if precision == "fp16" else "fp32"
        choice = Choice(engine, 1, 1, "benchmark", half)
        return DeviceEstimator(settings, self._opener, self.device, choice).load([self.camera])

    def frames(self, cameras: int) -> list[Frame]:
        """One frame of noise for each camera."""
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (*self.camera, 3), np.uint8) for _ in range(cameras)]
        return [Frame(image, f"camera{n}", 0, Stamp.now()) for n, image in enumerate(images)]

    def _opener(self, model: DepthModel, settings: ModelSettings, choice: Choice) -> Engine:
        return GpuEngines(model, settings, choice, self.device).open()


def rates(steps: Mapping[str, Step], rounds: int, seconds: float, device: str) -> dict[str, list[float]]:
    """Images per second of each step in each round. Steps alternate, so that a ratio compares neighbours in time."""
    found: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            found[name].append(rate(step, seconds, device))
    return found


def rate(step: Step, seconds: float, device: str) -> float:
    """Images per second of one step; the device is idle before, and has done all work at the end."""
    idle(device)
    start, images = perf_counter(), 0
    while perf_counter() - start < seconds:
        images += step()
    idle(device)
    return images / (perf_counter() - start)


def idle(device: str) -> None:
    """Wait until the device has finished all work."""
    if device == "cuda":
        torch.cuda.synchronize()


def ratio(rounds: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """The median over the rounds of the ratio of two steps."""
    return median(a / b for a, b in zip(rounds[one], rounds[other], strict=True))


def over_device(estimator: DeviceEstimator, frames: Sequence[Frame]) -> Step:
    """All processing on the device as a pipeline with layout "throughput" does it: ``IN_FLIGHT`` batches overlap."""
    waiting: deque[Ticket] = deque()

    def step() -> int:
        for batch in estimator.batches(frames):
            waiting.append(estimator.submit(batch))
        done = 0
        while len(waiting) >= IN_FLIGHT:
            done += len(estimator.collect(waiting.popleft()))
        return done

    return step


def official(estimator: DeviceEstimator, frame: Frame) -> Step:
    """Processing as in the networks' own code: float64 preprocessing and OpenCV resizing on the CPU, batch 1."""
    import cv2

    engine, spec, device = estimator._engine(), estimator.spec, torch.device(estimator._device)

    def step() -> int:
        pixels = torch.from_numpy(official_input(frame.image, spec)).to(device)
        raw: Floats = engine.infer(pixels=pixels)["depth"][0].cpu().numpy()
        cv2.resize(raw, (frame.size.width, frame.size.height), interpolation=cv2.INTER_CUBIC)
        return 1

    return step


def official_input(image: Image, spec: InputSpec) -> Floats:
    """(1, 3, h, w) float32: scaled, resized and normalised in float64, as MiDaS's and Depth Anything's code does."""
    import cv2

    size = network_size(Size(*image.shape[:2]), spec)
    normalised: Any = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) / 255.0
    normalised = cv2.resize(normalised, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    normalised = (normalised - np.array(spec.mean)) / np.array(spec.std)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None], np.float32)


def engine_only(estimator: DeviceEstimator, count: int, camera: Size) -> Step:
    """The network alone, on an input that is on the device already."""
    size = estimator.network_size(camera)
    noise = torch.randn(count, 3, *size).to(torch.device(estimator._device))
    pixels = noise.contiguous(memory_format=torch.channels_last)
    engine = estimator._engine()

    def step() -> int:
        engine.infer(pixels=pixels)
        return count

    return step


def host_ms(step: Step, seconds: float) -> float:
    """CPU time of this thread per image, in milliseconds; waiting does not count."""
    for _ in range(WARM_UP):
        step()
    begun, end, images = thread_time(), monotonic() + seconds, 0
    while monotonic() < end:
        images += step()
    return 1e3 * (thread_time() - begun) / images


def around_the_network(rig: Rig, spec: InputSpec) -> Step:
    """Everything but the network for one image: copy in, preprocess, resize back, colour, copy depth and colour out."""
    device, (frame,) = torch.device(rig.device), rig.frames(1)
    host = host_memory((1, *frame.image.shape), torch.uint8, device)
    depth = torch.rand(1, *network_size(rig.camera, spec), device=device)
    colours = lut_on("inferno", device)

    def step() -> int:
        with torch.inference_mode():
            fill(host, [frame.image])
            to_network(host.to(device, non_blocking=True), spec)
            at_camera = to_camera(depth, rig.camera, spec)
            for output in (at_camera, paint(at_camera, 0.0, 1.0, colours)):
                host_memory(output.shape, output.dtype, device).copy_(output, non_blocking=True)
            idle(rig.device)
        return 1

    return step
