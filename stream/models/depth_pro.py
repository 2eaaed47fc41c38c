"""Depth Pro (Bochkovskii et al., ICLR 2025): metres from one image, and the focal length where nobody knows it."""

from __future__ import annotations

import math

from stream.errors import EngineError
from stream.models.base import DepthModel, Shot, WeightsFile
from stream.models.spec import Decoding, InputSpec

NEAREST_M, FARTHEST_M = 1e-4, 1e4
"""Official ``infer`` limits inverse depth to 1e-4..1e4 per metre."""

NARROWEST_DEG, WIDEST_DEG = 0.1, 179.9
"""Beyond them the tangent is no focal length; only a network without training tells such fields of view."""


def focal_px(shot: Shot) -> float:
    """The focal length, horizontally, in pixels of the camera's image: the camera's own, else the network's estimate.

    NaN if the network's estimate is. Raises EngineError if there is neither.
    """
    if shot.intrinsics is not None:
        return shot.intrinsics.scaled_to(shot.size).fx_px
    if "fov_deg" not in shot.scalars:
        raise EngineError(
            f'depth_pro: a {shot.size} image without intrinsics, and the engine gave no "fov_deg": '
            "set the camera's intrinsics, or run the network with an engine that returns all its outputs"
        )
    degrees = min(max(shot.scalars["fov_deg"], NARROWEST_DEG), WIDEST_DEG)
    return 0.5 * shot.size.width / math.tan(0.5 * math.radians(degrees))


def decoding(shot: Shot) -> Decoding:
    """Metres along the optical axis, 1e-4..1e4, from canonical inverse depth (official ``DepthPro.infer``).

    NaN stays NaN. Raises EngineError as ``focal_px`` does.
    """
    return Decoding(shot.size.width / focal_px(shot), 1 / FARTHEST_M, 1 / NEAREST_M, reciprocal=True)


DEPTH_PRO = DepthModel(
    name="depth_pro",
    title="Depth Pro",
    kind="metric",
    # torch's bilinear without antialias, both ways; the image's shape is ignored
    spec=InputSpec(
        side=1536,
        bound="upper",
        multiple=1536,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        resize="linear",
        restore="linear",
        keep_aspect=False,
        fixed=True,
    ),
    parameters=951_991_330,
    licence="Apache-2.0",
    weights=WeightsFile(
        filename="depth_pro.pt",
        url="https://ml-site.cdn-apple.com/models/depth-pro/depth_pro.pt",
        size_bytes=1_904_446_787,  # stored in float16
        sha256="3eb35ca68168ad3d14cb150f8947a4edf85589941661fdb2686259c80685c0ce",
        # Personal and non-exclusive: use, change and pass on, the notice kept if unchanged; no patents. The copy on
        # Hugging Face (apple/DepthPro) has other terms, for research only; docs/models/depth_pro.md tells both.
        licence="apple-ascl",
        source="Apple (apple/ml-depth-pro), a reference implementation trained again after the paper",
        must_accept=True,
    ),
    decoding=decoding,
    scale_from="intrinsics",
)
