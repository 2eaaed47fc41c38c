"""One depth network on one engine: images in, depth maps out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from stream.core.clock import Stamp
from stream.core.machine import probe
from stream.engines.cpu_setup import keep_freed_memory, wait_without_spinning
from stream.engines.select import Choice, select
from stream.errors import SettingsError
from stream.frames import Batch, DepthMap, Floats, Frame, Image, Intrinsics, OnDevice, Size, check_image
from stream.models.base import DepthModel, Shot
from stream.models.cache import trace_folder
from stream.models.catalog import find
from stream.models.networks import build, code_version, outputs_of
from stream.models.spec import InputSpec
from stream.models.weights import load_into, load_state, locate, random_state, sha256_of
from stream.preprocess.cpu import to_camera, to_network
from stream.preprocess.geometry import network_size, placement
from stream.runtime.stats import Durations
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from torch import nn

    from stream.engines.base import Engine

log = logging.getLogger(__name__)

EngineOpener: TypeAlias = "Callable[[DepthModel, ModelSettings, Choice], Engine]"


class Estimator:
    """The CPU's way from images to depth (``open_estimator`` says which way is this machine's).

    Knows the network from the start and loads it on ``load`` or first use, from whichever thread comes first.
    Raises UnknownModel and SettingsError when made, WeightsError and EngineError when loaded. ``prepare`` and
    ``estimate`` may be called by several threads at once.
    """

    def __init__(
        self, settings: ModelSettings, open_engine: EngineOpener | None = None, choice: Choice | None = None
    ) -> None:
        """``open_engine``: another way to run the network than TorchScript; ``choice``: what was chosen, and why."""
        self.settings = self._engine_settings = settings
        self._open_engine = open_engine or _open_engine
        self.model = find(settings.name)
        self.spec = _adapted(self.model.spec, settings)
        on_cpu = settings.model_copy(update={"engine": "torchscript"})
        self._choice = choice or select(probe(), on_cpu, self.model.parameters)
        self._engine: Engine | None = None
        self._lock, self._busy = threading.Lock(), Durations()
        self._guessing: set[str] = set()

    @property
    def lanes(self) -> int:
        """How many calls of ``estimate`` may overlap and gain by it: more than one in the layout for throughput."""
        return self._choice.lanes

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def load(self, expect: Sequence[Size] = ()) -> Self:
        """Load the weights and make the engine ready, also for images of the sizes ``expect``."""
        engine = self._ready()
        for size in expect:
            engine.prepare(self.network_size(size))
        return self

    def close(self) -> None:
        """Let go of the engine's memory; the next use loads it again."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine = None

    def shrink(self, max_batch: int) -> None:
        """Give the engine no more images at once from now on: it is closed, and opened anew on the next use."""
        self.close()
        self._engine_settings = self.settings.model_copy(update={"max_batch": max_batch})

    def describe(self) -> str:
        """Network, engine and weights in one line."""
        engine = self._engine
        what = engine.describe() if engine else f"{self.model.name}, not loaded yet"
        return f"{what}; RANDOM WEIGHTS: speed only" if self.settings.weights == "random" else what

    def network_size(self, image: Size) -> Size:
        """The size at which the network sees such an image."""
        return network_size(image, self.spec)

    def __call__(self, image: Image, intrinsics: Intrinsics | None = None) -> DepthMap:
        """Depth of one image, (H, W, 3) uint8 BGR. Raises ImageError for anything else.

        ``intrinsics``: of the camera, at any size; without them the metres of networks that need them are a guess
        (``DepthMap.scale_guessed``).
        """
        check_image(image)
        scaled = intrinsics and intrinsics.scaled_to(Size(*image.shape[:2]))
        (batch,) = self.batches([Frame(image, "image", 0, Stamp.now(), scaled)])
        return self.estimate(batch)[0]

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Network input for frames that share one network size. Raises ImageError for an image no network takes."""
        for frame in frames:
            check_image(frame.image)
        return Batch(to_network([frame.image for frame in frames], self.spec), tuple(frames), self)

    def batches(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        """Network input for any frames: those of one network size together; each is made when it is asked for."""
        for together in self.grouped(frames):
            yield self.prepare(together)

    def grouped(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        """Frames of one network size together, in their order."""
        by_size: dict[Size, list[Frame]] = {}
        for frame in frames:
            by_size.setdefault(self.network_size(frame.size), []).append(frame)
        return list(by_size.values())

    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Run the network: one depth map a frame, at the frame's own size."""
        start = monotonic_ns()
        outputs = dict(self._ready().infer(pixels=batch.pixels))
        depth = outputs.pop("depth")
        maps = []
        for number, frame in enumerate(batch.frames):
            scalars = {name: float(values[number]) for name, values in outputs.items()}
            output = to_camera(depth[number], frame.size, self.spec)
            maps.append(self._depth_map(self.decode(output, frame, scalars), frame))
        with self._lock:
            self._busy.add(monotonic_ns() - start)
        return maps

    def statistics(self) -> Mapping[str, float]:
        """For a pipeline's table: how long one ``estimate`` takes, and how many run at a time."""
        spread = self._busy.spread()
        return {"at a time": self.lanes, "p50 ms": 1e3 * spread.p50_s, "p95 ms": 1e3 * spread.p95_s}

    def infer_raw(self, batch: Batch) -> Floats:
        """The network's own output, (N, h, w) float32; valid until the next call."""
        raw: Floats = self._ready().infer(pixels=batch.pixels)["depth"]
        return raw

    def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
        """Depth (H, W) of ``frame`` from the network's ``output`` at the frame's size."""
        # decoded last: a cubic resize may overshoot what the network itself never leaves (inverse depth below zero)
        return self.model.decode(output, self.shot(frame, scalars))

    def shot(self, frame: Frame, scalars: Mapping[str, float] | None = None) -> Shot:
        """What decoding may know of ``frame``."""
        return Shot(frame.size, placement(frame.size, self.spec).scale, frame.intrinsics, scalars or {})

    def _depth_map(self, depth: Floats, frame: Frame, on_device: OnDevice | None = None) -> DepthMap:
        model = self.model
        guessed = model.scale_from == "training" or (model.scale_from == "intrinsics" and frame.intrinsics is None)
        if guessed and frame.camera not in self._guessing:
            self._guessing.add(frame.camera)
            log.warning("%s", _why_guessed(model, frame.camera))
        of = (model.kind, frame, model.name, self.settings.weights)
        return DepthMap(depth, *of, scale_guessed=guessed, on_device=on_device)

    def _ready(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._open_engine(self.model, self._engine_settings, self._choice)
                log.info("%s", self.describe())
            return self._engine


def _why_guessed(model: DepthModel, camera: str) -> str:
    if model.scale_from == "training":
        return f"{camera}: {model.name} tells metres as if this were one of the cameras it was trained with: a guess"
    return (
        f"{camera}: the metres of {model.name} are a guess without the camera's focal length: say it in "
        "[cameras.intrinsics], by --fov, or in Python by model(image, intrinsics)"
    )


def _open_engine(model: DepthModel, settings: ModelSettings, choice: Choice) -> Engine:
    """The engine chosen for this machine, with the model's weights behind it; torch is loaded here."""
    log.info("%s", choice.reason)
    if settings.weights == "random":
        log.warning("%s runs with random weights: its depth means nothing, only its speed does", model.name)
    key = "random" if settings.weights == "random" else sha256_of(locate(model))

    wait_without_spinning()
    keep_freed_memory()
    opened = partial(_torchscript, model, settings, choice, key)
    if choice.precision != "bf16" or settings.weights == "random":  # nothing can be judged by what means nothing
        return opened("bf16" if choice.precision == "bf16" else "fp32")
    from stream.engines.gate.candidates import gated

    verdict = trace_folder() / f"{model.name}-bf16-{choice.threads}.verdict.json"
    made_from = {"weights": key, "code": code_version(model.name)}
    spec = _adapted(model.spec, settings)
    return gated(lambda: opened("fp32"), lambda: opened("bf16"), spec, "bf16", verdict, made_from=made_from)


def _torchscript(
    model: DepthModel, settings: ModelSettings, choice: Choice, key: str, dtype: Literal["fp32", "bf16"]
) -> Engine:
    from stream.engines.torchscript import TorchScriptEngine

    return TorchScriptEngine(
        model.name,
        lambda: network_of(model, settings),
        weights_key=key,
        code_version=code_version(model.name),
        cache=trace_folder(),
        threads=choice.threads,
        max_batch=settings.max_batch,
        dtype=dtype,
        outputs=outputs_of(model.name),
    )


def network_of(model: DepthModel, settings: ModelSettings) -> nn.Module:
    network = build(model.name)
    load_into(network, random_state(model) if settings.weights == "random" else load_state(model))
    return network


def _adapted(spec: InputSpec, settings: ModelSettings) -> InputSpec:
    """``spec`` with what the settings change of it. Raises SettingsError for what this network cannot do."""
    side = settings.side or spec.side
    if side != spec.side and spec.fixed:
        raise SettingsError(f"[model] side = {side}: {settings.name} takes {spec.side} only; leave it out")
    if side % spec.multiple:
        raise SettingsError(f"[model] side = {side}: {settings.name} needs a multiple of {spec.multiple}")
    if spec.canvas is not None:
        if not settings.keep_aspect:
            raise SettingsError(f"[model] keep_aspect = false: {settings.name} always keeps it; leave it out")
        return replace(spec, side=side, canvas=replace(spec.canvas, size=_shrunk(spec, side)))
    return replace(spec, side=side, keep_aspect=settings.keep_aspect and spec.keep_aspect)


def _shrunk(spec: InputSpec, side: int) -> Size:
    """The canvas with its longer side, which is ``spec.side``, changed to ``side``."""
    assert spec.canvas is not None
    steps = side / spec.side / spec.multiple
    height, width = (max(1, round(length * steps)) * spec.multiple for length in spec.canvas.size)
    return Size(height, width)
