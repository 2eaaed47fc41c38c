"""Objects: boxes in images become masks, and masks on depth become distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from stream.detections.clipping import Fitted, fit
from stream.detections.detectors import Detector
from stream.detections.rejections import Refusals
from stream.detections.settings import FindSettings
from stream.frames import DepthMap, Dropped, Image, View
from stream.objects import Box, Mask, Objects, Ruler
from stream.publisher.publisher import Publisher
from stream.render.overlays import draw_objects
from stream.render.panels import side_by_side, stamp_text
from stream.runtime.worker import Body, greedy
from stream.sinks.objects_json import facts_of


class Segmented(Protocol):
    """One box's answer."""

    @property
    def mask(self) -> Mask:
        """(H, W), the image's size."""

    @property
    def score(self) -> float: ...


class Boxes2Masks(Protocol):
    """The part of ``stream.segmentation.segmenter.Segmenter`` that is needed here; open it by ``with``."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *exc_info: Any) -> None: ...

    def describe(self) -> str:
        """In one line."""

    def encode(self, images: Sequence[Image]) -> Any: ...

    def decode(self, encoded: Any, boxes: Sequence[Sequence[Box]]) -> Sequence[Sequence[Segmented]]: ...


class ObjectFinder:
    """All images that wait are encoded together, each once, and all of their boxes decoded together.

    An image without a box costs nothing. ``opened`` is entered with the segmenter: what the detector needs.
    """

    def __init__(
        self,
        segmenter: Boxes2Masks,
        detect: Detector,
        settings: FindSettings,
        opened: Sequence[AbstractContextManager[Any]] = (),
        refusals: Refusals | None = None,
    ) -> None:
        self._segmenter, self._detect, self._settings, self._opened = segmenter, detect, settings, opened
        self._refusals = refusals or Refusals()
        self._images = self._objects = 0
        self._worked_as: str | None = None

    def describe(self) -> str:
        """What makes the masks; once the stage has closed it, what did."""
        return self._worked_as or self._segmenter.describe()

    def body(self) -> Body:
        """The stage: depth maps in, ``Objects`` out, in their order."""

        def body(maps: Iterable[DepthMap]) -> Iterator[Objects]:
            with ExitStack() as stack:
                for resource in (self._segmenter, *self._opened):
                    stack.enter_context(resource)
                stack.callback(self._keep_description)  # runs first, while all is still open
                for waiting in greedy(maps, self._settings.max_batch, self._settings.grace_ms / 1e3):
                    yield from self(waiting)

        return body

    def _keep_description(self) -> None:
        self._worked_as = self._segmenter.describe()

    def __call__(self, maps: Sequence[DepthMap]) -> list[Objects]:
        """The objects of each image."""
        fitted = [self._boxes(depth_map) for depth_map in maps]
        busy = [number for number, (boxes, _) in enumerate(fitted) if boxes]
        masks: dict[int, Sequence[Segmented]] = {}
        if busy:
            encoded = self._segmenter.encode([maps[number].frame.image for number in busy])
            found = self._segmenter.decode(encoded, [fitted[number].boxes for number in busy])
            masks = dict(zip(busy, found, strict=True))
        return [_measured(maps[i], fitted[i], masks.get(i, ())) for i in range(len(maps))]

    def statistics(self) -> Mapping[str, float]:
        """For a pipeline's table: images with a box, objects, and what was refused or left out, by reason."""
        left_out = {f"left out: {reason}": count for reason, count in self._refusals.counts().items()}
        return {"images with boxes": self._images, "objects": self._objects, **left_out}

    def _boxes(self, depth_map: DepthMap) -> Fitted:
        frame = depth_map.frame
        fitted = fit(self._detect(frame), frame.size, self._settings.max_boxes)
        self._images += bool(fitted.boxes)
        self._objects += len(fitted.boxes)
        for reason, count in fitted.dropped.items():
            example = f"{frame.camera}: {count} boxes of one image ({frame.size} px) are left out: {reason}"
            self._refusals.add(reason, example, count)
        return fitted


def broadcast_objects(publisher: Publisher, segmenter: Mapping[str, Any], *, masks: bool = True) -> Body:
    """Objects and images of them for those who asked; what is too old is dropped as "too old".

    ``segmenter`` is told to readers with every message: its name and its weights.
    """

    def body(items: Iterable[Objects]) -> Iterator[Objects | Dropped]:
        with publisher:
            for seen in items:
                depth_map = seen.depth_map
                if not publisher.send_objects(depth_map, partial(_told, seen, segmenter, masks)):
                    yield Dropped(seen.frames, "too old")
                    continue
                if publisher.wants_preview(depth_map.frame.camera, "objects"):
                    publisher.send_preview(overlay(seen, segmenter), depth_map, "objects")
                yield seen

    return body


def _told(seen: Objects, segmenter: Mapping[str, Any], masks: bool) -> dict[str, Any]:
    return {**facts_of(seen, masks), **segmenter}


def overlay(seen: Objects, segmenter: Mapping[str, Any]) -> Image:
    """The camera's image with its objects drawn in; random weights are burnt into it."""
    image = draw_objects(seen)
    random = "random" in (seen.depth_map.weights, segmenter.get("segmenter_weights"))
    return stamp_text(image, "RANDOM WEIGHTS") if random else image


def beside_depth(paint: Callable[[DepthMap], View], segmenter: Mapping[str, Any]) -> Body:
    """Views for people: the image with its objects, and its depth as ``paint`` (a ``Painter``) shows it."""

    def body(items: Iterable[Objects]) -> Iterator[View]:
        for seen in items:
            view = paint(seen.depth_map)
            panels = [
                (seen.depth_map.frame.camera, overlay(seen, segmenter)),
                (f"depth ({seen.depth_map.model})", view.image),
            ]
            yield replace(view, image=side_by_side(panels))

    return body


def _measured(depth_map: DepthMap, fitted: Fitted, found: Sequence[Segmented]) -> Objects:
    ruler = Ruler(depth_map)
    objects = tuple(
        ruler.measure(box, seen.mask, float(seen.score)) for box, seen in zip(fitted.boxes, found, strict=True)
    )
    return Objects(depth_map, objects, Counter(fitted.dropped))
