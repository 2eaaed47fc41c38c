"""Metric3D v2 (Hu et al., TPAMI 2024): metres from one image and the camera's focal length."""

from __future__ import annotations

from stream.frames import Size
from stream.models.base import DepthModel, Shot, WeightsFile
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Canvas, Decoding, InputSpec

CANONICAL_PX = 1000.0
"""Focal length of the camera whose metres the network tells, pixels of the network's input; also what the official
test code (mono/utils/do_test.py) takes for a camera of which nothing is known, then in pixels of its image."""
FARTHEST_M = 300.0

URL = "https://huggingface.co/JUGGHM/Metric3D/resolve/main"


def decoding(shot: Shot) -> Decoding:
    """Metres along the optical axis, 0..300, from the canonical camera's; NaN stays NaN.

    By the horizontal focal length, as the official hubconf.py; do_test.py takes the mean of both, which is the same
    for square pixels. Without intrinsics it is taken as 1000 pixels: a guess.
    """
    known = shot.intrinsics
    focal_px = CANONICAL_PX if known is None else known.scaled_to(shot.size).fx_px
    return Decoding(focal_px * shot.scale / CANONICAL_PX, 0.0, FARTHEST_M)


# hubconf.py: the image's bytes are resized, sides rounded down, and the border is written as bytes as well, so that
# OpenCV rounds the mean colour (123.675, 116.28, 103.53); then all is normalised together
SPEC = InputSpec(
    side=1064,
    bound="upper",
    multiple=28,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    resize="linear",
    restore="linear",
    canvas=Canvas(Size(616, 1064), at="centre", rounding="down", border=(124, 116, 104)),
    whole_values=True,
)


def _model(size: str, parameters: int, size_bytes: int, sha256: str) -> DepthModel:
    filename = f"metric_depth_vit_{size}_800k.pth"
    weights = WeightsFile(
        filename=filename,
        url=f"{URL}/{filename}",
        size_bytes=size_bytes,
        sha256=sha256,
        # the repository's; nothing else is said of the files, and the authors ask to be written to about commercial use
        licence="BSD-2-Clause",
        source="Wei Yin, Mu Hu and others (YvanYin/Metric3D), DINOv2 tuned on 16 million images",
        entry="model_state_dict",
        extra_names=True,  # hubconf.py loads with strict=False
    )
    return DepthModel(
        name=f"metric3d_v2_{size}",
        title=f"Metric3D v2 {size}",
        kind="metric",
        spec=SPEC,
        parameters=parameters,
        licence="BSD-2-Clause",
        weights=weights,
        decoding=decoding,
        scale_from="intrinsics",
    )


# The project publishes no sums. Both were found in three or more independent public repositories
METRIC3D = (
    _model("small", 37_494_667, 150_120_967, "b34b2a2be9148054991cef7e417930e1320602ba7bc503b0ee4e7888543728f6"),
    _model("large", 411_940_891, 1_647_972_663, "15328ffc42b528b95f188687418f6f03b3f123eb34ccdbd686c112abbea6d972"),
)
