"""All depth networks and segmenters, by name."""

from __future__ import annotations

from stream.core.suggest import nearest
from stream.errors import UnknownModel
from stream.models.base import DepthModel, SegmenterModel
from stream.models.depth_anything import DEPTH_ANYTHING
from stream.models.depth_pro import DEPTH_PRO
from stream.models.efficientvit_sam import EFFICIENTVIT_SAM
from stream.models.metric3d import METRIC3D
from stream.models.midas_small import MIDAS_SMALL
from stream.models.tiny import TINY

MODELS: tuple[DepthModel, ...] = (TINY, MIDAS_SMALL, *DEPTH_ANYTHING, DEPTH_PRO, *METRIC3D)
"""In the order in which they are listed."""

SEGMENTERS: tuple[SegmenterModel, ...] = EFFICIENTVIT_SAM
"""In the order in which they are listed."""


def find(name: str) -> DepthModel:
    """The depth network of that name.

    Raises UnknownModel, which suggests the most similar name or says that ``name`` is a segmenter.
    """
    models = {model.name: model for model in MODELS}
    if any(segmenter.name == name for segmenter in SEGMENTERS):
        raise UnknownModel(f'"{name}" makes masks, not depth: it is for [segmenter] of pipeline = "objects"')
    if name not in models:
        raise UnknownModel(f'no model "{name}"{nearest(name, models)}')
    return models[name]


def find_segmenter(name: str) -> SegmenterModel:
    """The segmenter of that name. Raises UnknownModel, which suggests the most similar name."""
    segmenters = {segmenter.name: segmenter for segmenter in SEGMENTERS}
    if name not in segmenters:
        raise UnknownModel(f'no segmenter "{name}"{nearest(name, segmenters)}')
    return segmenters[name]
