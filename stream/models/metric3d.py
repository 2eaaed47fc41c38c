"""Metric3D v2 (Hu et al., TPAMI 2024): metres from one image and the camera's focal length."""

from __future__ import annotations

from stream.frames import Size
from stream.models.base import DepthModel, ImageContext, WeightsFile
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Canvas, Decoding, InputSpec

CANONICAL_PX = 1000.0
"""Focal length of the canonical camera, in which the network measures metres, in pixels of the network's input. For an
unknown camera the official test code (mono/utils/do_test.py) assumes the same number, in pixels of the image."""
FARTHEST_M = 300.0

URL = "https://huggingface.co/JUGGHM/Metric3D/resolve/main"


def decoding(image: ImageContext) -> Decoding:
    """Metres along the optical axis, 0..300, from the canonical camera's metres; NaN is preserved.

    Scales by the horizontal focal length, as the official hubconf.py does; do_test.py takes the mean of both focal
    lengths, which is the same for square pixels. Without intrinsics a focal length of 1000 pixels is guessed.
    """
    camera = image.intrinsics
    focal_px = CANONICAL_PX if camera is None else camera.scaled_to(image.size).fx_px
    return Decoding(focal_px * image.scale / CANONICAL_PX, 0.0, FARTHEST_M)


# hubconf.py resizes the image's bytes, with sides rounded down, and writes the border as bytes too, so OpenCV rounds
# the mean colour (123.675, 116.28, 103.53); then image and border are normalised together
SPEC = InputSpec(
    side=1064,
    bound="upper",
    multiple=28,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    resize="linear",
    restore="linear",
    canvas=Canvas(Size(616, 1064), anchor="centre", rounding="down", border=(124, 116, 104)),
    round_to_bytes=True,
)


def _model(size: str, parameters: int, size_bytes: int, sha256: str) -> DepthModel:
    filename = f"metric_depth_vit_{size}_800k.pth"
    weights = WeightsFile(
        filename=filename,
        url=f"{URL}/{filename}",
        size_bytes=size_bytes,
        sha256=sha256,
        # the repository's licence; no other is stated for the files, and the authors ask for mail about commercial use
        licence="BSD-2-Clause",
        source="Wei Yin, Mu Hu and others (YvanYin/Metric3D), DINOv2 tuned on 16 million images",
        entry="model_state_dict",
        allows_extra_tensors=True,  # hubconf.py loads with strict=False
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


# The project publishes no hashes. Both were found in three or more independent public repositories
METRIC3D = (
    _model("small", 37_494_667, 150_120_967, "b34b2a2be9148054991cef7e417930e1320602ba7bc503b0ee4e7888543728f6"),
    _model("large", 411_940_891, 1_647_972_663, "15328ffc42b528b95f188687418f6f03b3f123eb34ccdbd686c112abbea6d972"),
)
