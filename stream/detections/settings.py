"""The tables of boxes and objects in a config file."""

from __future__ import annotations

from pydantic import Field, field_validator, model_validator

from stream.detections.clipping import LONGEST_LABEL, why_unfit
from stream.errors import UsageError
from stream.objects import Box
from stream.settings import Settings

MOST_BOXES = 512
"""More in one image would not fit a message with all that is said of each."""


class BoxSettings(Settings):
    """A box that is looked at in every image of a camera."""

    box: tuple[float, float, float, float] = Field(
        description="left, top, right, bottom: pixels of the camera's image from its top left corner"
    )
    label: str = Field(default="", max_length=LONGEST_LABEL, description="what it is called; free text")

    @model_validator(mode="after")
    def _is_a_box(self) -> BoxSettings:
        if why := why_unfit(self.as_box()):
            raise ValueError(f"box = {list(self.box)}: {why}; give left, top, right, bottom in pixels")
        return self

    def as_box(self) -> Box:
        return Box(*self.box, label=self.label)


class BoxTopicSettings(Settings):
    """Boxes that another program sends on ``boxes/<stream>`` (docs/objects.md)."""

    connect: tuple[str, ...] = Field(
        min_length=1, max_length=16, description="where detectors publish: tcp://ADDRESS:PORT or ipc://PATH"
    )
    max_age_ms: float = Field(
        default=500.0, gt=0, le=60_000, description="a set of boxes is used for so long after it came"
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


class FindSettings(Settings):
    """How many boxes are looked at, and what is told of them."""

    max_boxes: int = Field(
        default=64, ge=1, le=MOST_BOXES, description="of one image; further ones are left out and counted"
    )
    max_batch: int = Field(default=8, ge=1, le=64, description="images that are encoded together")
    grace_ms: float = Field(default=3.0, ge=0, le=1000, description="how long an image waits for company")
    masks: bool = Field(default=True, description="publish the masks, too, not the numbers alone")
