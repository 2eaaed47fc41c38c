"""All segmenters we know, by name."""

from __future__ import annotations

from stream.core.suggest import nearest
from stream.errors import UnknownModel
from stream.models.efficientvit_sam import EFFICIENTVIT_SAM
from stream.models.segmenter_model import SegmenterModel

SEGMENTERS: tuple[SegmenterModel, ...] = EFFICIENTVIT_SAM
"""In the order in which they are listed."""


def find_segmenter(name: str) -> SegmenterModel:
    """The segmenter of that name. Raises UnknownModel naming the one that looks most like it."""
    segmenters = {segmenter.name: segmenter for segmenter in SEGMENTERS}
    if name not in segmenters:
        raise UnknownModel(f'no segmenter "{name}"{nearest(name, segmenters)}')
    return segmenters[name]
