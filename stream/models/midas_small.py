"""MiDaS v2.1 small (Ranftl et al., "Towards Robust Monocular Depth Estimation", TPAMI 2022)."""

from __future__ import annotations

from stream.models.base import DepthModel, ImageContext, WeightsFile
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Decoding, InputSpec


def decoding(image: ImageContext) -> Decoding:
    """Inverse relative depth: larger is nearer, never negative."""
    return Decoding(low=0.0)


MIDAS_SMALL = DepthModel(
    name="midas_small",
    title="MiDaS v2.1 small",
    kind="relative_inverse",
    # hubconf.py, transforms.small_transform: 16:9 images become 256x128, 4:3 ones 256x192
    spec=InputSpec(
        side=256,
        bound="upper",
        multiple=32,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resize="cubic",
        restore="cubic",
    ),
    parameters=21_320_545,
    licence="MIT",
    weights=WeightsFile(
        filename="midas_v21_small_256.pt",
        url="https://github.com/isl-org/MiDaS/releases/download/v2_1/midas_v21_small_256.pt",
        size_bytes=None,
        sha256=None,  # the project publishes no hash for this name
        licence="MIT",
        source="Intelligent Systems Lab (isl-org/MiDaS, release v2_1), trained on ten data sets",
    ),
    decoding=decoding,
)
