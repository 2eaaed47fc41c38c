"""The interface from images to depth maps, whatever runs the network behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from stream.core.clock import Stamp
from stream.frames import Batch, DepthMap, Floats, Frame, Image, Intrinsics, Size, check_image
from stream.models.base import DepthModel, ImageContext
from stream.models.spec import InputSpec
from stream.settings import ModelSettings


class Estimator(ABC):
    """Images in, depth maps out. ``open_model`` returns one that is right for this machine.

        model = open_model("tiny")
        depth_map = model(cv2.imread("street.jpg"))  # (H, W, 3) uint8 BGR
        depth_map.depth, depth_map.kind, depth_map.unit

    An estimator knows its network from the start and loads it on ``load`` or on first use, from whichever thread comes
    first. ``prepare`` and ``estimate`` may be called by several threads at once. Loading raises WeightsError and
    EngineError; running raises EngineError.

    Implementations: ``CpuEstimator``, ``DeviceEstimator`` (one GPU), ``FallbackEstimator`` (two estimators, the second
    takes over).
    """

    settings: ModelSettings
    model: DepthModel
    """The network that was asked for. Depth maps name the one that made them."""
    spec: InputSpec
    """The network's input rule with the settings applied."""

    @property
    @abstractmethod
    def lanes(self) -> int:
        """How many overlapping calls of ``estimate`` raise the throughput; 1 in the layout for latency."""

    @abstractmethod
    def load(self, expect: Sequence[Size] = ()) -> Self:
        """Load the weights and prepare the engine, also for camera images of the sizes ``expect``."""

    @abstractmethod
    def close(self) -> None:
        """Free the engine's memory; the next use loads it again."""

    @abstractmethod
    def shrink(self, max_batch: int) -> None:
        """Reopen the engine, on its next use, for at most ``max_batch`` images at once."""

    @abstractmethod
    def describe(self) -> str:
        """Network, engine and weights in one line."""

    @abstractmethod
    def statistics(self) -> Mapping[str, float]:
        """Numbers for a pipeline's table: duration of ``estimate`` (p50, p95, milliseconds) and lanes."""

    @abstractmethod
    def network_size(self, image: Size) -> Size:
        """The network input's size for a camera image of size ``image``."""

    @abstractmethod
    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Preprocess frames that share one network size. Raises ImageError for an image that no network takes."""

    @abstractmethod
    def batches(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        """Preprocess any frames: those of one network size together, each batch when the iterator reaches it."""

    @abstractmethod
    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Run the network: one depth map for each frame, (H, W) float32 at the frame's own size."""

    @abstractmethod
    def infer_raw(self, batch: Batch) -> Floats:
        """Run the network and return its own output, (N, h, w) float32, valid until the next call."""

    @abstractmethod
    def image_context(self, frame: Frame, scalars: Mapping[str, float] | None = None) -> ImageContext:
        """What decoding may use of ``frame``: size, scale, intrinsics, and the network's other outputs ``scalars``."""

    @abstractmethod
    def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
        """Depth (H, W) float32 from the network's ``output``, already resized to the frame's size."""

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __call__(self, image: Image, intrinsics: Intrinsics | None = None) -> DepthMap:
        """Estimate the depth of one image, (H, W, 3) uint8 BGR. Raises ImageError for anything else.

        ``intrinsics`` are the camera's, at any image size. Without them the metres of networks that need them are a
        guess (``DepthMap.scale_guessed``).
        """
        check_image(image)
        scaled = intrinsics and intrinsics.scaled_to(Size(*image.shape[:2]))
        (batch,) = self.batches([Frame(image, "image", 0, Stamp.now(), scaled)])
        return self.estimate(batch)[0]

    def grouped(self, frames: Sequence[Frame]) -> list[list[Frame]]:
        """Group frames by network size, in the order in which the sizes first appear."""
        by_size: dict[Size, list[Frame]] = {}
        for frame in frames:
            by_size.setdefault(self.network_size(frame.size), []).append(frame)
        return list(by_size.values())
