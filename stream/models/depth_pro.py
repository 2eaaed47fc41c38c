"""Depth Pro (Bochkovskii et al., ICLR 2025): metres from one image.

The network also estimates the focal length, for cameras whose intrinsics are unknown.
"""

from __future__ import annotations

import math

from stream.errors import EngineError
from stream.models.base import DepthModel, ImageContext, WeightsFile
from stream.models.spec import Decoding, InputSpec

NEAREST_M, FARTHEST_M = 1e-4, 1e4
"""The official ``infer`` limits inverse depth to 1e-4..1e4 per metre."""

NARROWEST_DEG, WIDEST_DEG = 0.1, 179.9
"""Outside this range the tangent gives no usable focal length. Only an untrained network estimates such angles."""


def focal_px(image: ImageContext) -> float:
    """Horizontal focal length in pixels of the camera's image: from its intrinsics, else from the network's estimate.

    NaN if the estimate is NaN. Raises EngineError if there are neither intrinsics nor an estimate.
    """
    if image.intrinsics is not None:
        return image.intrinsics.scaled_to(image.size).fx_px
    if "fov_deg" not in image.scalars:
        raise EngineError(
            f'depth_pro: a {image.size} image without intrinsics, and the engine gave no "fov_deg": '
            "set the camera's intrinsics, or run the network with an engine that returns all its outputs"
        )
    degrees = min(max(image.scalars["fov_deg"], NARROWEST_DEG), WIDEST_DEG)
    return 0.5 * image.size.width / math.tan(0.5 * math.radians(degrees))


def decoding(image: ImageContext) -> Decoding:
    """Metres along the optical axis, 1e-4..1e4, from canonical inverse depth (official ``DepthPro.infer``).

    NaN is preserved. Raises EngineError as ``focal_px`` does.
    """
    return Decoding(image.size.width / focal_px(image), 1 / FARTHEST_M, 1 / NEAREST_M, reciprocal=True)


DEPTH_PRO = DepthModel(
    name="depth_pro",
    title="Depth Pro",
    kind="metric",
    # torch's bilinear without antialias, both ways; the image's aspect ratio is ignored
    spec=InputSpec(
        side=1536,
        bound="upper",
        multiple=1536,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resize="linear",
        restore="linear",
        keep_aspect=False,
        fixed_size=True,
    ),
    parameters=951_991_330,
    licence="Apache-2.0",
    weights=WeightsFile(
        filename="depth_pro.pt",
        url="https://ml-site.cdn-apple.com/models/depth-pro/depth_pro.pt",
        size_bytes=1_904_446_787,  # stored in float16
        sha256="3eb35ca68168ad3d14cb150f8947a4edf85589941661fdb2686259c80685c0ce",
        # Personal and non-exclusive: one may use, change and redistribute the weights, keeping the notice if they are
        # unchanged; no patents are granted. The copy on Hugging Face (apple/DepthPro) has other terms, for research
        # only; docs/reference/models/depth_pro.md describes both.
        licence="apple-ascl",
        source="Apple (apple/ml-depth-pro), a reference implementation trained again after the paper",
        requires_acceptance=True,
    ),
    decoding=decoding,
    scale_from="intrinsics",
)
