"""Everything whose weights can be fetched: depth networks and segmenters."""

from __future__ import annotations

from typing import TypeAlias

from stream.core.suggest import nearest
from stream.errors import UnknownModel
from stream.models.base import DepthModel
from stream.models.catalog import MODELS
from stream.models.segmenter_model import SegmenterModel
from stream.models.segmenters import SEGMENTERS

Network: TypeAlias = DepthModel | SegmenterModel

ALL: tuple[Network, ...] = (*MODELS, *SEGMENTERS)
"""In the order in which they are listed."""


def find(name: str) -> Network:
    """The network of that name. Raises UnknownModel naming the one that looks most like it."""
    known = {model.name: model for model in ALL}
    if name not in known:
        raise UnknownModel(f'no model "{name}"{nearest(name, known)}')
    return known[name]
