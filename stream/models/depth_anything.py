"""Depth Anything V1 (Yang et al., CVPR 2024) and V2 (Yang et al., NeurIPS 2024): relative, and metric in metres.

docs/reference/models/depth_anything.md gives the sources of hashes and licences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stream.models.base import DepthModel, ImageContext, WeightsFile
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Decoding, InputSpec

# infer_image of the official code: Resize(518, 518, keep_aspect_ratio, ensure_multiple_of=14, "lower_bound",
# INTER_CUBIC), and back with F.interpolate("bilinear", align_corners=True): 640x480 becomes 686x518, 1280x720 924x518
SPEC = InputSpec(
    side=518,
    bound="lower",
    multiple=14,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    resize="cubic",
    restore="linear_corners",
)
V1_SPEC = replace(SPEC, restore="linear")
"""V1's run.py resizes back with align_corners=False (LiheYoung/Depth-Anything, commit 0cddfd53)."""
V1_FOLDER = "https://huggingface.co/spaces/LiheYoung/Depth-Anything/resolve/main/checkpoints"
V2_FOLDER = "https://huggingface.co/depth-anything/Depth-Anything-V2-{}/resolve/main"


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the three sizes of each network."""

    encoder: str
    """The encoder's official name, which is part of the file names."""
    parameters: int
    allows_commercial_use: bool
    """V2's weights may be used commercially."""


VARIANTS = {
    "small": Variant("vits", 24_785_089, allows_commercial_use=True),
    "base": Variant("vitb", 97_470_785, allows_commercial_use=False),
    "large": Variant("vitl", 335_315_649, allows_commercial_use=False),
}
PLACES = {"indoor": ("Hypersim", "rendered rooms, to 20 m"), "outdoor": ("VKITTI", "rendered streets, to 80 m")}
"""By variant: the data set that it was fine-tuned on, and that set's content."""

FILES: dict[str, tuple[int | None, str | None]] = {
    "depth_anything_vits14.pth": (None, None),
    "depth_anything_vitb14.pth": (None, None),
    "depth_anything_vitl14.pth": (
        1_341_401_882,
        "6c6a383e33e51c5fdfbf31e7ebcda943973a9e6a1cbef1564afe58d7f2e8fe63",
    ),
    "depth_anything_v2_vits.pth": (99_218_434, "715fade13be8f229f8a70cc02066f656f2423a59effd0579197bbf57860e1378"),
    "depth_anything_v2_vitb.pth": (389_961_218, "0d2b7002e62d39d655571c371333340bd88f67ab95050c03591555aa05645328"),
    "depth_anything_v2_vitl.pth": (1_341_395_338, "a7ea19fa0ed99244e67b624c72b8580b7e9553043245905be58796a608eb9345"),
    "depth_anything_v2_metric_hypersim_vits.pth": (
        99_222_290,
        "b782898d8a3e8be1f639de33837ed85e9b4b73e40f8f5e5cd99067588d722545",
    ),
    "depth_anything_v2_metric_hypersim_vitb.pth": (
        389_965_138,
        "9dc9e274c5eff55c6daf27b660c0ced0eca4e8593a6da90cdcb04d2b4d3f3fa2",
    ),
    "depth_anything_v2_metric_hypersim_vitl.pth": (
        1_341_401_882,
        "6f82ff2bc543ac02ddff4aa31fa363676a8305dd3ccf04e80e2af115a044cb6d",
    ),
    "depth_anything_v2_metric_vkitti_vits.pth": (
        99_221_808,
        "9203e538d35255c90dda4b7fedb47ff33fe725497bcca3b1e53b3a65ee63f0cb",
    ),
    "depth_anything_v2_metric_vkitti_vitb.pth": (
        389_964_656,
        "4dad67a7cc10b462bca48e6b8569c762b8eb3c1adada170a3851a6d3ba37bb3e",
    ),
    "depth_anything_v2_metric_vkitti_vitl.pth": (
        1_341_401_064,
        "239b1054a369e66da2576e9a118d6d7c12d90dc8ebe609579a9a09cd8e05fe38",
    ),
}
"""Size in bytes and sha256 of the official files, where at least two public projects name the same. None for V1 small
and base, which we found in one project only."""


def inverse_depth(image: ImageContext) -> Decoding:
    """Inverse relative depth: larger is nearer, never negative."""
    return Decoding(low=0.0)


def metres(image: ImageContext) -> Decoding:
    """Metres along the optical axis. The network assumes the camera of its training data."""
    return Decoding()


def _relative(version: int, size: str) -> DepthModel:
    variant = VARIANTS[size]
    commercial = variant.allows_commercial_use or version == 1
    if version == 1:
        folder, filename = V1_FOLDER, f"depth_anything_{variant.encoder}14.pth"
        source = "Lihe Yang and others (LiheYoung/Depth-Anything), trained on 1.5 M labelled and 62 M other images"
    else:
        folder, filename = V2_FOLDER.format(size.capitalize()), f"depth_anything_v2_{variant.encoder}.pth"
        source = "Lihe Yang and others (DepthAnything/Depth-Anything-V2), trained on rendered images and 62 M others"
    return DepthModel(
        name=f"depth_anything_v{version}_{size}",
        title=f"Depth Anything V{version} {size}",
        kind="relative_inverse",
        spec=V1_SPEC if version == 1 else SPEC,
        parameters=variant.parameters,
        licence="Apache-2.0",
        weights=_weights(folder, filename, source, commercial=commercial),
        decoding=inverse_depth,
    )


def _metric(place: str, size: str) -> DepthModel:
    variant, (data_set, scenes) = VARIANTS[size], PLACES[place]
    folder = V2_FOLDER.format(f"Metric-{data_set}-{size.capitalize()}")
    filename = f"depth_anything_v2_metric_{data_set.lower()}_{variant.encoder}.pth"
    source = f"Lihe Yang and others (DepthAnything/Depth-Anything-V2, metric_depth), tuned on {data_set}: {scenes}"
    return DepthModel(
        name=f"depth_anything_v2_{place}_{size}",
        title=f"Depth Anything V2 metric, {place}, {size}",
        kind="metric",
        spec=SPEC,
        parameters=variant.parameters,
        licence="Apache-2.0",
        weights=_weights(folder, filename, source, commercial=variant.allows_commercial_use),
        decoding=metres,
        scale_from="training",
    )


def _weights(folder: str, filename: str, source: str, *, commercial: bool) -> WeightsFile:
    size_bytes, sha256 = FILES[filename]
    return WeightsFile(
        filename=filename,
        url=f"{folder}/{filename}",
        size_bytes=size_bytes,
        sha256=sha256,
        licence="Apache-2.0" if commercial else "CC-BY-NC-4.0",
        source=source,
        requires_acceptance=not commercial,
    )


DEPTH_ANYTHING = (
    *(_relative(2, size) for size in VARIANTS),
    *(_metric(place, size) for place in PLACES for size in VARIANTS),
    *(_relative(1, size) for size in VARIANTS),
)
"""All twelve models."""
