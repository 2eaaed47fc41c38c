"""Objects: segment the boxes of each image, and measure the masks in its depth map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from stream.detections.clipping import ClippedBoxes, clip_boxes
from stream.detections.detectors import Detector
from stream.detections.rejections import Rejections
from stream.detections.settings import ObjectFinderSettings
from stream.frames import DepthMap, Dropped, Image, View
from stream.objects import Box, Mask, Objects, Ruler
from stream.publisher.publisher import Publisher
from stream.render.overlays import draw_objects
from stream.render.panels import side_by_side, stamp_text
from stream.runtime.worker import Body, ReleasingBody, greedy_batches, release_all
from stream.sinks.objects_json import facts_of


class SegmentedBox(Protocol):
    """The segmenter's result for one box."""

    @property
    def mask(self) -> Mask:
        """(H, W) bool, the image's size."""

    @property
    def score(self) -> float:
        """Expected overlap with the true mask (IoU), 0..1."""


class BoxSegmenter(Protocol):
    """The part of ``stream.segmentation.segmenter.Segmenter`` that this stage needs; open it by ``with``."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc_info: Any) -> None: ...

    def describe(self) -> str:
        """Network, weights and engine in one line."""

    def encode(self, images: Sequence[Image]) -> Any:
        """Embeddings of images, each (H, W, 3) uint8 BGR."""

    def decode(self, encoded: Any, boxes: Sequence[Sequence[Box]]) -> Sequence[Sequence[SegmentedBox]]:
        """One result per box, by image."""


class ObjectFinder:
    """Finds and measures objects; encodes all waiting images together, each once, and decodes all their boxes together.

    An image without a box costs nothing. ``resources`` are entered together with the segmenter; they are what the
    detector needs open.
    """

    def __init__(
        self,
        segmenter: BoxSegmenter,
        detect: Detector,
        settings: ObjectFinderSettings,
        resources: Sequence[AbstractContextManager[Any]] = (),
        rejections: Rejections | None = None,
    ) -> None:
        self._segmenter, self._detect, self._settings, self._resources = segmenter, detect, settings, resources
        self._rejections = rejections or Rejections()
        self._images = self._objects = 0
        self._final_description: str | None = None

    def body(self) -> Body:
        """The stage: takes depth maps and yields ``Objects`` in their order."""

        def body(maps: Iterable[DepthMap]) -> Iterator[Objects]:
            with ExitStack() as stack:
                for resource in (self._segmenter, *self._resources):
                    stack.enter_context(resource)
                stack.callback(self._keep_description)  # runs first, while the segmenter is still open
                for waiting in greedy_batches(maps, self._settings.max_batch, self._settings.grace_ms / 1e3):
                    yield from self(waiting)

        return body

    def __call__(self, maps: Sequence[DepthMap]) -> list[Objects]:
        """The objects of each image."""
        clipped = [self._boxes(depth_map) for depth_map in maps]
        with_boxes = [number for number, (boxes, _) in enumerate(clipped) if boxes]
        masks: dict[int, Sequence[SegmentedBox]] = {}
        if with_boxes:
            encoded = self._segmenter.encode([maps[number].frame.image for number in with_boxes])
            decoded = self._segmenter.decode(encoded, [clipped[number].boxes for number in with_boxes])
            masks = dict(zip(with_boxes, decoded, strict=True))
        return [_measure(maps[i], clipped[i], masks.get(i, ())) for i in range(len(maps))]

    def describe(self) -> str:
        """The segmenter in one line; after the stage has closed it, as it was described while open."""
        return self._final_description or self._segmenter.describe()

    def statistics(self) -> Mapping[str, float]:
        """For a pipeline's table: images with a box, objects, and rejected boxes and messages by reason."""
        left_out = {f"left out: {reason}": count for reason, count in self._rejections.counts().items()}
        return {"images with boxes": self._images, "objects": self._objects, **left_out}

    def _keep_description(self) -> None:
        self._final_description = self._segmenter.describe()

    def _boxes(self, depth_map: DepthMap) -> ClippedBoxes:
        frame = depth_map.frame
        clipped = clip_boxes(self._detect(frame), frame.size, self._settings.max_boxes)
        self._images += bool(clipped.boxes)
        self._objects += len(clipped.boxes)
        for reason, count in clipped.dropped.items():
            example = f"{frame.camera}: {count} boxes of one image ({frame.size} px) are left out: {reason}"
            self._rejections.add(reason, example, count)
        return clipped


def broadcast_objects(publisher: Publisher, segmenter: Mapping[str, Any], *, masks: bool = True) -> Body:
    """Send objects, and previews of them to subscribers; drop old ones as "too old".

    ``segmenter`` is added to every message: the name of the segmenter and its weights.
    """

    def body(items: Iterable[Objects]) -> Iterator[Objects | Dropped]:
        with publisher:
            for objects in items:
                depth_map = objects.depth_map
                # A function, so that masks are coded only if the topic has a reader.
                if not publisher.send_objects(depth_map, partial(_document, objects, segmenter, masks)):
                    yield Dropped(objects.frames, "too old")
                    continue
                if publisher.wants_preview(depth_map.frame.camera, "objects"):
                    publisher.send_preview(overlay(objects, segmenter), depth_map, "objects")
                yield objects

    return body


def compose_objects(paint: Callable[[DepthMap], View], segmenter: Mapping[str, Any]) -> Body:
    """Make views for people: the image with its objects, next to its depth painted by ``paint`` (a ``Painter``)."""

    def body(items: Iterable[Objects]) -> Iterator[View]:
        for objects in items:
            view = paint(objects.depth_map)
            panels = [
                (objects.depth_map.frame.camera, overlay(objects, segmenter)),
                (f"depth ({objects.depth_map.model})", view.image),
            ]
            yield replace(view, image=side_by_side(panels))

    return ReleasingBody(body, partial(release_all, (paint,)))


def overlay(objects: Objects, segmenter: Mapping[str, Any]) -> Image:
    """The camera's image (H, W, 3) uint8 BGR with its objects drawn in; random weights are marked by burnt-in words."""
    image = draw_objects(objects)
    random = "random" in (objects.depth_map.weights, segmenter.get("segmenter_weights"))
    return stamp_text(image, "RANDOM WEIGHTS") if random else image


def _document(objects: Objects, segmenter: Mapping[str, Any], masks: bool) -> dict[str, Any]:
    return {**facts_of(objects, masks), **segmenter}


def _measure(depth_map: DepthMap, clipped: ClippedBoxes, segmented: Sequence[SegmentedBox]) -> Objects:
    ruler = Ruler(depth_map)
    objects = tuple(
        ruler.measure(box, result.mask, float(result.score))
        for box, result in zip(clipped.boxes, segmented, strict=True)
    )
    return Objects(depth_map, objects, Counter(clipped.dropped))
