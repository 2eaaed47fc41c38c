"""What the CPU's and the device's estimator share: one network on one lazily opened engine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TypeAlias

from stream.engines.select import Choice
from stream.engines.wrappers import LazyEngine
from stream.frames import Batch, DepthMap, Floats, Frame, OnDevice, Size
from stream.inference.adaptation import adapted
from stream.inference.estimator import Estimator
from stream.models.base import DepthModel, ImageContext
from stream.models.catalog import find
from stream.models.loading import with_weights_note
from stream.preprocess.geometry import network_size, placement
from stream.runtime.meters import Durations
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.base import Engine

log = logging.getLogger(__name__)

EngineOpener: TypeAlias = "Callable[[DepthModel, ModelSettings, Choice], Engine]"


class EngineEstimator(Estimator):
    """One network on one engine, without the way of images to it and of depth back."""

    def __init__(self, settings: ModelSettings, open_engine: EngineOpener, choice: Choice) -> None:
        """``open_engine`` runs the network; ``choice`` says how and why. Raises UnknownModel and SettingsError."""
        self.settings = self._engine_settings = settings
        self.model = find(settings.name)
        self.spec = adapted(self.model.spec, settings)
        self._open_engine, self._choice = open_engine, choice
        self._engine = LazyEngine(self._opened_engine)
        self._lock, self._busy = threading.Lock(), Durations()
        self._guessing: set[str] = set()

    @property
    def lanes(self) -> int:
        return self._choice.lanes

    def load(self, expect: Sequence[Size] = ()) -> Self:
        engine = self._engine()
        for size in expect:
            engine.prepare(self.network_size(size))
        return self

    def close(self) -> None:
        self._engine.close()

    def shrink(self, max_batch: int) -> None:
        self.close()
        self._engine_settings = self.settings.model_copy(update={"max_batch": max_batch})

    def describe(self) -> str:
        engine = self._engine.resource  # calling it would load the network, only to describe it
        words = engine.describe() if engine else f"{self.model.name}, not loaded yet"
        return with_weights_note(words, self.settings.weights)

    def statistics(self) -> Mapping[str, float]:
        summary = self._busy.summary()
        return {"at a time": self.lanes, "p50 ms": 1e3 * summary.p50_s, "p95 ms": 1e3 * summary.p95_s}

    def network_size(self, image: Size) -> Size:
        return network_size(image, self.spec)

    def batches(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        for together in self.grouped(frames):
            yield self.prepare(together)

    def image_context(self, frame: Frame, scalars: Mapping[str, float] | None = None) -> ImageContext:
        return ImageContext(frame.size, placement(frame.size, self.spec).scale, frame.intrinsics, scalars or {})

    def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
        # decoded last: a cubic resize may overshoot what the network itself never leaves (inverse depth below zero)
        return self.model.decode(output, self.image_context(frame, scalars))

    def _depth_map(self, depth: Floats, frame: Frame, on_device: OnDevice | None = None) -> DepthMap:
        model = self.model
        guessed = model.scale_from == "training" or (model.scale_from == "intrinsics" and frame.intrinsics is None)
        if guessed and frame.camera not in self._guessing:
            self._guessing.add(frame.camera)
            log.warning("%s", _why_guessed(model, frame.camera))
        source = (model.kind, frame, model.name, self.settings.weights)
        return DepthMap(depth, *source, scale_guessed=guessed, on_device=on_device)

    def _opened_engine(self) -> Engine:
        engine = self._open_engine(self.model, self._engine_settings, self._choice)
        log.info("%s", with_weights_note(engine.describe(), self.settings.weights))
        return engine


def _why_guessed(model: DepthModel, camera: str) -> str:
    if model.scale_from == "training":
        return f"{camera}: {model.name} assumes one of the cameras it was trained with: its metres are a guess"
    return (
        f"{camera}: the metres of {model.name} are a guess without the camera's focal length: give it in "
        "[cameras.intrinsics], by --fov, or in Python by model(image, intrinsics)"
    )
