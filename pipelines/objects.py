"""Objects: cameras -> depth, boxes -> masks; the distance and place of each boxed object (docs/how-to/objects.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pipelines.components.depth import add_depth
from pipelines.components.live_cameras import CameraPipeline
from pipelines.components.publisher import add_publisher
from pipelines.components.window import Preview
from pipelines.live import at_least_one
from stream.core.view_controls import ViewControls
from stream.detections.detectors import Detector, FixedBoxes, combine_detectors
from stream.detections.rejections import Rejections
from stream.detections.settings import MAX_BOXES, BoxSettings, BoxTopicSettings, ObjectFinderSettings
from stream.detections.subscription import BoxTopic
from stream.errors import SettingsError
from stream.frames import View
from stream.inference.open import estimator_for
from stream.publisher.publisher import Publisher
from stream.runtime.pipeline import chain
from stream.runtime.worker import Worker
from stream.segmentation.settings import SegmenterSettings
from stream.settings import (
    Camera,
    GstreamerCamera,
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
from stream.stages.objects import BoxSegmenter, ObjectFinder, broadcast_objects, compose_objects
from stream.stages.publish import publish
from stream.stages.render import Painter

STOP_TIMEOUT_S = 30.0
"""Time for which a CPU may segment the boxes of one image; that cannot be interrupted."""


class Boxed(Settings):
    """The key that cameras of this pipeline have in addition."""

    boxes: tuple[BoxSettings, ...] = Field(
        default=(), max_length=MAX_BOXES, description="boxes segmented in every image of this camera"
    )


class BoxedVideo(VideoCamera, Boxed):
    """A video file with boxes."""


class BoxedImages(ImagesCamera, Boxed):
    """A folder of images with boxes."""


class BoxedSynthetic(SyntheticCamera, Boxed):
    """A rendered scene with boxes."""


class BoxedNetwork(NetworkCamera, Boxed):
    """An IP camera with boxes."""


class BoxedWebcam(WebcamCamera, Boxed):
    """A camera at this machine with boxes."""


class BoxedGstreamer(GstreamerCamera, Boxed):
    """A camera read through GStreamer, with boxes."""


BoxedCamera = Annotated[
    BoxedVideo | BoxedImages | BoxedSynthetic | BoxedNetwork | BoxedWebcam | BoxedGstreamer,
    Field(discriminator="source"),
]


class ObjectsSettings(Settings):
    """Distances of the objects in boxes."""

    pipeline: Literal["objects"]
    cameras: Annotated[tuple[BoxedCamera, ...], AfterValidator(at_least_one)] = Field(
        description="one [[cameras]] table per camera"
    )
    boxes: BoxTopicSettings | None = Field(
        default=None, description="boxes that other programs send over ZeroMQ; unset: none"
    )
    objects: ObjectFinderSettings = ObjectFinderSettings()
    segmenter: SegmenterSettings = SegmenterSettings()
    model: ModelSettings = ModelSettings()
    steady: SteadySettings | None = Field(default=None, description="temporal stabilisation; unset: none")
    render: RenderSettings = RenderSettings()
    publish: PublishSettings = PublishSettings()
    record: RecordSettings | None = Field(default=None, description="also record each camera's objects; unset: no")


def build(
    settings: ObjectsSettings,
    preview: Preview | None = None,
    detect: Detector | None = None,
    segmenter: BoxSegmenter | None = None,
) -> CameraPipeline:
    """Build the pipeline. Depth is published as it comes; objects follow in a branch of their own, newest image first.

    ``detect`` adds the boxes of a detector in Python to those of the settings; ``segmenter`` replaces the one of the
    settings. Raises SettingsError without any source of boxes, and for more boxes than ``objects.max_boxes``.
    """
    _check_boxes(settings, detect)
    pipe = CameraPipeline("objects", stop_timeout_s=STOP_TIMEOUT_S)
    cameras = pipe.add_cameras(settings.cameras)
    depth = add_depth(pipe, estimator_for(settings.model), cameras, policy="latest", steady=settings.steady)
    publisher = add_publisher(pipe, depth, settings.publish, settings.render, settings.cameras)
    publisher.previews = "objects"  # a preview shows the objects rather than depth
    objects = _add_finder(pipe, depth, settings, detect, segmenter or _segmenter(settings.segmenter))
    made_by: dict[str, str | None] = {
        "segmenter": settings.segmenter.name,
        "segmenter_weights": settings.segmenter.weights,
    }
    if segmenter:
        made_by = {"segmenter": segmenter.describe(), "segmenter_weights": None}
    _add_outputs(pipe, objects, settings, publisher, preview, made_by)
    return pipe


def _add_finder(
    pipe: CameraPipeline, depth: Worker, settings: ObjectsSettings, detect: Detector | None, segmenter: BoxSegmenter
) -> Worker:
    rejections = Rejections()
    streams = [camera.name for camera in settings.cameras]
    topics = [BoxTopic(settings.boxes, streams, rejections)] if settings.boxes else []
    fixed = FixedBoxes({camera.name: [box.as_box() for box in camera.boxes] for camera in settings.cameras})
    detectors: Sequence[Detector] = [fixed, *topics, *([detect] if detect else [])]
    finder = ObjectFinder(segmenter, combine_detectors(detectors), settings.objects, topics, rejections)

    def added(camera: Camera) -> None:
        fixed.set(camera.name, [box.as_box() for box in camera.boxes] if isinstance(camera, Boxed) else [])
        for topic in topics:
            topic.add_stream(camera.name)

    def removed(name: str) -> None:
        fixed.remove(name)
        for topic in topics:
            topic.remove_stream(name)

    pipe.on_cameras(added, removed)
    pipe.add_note(finder.describe)
    pipe.add_statistics("objects", finder.statistics)
    return pipe.stage("objects", finder.body(), after=[depth], policy="latest")


def _add_outputs(
    pipe: CameraPipeline,
    objects: Worker,
    settings: ObjectsSettings,
    publisher: Publisher,
    preview: Preview | None,
    made_by: Mapping[str, str | None],
) -> None:
    broadcast = broadcast_objects(publisher, made_by, masks=settings.objects.masks)
    pipe.stage("publish.objects", broadcast, after=[objects], policy="latest")
    sinks: list[Sink[View]] = [
        *([preview.sink] if preview else []),
        *([Recorder(settings.record)] if settings.record else []),
    ]
    if sinks:
        controls = preview.controls if preview else ViewControls(settings.render.colormap)
        draw = compose_objects(Painter(settings.render, controls), made_by)
        pipe.stage("show", chain(draw=draw, show=publish(*sinks)), after=[objects], policy="latest")


def _segmenter(settings: SegmenterSettings) -> BoxSegmenter:
    from stream.segmentation.segmenter import Segmenter

    return Segmenter(settings)


def _check_boxes(settings: ObjectsSettings, detect: Detector | None) -> None:
    """Raise SettingsError before anything is opened."""
    limit = settings.objects.max_boxes
    for number, camera in enumerate(settings.cameras):
        if len(camera.boxes) > limit:
            raise SettingsError(
                f"[cameras.{number}.boxes] {len(camera.boxes)} boxes, and at most {limit} of an image are looked at: "
                f"leave some out, or raise objects.max_boxes (up to {MAX_BOXES})"
            )
    if (
        detect is None
        and settings.boxes is None
        and settings.cameras
        and not any(camera.boxes for camera in settings.cameras)
    ):
        raise SettingsError(
            "[boxes] nothing says where objects are: give connect (a detector's endpoint), or [[cameras.boxes]]"
        )
