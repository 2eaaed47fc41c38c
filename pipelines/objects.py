"""Objects: cameras -> depth, and boxes -> masks; what is in each box, how far away, and where (docs/objects.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipelines.components.cameras import add_cameras
from pipelines.components.depth import add_depth
from pipelines.components.publisher import add_publisher
from pipelines.components.window import Preview
from stream.core.view_controls import ViewControls
from stream.detections.detectors import Detector, FixedBoxes, all_of
from stream.detections.rejections import Refusals
from stream.detections.settings import MOST_BOXES, BoxSettings, BoxTopicSettings, FindSettings
from stream.detections.subscription import BoxTopic
from stream.errors import SettingsError
from stream.frames import View
from stream.inference.open import estimator_for
from stream.publisher.publisher import Publisher
from stream.runtime.pipeline import Pipeline, chain
from stream.runtime.worker import Worker
from stream.segmentation.settings import SegmenterSettings
from stream.settings import (
    ImagesCamera,
    ModelSettings,
    NetworkCamera,
    PublishSettings,
    RecordSettings,
    RenderSettings,
    Settings,
    SteadySettings,
    SyntheticCamera,
    VideoCamera,
    WebcamCamera,
)
from stream.sinks.base import Sink
from stream.sinks.video_file import Recorder
from stream.stages.objects import Boxes2Masks, ObjectFinder, beside_depth, broadcast_objects
from stream.stages.publish import publish
from stream.stages.render import Painter

STOP_TIMEOUT_S = 30.0
"""A CPU may be at the boxes of one image for so long, and nothing ends that earlier."""


class Boxed(Settings):
    """What a camera has here beside all that it has elsewhere."""

    boxes: tuple[BoxSettings, ...] = Field(
        default=(), max_length=MOST_BOXES, description="looked at in every image of this camera"
    )


class BoxedVideo(VideoCamera, Boxed):
    """A video file, and boxes in it."""


class BoxedImages(ImagesCamera, Boxed):
    """A folder of images, and boxes in them."""


class BoxedSynthetic(SyntheticCamera, Boxed):
    """A rendered scene, and boxes in it."""


class BoxedNetwork(NetworkCamera, Boxed):
    """An IP camera, and boxes in its images."""


class BoxedWebcam(WebcamCamera, Boxed):
    """A camera at this machine, and boxes in its images."""


BoxedCamera = Annotated[
    BoxedVideo | BoxedImages | BoxedSynthetic | BoxedNetwork | BoxedWebcam, Field(discriminator="source")
]


class ObjectsSettings(Settings):
    """Distances of objects."""

    pipeline: Literal["objects"]
    cameras: tuple[BoxedCamera, ...]
    boxes: BoxTopicSettings | None = Field(default=None, description="boxes that other programs find")
    objects: FindSettings = FindSettings()
    segmenter: SegmenterSettings = SegmenterSettings()
    model: ModelSettings = ModelSettings()
    steady: SteadySettings | None = Field(default=None, description="the table's presence turns it on")
    render: RenderSettings = RenderSettings()
    publish: PublishSettings = PublishSettings()
    record: RecordSettings | None = Field(default=None, description="also write a video of each camera's objects")

    @field_validator("cameras")
    @classmethod
    def _at_least_one(cls, cameras: tuple[BoxedCamera, ...]) -> tuple[BoxedCamera, ...]:
        if not cameras:  # min_length would complain of every camera that has a mistake in it, too
            raise ValueError("at least one camera is needed")
        return cameras


def build(
    settings: ObjectsSettings,
    preview: Preview | None = None,
    detect: Detector | None = None,
    segmenter: Boxes2Masks | None = None,
) -> Pipeline:
    """Depth is published as it comes; objects follow in a branch of their own, the newest image of each camera first.

    ``detect``: boxes of a detector in Python, beside those of the settings. ``segmenter``: another than the settings'.
    Raises SettingsError where nothing says where objects are, and for more boxes than are looked at.
    """
    _check_boxes(settings, detect)
    pipe = Pipeline("objects", stop_timeout_s=STOP_TIMEOUT_S)
    cameras = add_cameras(pipe, settings.cameras)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    publisher = add_publisher(pipe, depth, settings.publish, settings.render, settings.cameras)
    publisher.previews = "objects"
    makes_masks = segmenter or _segmenter(settings.segmenter)
    objects = _add_finder(pipe, depth, settings, detect, makes_masks)
    made_by = {"segmenter": segmenter.describe(), "segmenter_weights": None} if segmenter else _told(settings.segmenter)
    _add_outputs(pipe, objects, settings, publisher, preview, made_by)
    return pipe


def _add_finder(
    pipe: Pipeline, depth: Worker, settings: ObjectsSettings, detect: Detector | None, segmenter: Boxes2Masks
) -> Worker:
    refusals = Refusals()
    streams = [camera.name for camera in settings.cameras]
    topics = [BoxTopic(settings.boxes, streams, refusals)] if settings.boxes else []
    fixed = FixedBoxes({camera.name: [box.as_box() for box in camera.boxes] for camera in settings.cameras})
    detectors: Sequence[Detector] = [fixed, *topics, *([detect] if detect else [])]
    finder = ObjectFinder(segmenter, all_of(detectors), settings.objects, topics, refusals)
    pipe.add_note(finder.describe)
    pipe.add_statistics("objects", finder.statistics)
    return pipe.stage("objects", finder.body(), after=[depth], policy="latest")


def _add_outputs(
    pipe: Pipeline,
    objects: Worker,
    settings: ObjectsSettings,
    publisher: Publisher,
    preview: Preview | None,
    made_by: Mapping[str, str | None],
) -> None:
    telling = broadcast_objects(publisher, made_by, masks=settings.objects.masks)
    pipe.stage("publish.objects", telling, after=[objects], policy="latest")
    sinks: list[Sink[View]] = [
        *([preview.sink] if preview else []),
        *([Recorder(settings.record)] if settings.record else []),
    ]
    if sinks:
        controls = preview.controls if preview else ViewControls(settings.render.colormap)
        painting = beside_depth(Painter(settings.render, controls), made_by)
        pipe.stage("show", chain(draw=painting, show=publish(*sinks)), after=[objects], policy="latest")


def _told(settings: SegmenterSettings) -> dict[str, str | None]:
    return {"segmenter": settings.name, "segmenter_weights": settings.weights}


def _segmenter(settings: SegmenterSettings) -> Boxes2Masks:
    from stream.segmentation.segmenter import Segmenter

    return Segmenter(settings)


def _check_boxes(settings: ObjectsSettings, detect: Detector | None) -> None:
    """Before anything is opened."""
    most = settings.objects.max_boxes
    for number, camera in enumerate(settings.cameras):
        if len(camera.boxes) > most:
            raise SettingsError(
                f"[cameras.{number}.boxes] {len(camera.boxes)} boxes, and at most {most} of an image are looked at: "
                f"leave some out, or raise objects.max_boxes (up to {MOST_BOXES})"
            )
    if detect is None and settings.boxes is None and not any(camera.boxes for camera in settings.cameras):
        raise SettingsError(
            "[boxes] nothing says where objects are: give connect (a detector's endpoint), or [[cameras.boxes]]"
        )
