"""Tiny: our own small network and its weights, which come with the package (docs/reference/models/tiny.md)."""

from __future__ import annotations

from stream.models.base import DepthModel, ImageContext, WeightsFile
from stream.models.spec import Decoding, InputSpec


def decoding(image: ImageContext) -> Decoding:
    """Inverse relative depth, larger is nearer. Its zero is arbitrary, so negative values are valid."""
    return Decoding()


TINY = DepthModel(
    name="tiny",
    title="Tiny, trained on rendered scenes",
    kind="relative_inverse",
    # trained on images without aliasing: "cubic" costs 0.02 to 0.05 of Spearman on a real image
    spec=InputSpec(
        side=256,
        bound="upper",
        multiple=32,
        mean=(0.45, 0.45, 0.45),
        std=(0.25, 0.25, 0.25),
        resize="area",
        restore="linear",
    ),
    parameters=902_505,
    licence="Apache-2.0",
    weights=WeightsFile(
        filename="tiny.safetensors",
        url=None,
        size_bytes=1_868_050,
        sha256="df5d34b75209adbffdbfc72d07dea665b15248714dd1e8a599c83fd0aa907db5",
        licence="Apache-2.0",
        source="this project, trained on rendered scenes only",
    ),
    decoding=decoding,
)
