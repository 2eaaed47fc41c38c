"""Depth on the CPU: OpenCV preprocessing, a TorchScript engine, and the resize back."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns

from stream.core.machine import probe
from stream.engines.select import Choice, select
from stream.frames import Batch, DepthMap, Floats, Frame, check_image
from stream.inference.cpu_engine import open_on_cpu
from stream.inference.engine_estimator import EngineEstimator, EngineOpener
from stream.models.catalog import find
from stream.preprocess.cpu import to_camera, to_network
from stream.settings import ModelSettings


class CpuEstimator(EngineEstimator):
    """An estimator whose arrays never leave the host's memory."""

    def __init__(
        self, settings: ModelSettings, open_engine: EngineOpener = open_on_cpu, choice: Choice | None = None
    ) -> None:
        """``choice`` defaults to TorchScript with as many threads as suit this machine.

        Raises UnknownModel and SettingsError.
        """
        super().__init__(settings, open_engine, choice or _torchscript_here(settings))

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        for frame in frames:
            check_image(frame.image)
        return Batch(to_network([frame.image for frame in frames], self.spec), tuple(frames), self)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        start_ns = monotonic_ns()
        outputs = dict(self._engine().infer(pixels=batch.pixels))
        depth = outputs.pop("depth")
        maps = []
        for number, frame in enumerate(batch.frames):
            scalars = {name: float(values[number]) for name, values in outputs.items()}
            output = to_camera(depth[number], frame.size, self.spec)
            maps.append(self._depth_map(self.decode(output, frame, scalars), frame))
        with self._lock:
            self._busy.add(monotonic_ns() - start_ns)
        return maps

    def infer_raw(self, batch: Batch) -> Floats:
        raw: Floats = self._engine().infer(pixels=batch.pixels)["depth"]
        return raw


def _torchscript_here(settings: ModelSettings) -> Choice:
    """How TorchScript runs this network on this machine, whatever engine the settings name."""
    on_cpu = settings.model_copy(update={"engine": "torchscript"})
    return select(probe(), on_cpu, find(settings.name).parameters)
