"""Config tables of boxes and objects."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from stream.detections.clipping import MAX_LABEL_CHARS, box_fault
from stream.errors import UsageError
from stream.objects import Box
from stream.settings import Settings

MAX_BOXES = 512
"""Largest number of boxes in one image; the message with the facts of more objects would be too large."""


class BoxSettings(Settings):
    """A box that is segmented in every image of a camera."""

    box: tuple[float, float, float, float] = Field(
        description="left, top, right, bottom, pixels of the camera's image from its top left corner"
    )
    label: str = Field(default="", max_length=MAX_LABEL_CHARS, description="name of the object, free text")

    @model_validator(mode="after")
    def _is_a_box(self) -> BoxSettings:
        if fault := box_fault(self.as_box()):
            raise ValueError(f"box = {list(self.box)}: {fault}; give left, top, right, bottom in pixels")
        return self

    def as_box(self) -> Box:
        """The value that detectors return."""
        return Box(*self.box, label=self.label)


class BoxTopicSettings(Settings):
    """Boxes that another program sends on ``boxes/<stream>`` (docs/how-to/objects.md)."""

    connect: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="endpoints where detectors publish: tcp://ADDRESS:PORT or ipc://PATH"
    )
    max_age_ms: float = Field(
        default=500.0, gt=0, le=60_000, description="milliseconds for which a set of boxes is used after its arrival"
    )

    @field_validator("connect")
    @classmethod
    def _are_endpoints(cls, endpoints: tuple[str, ...]) -> tuple[str, ...]:
        from stream.client.link import check_endpoint

        for endpoint in endpoints:
            try:
                check_endpoint(endpoint)
            except UsageError as error:
                raise ValueError(str(error)) from error
        return endpoints


class ObjectFinderSettings(Settings):
    """Limits of segmentation, and what is published of each object."""

    max_boxes: int = Field(
        default=64,
        ge=1,
        le=MAX_BOXES,
        description="largest number of boxes in one image; further ones are left out and counted",
    )
    max_batch: int = Field(default=8, ge=1, le=64, description="largest number of images encoded together")
    grace_ms: float = Field(
        default=3.0, ge=0, le=1000, description="milliseconds an image waits for others to be encoded with"
    )
    masks: bool = Field(default=True, description="true: publish masks with the numbers; false: numbers only")
