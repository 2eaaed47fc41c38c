"""One depth network on one engine: pictures in, depth maps out.

    model = open_model("tiny")
    depth = model(cv2.imread("street.jpg"))
    print(depth.kind, depth.unit, depth.depth.shape)
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from stream.clock import Stamp
from stream.errors import PictureError, SettingsError
from stream.frames import Batch, DepthMap, Frame, Image
from stream.input_spec import InputSpec
from stream.models.catalog import find
from stream.settings import ModelSettings

if TYPE_CHECKING:
    from stream.engines.base import Engine

log = logging.getLogger(__name__)

MIN_SIDE_PX = 8
MAX_SIDE_PX = 16384
"""The wire's and most codecs' limit."""


def open_model(
    name: str = "tiny", *, weights: Literal["trained", "random"] = "trained", threads: int | None = None
) -> Estimator:
    """A loaded network, ready to be called with pictures.

    Raises UnknownModel for a name that does not exist and WeightsError when its weights are not here or are damaged.
    """
    return Estimator(ModelSettings(name=name, weights=weights, threads=threads)).load()


class Estimator:
    """Knows the network from the start and loads it on ``load`` or first use, from whichever thread comes first.

    Raises UnknownModel and SettingsError when made, WeightsError and EngineError when loaded. Calls must not overlap.
    """

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.model = find(settings.name)
        self.spec = _adapted(self.model.spec, settings)
        self._engine: Engine | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def load(self) -> Self:
        """Load the weights and make the engine ready; does nothing the second time."""
        self._ready()
        return self

    def close(self) -> None:
        """Let go of the engine's memory; the next use loads it again."""
        with self._lock:
            if self._engine is not None:
                self._engine.close()
            self._engine = None

    def describe(self) -> str:
        """Network, weights and engine in one line."""
        weights = " with RANDOM weights" if self.settings.weights == "random" else ""
        return f"{self.model.name}{weights} on {self._engine.describe() if self._engine else 'no engine yet'}"

    def __call__(self, image: Image) -> DepthMap:
        """Depth of one picture, (H, W, 3) uint8 BGR. Raises PictureError for anything else."""
        return self.estimate(self.prepare([Frame(image, "image", 0, Stamp.now())]))[0]

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Network input for frames that share one network size. Raises PictureError for a picture no network takes."""
        from stream.preprocess.cpu import to_network

        for frame in frames:
            check_picture(frame.image)
        return Batch(to_network([frame.image for frame in frames], self.spec), tuple(frames))

    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Run the network: one depth map a frame, at the frame's own size."""
        from stream.preprocess.cpu import to_camera

        raw = self._ready().infer(pixels=batch.pixels)["depth"]
        maps = zip(self.model.decode(raw), batch.frames, strict=True)
        return [self._depth_map(to_camera(depth, frame.size, self.spec), frame) for depth, frame in maps]

    def _depth_map(self, depth: Any, frame: Frame) -> DepthMap:
        return DepthMap(depth, self.model.kind, frame, self.model.name, self.settings.weights)

    def _ready(self) -> Engine:
        with self._lock:
            if self._engine is None:
                from stream.engines.choose import open_engine

                self._engine = open_engine(self.model, self.settings)
                log.info("%s", self.describe())
            return self._engine


def check_picture(image: Image) -> None:
    """Raise PictureError unless ``image`` is (H, W, 3) uint8 with sides of 8 to 16384 pixels."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise PictureError(f"a picture must be a uint8 array (H, W, 3) in BGR order, got {got}")
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE_PX:
        raise PictureError(f"the picture is {width}x{height}: give one with sides of at least {MIN_SIDE_PX} pixels")
    if max(height, width) > MAX_SIDE_PX:
        raise PictureError(f"the picture is {width}x{height}: scale it down to at most {MAX_SIDE_PX} pixels a side")


def _adapted(spec: InputSpec, settings: ModelSettings) -> InputSpec:
    side = settings.side or spec.side
    if side % spec.multiple:
        raise SettingsError(f"[model] side = {side}: {settings.name} needs a multiple of {spec.multiple}")
    return replace(spec, side=side, keep_aspect=settings.keep_aspect)
