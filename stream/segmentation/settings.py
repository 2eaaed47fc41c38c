"""The table of a config file that says which network makes masks of boxes, and how it is run."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stream.settings import Settings


class SegmenterSettings(Settings):
    """Which segmenter, with which weights, run by what."""

    name: str = "efficientvit_sam_l0"
    weights: Literal["trained", "random"] = Field(
        default="trained", description="random: for speed tests only; marks every output"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="auto: the first GPU where there is one that torch can use, else the CPU"
    )
    precision: Literal["fp32", "fp16"] = Field(default="fp32", description="fp16: on a GPU only")
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads of the network; unset: chosen for this machine"
    )
    max_images_at_once: int = Field(
        default=8, ge=1, le=256, description="images in one run of the encoder; bounds memory"
    )
    max_boxes_at_once: int = Field(
        default=32, ge=1, le=4096, description="boxes in one run of the decoder, some 30 MB each; bounds memory"
    )
    multimask: bool = Field(
        default=False,
        description="true: three guesses a box, of which the one counts that the network thinks best, as the official "
        "evaluation does; false: one mask a box, as the official predictor does",
    )
