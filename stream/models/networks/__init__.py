"""Networks as torch modules, by name. ``build`` loads torch; importing this package does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stream.core.suggest import nearest
from stream.errors import UnknownModel

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class Architecture:
    """The source files of a network, its class, and the arguments of that class."""

    class_name: str
    modules: tuple[str, ...]
    """Relative to this package: the module with the class first, then those that it is built from."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    outputs: tuple[str, ...] = ("depth",)
    """Names of the returned tensors: one name for a tensor, several for a tuple."""


ENCODERS = {"small": "vits", "base": "vitb", "large": "vitl"}
"""Our names of Depth Anything's sizes, and the official ones."""
MAX_DEPTH_M = {"indoor": 20.0, "outdoor": 80.0}
"""The largest distance that Depth Anything's metric networks can give."""
_SAM_PARTS = ("network", "image_encoder", "blocks", "mask_decoder", "two_way_attention")


def _depth_anything(size: str, version: int, max_depth: float | None = None) -> Architecture:
    arguments = {"encoder": ENCODERS[size], "version": version, "max_depth": max_depth}
    return Architecture(
        "DepthAnything", ("depth_anything", "layers.dpt", "layers.refinenet", "layers.vit", "layers.padding"), arguments
    )


def _metric3d(variant: str) -> Architecture:
    parts = ("network", "encoder", "features", "context", "decoder", "refinement")
    modules = (*(f"metric3d.{part}" for part in parts), "layers.vit", "layers.padding")
    return Architecture("Metric3D", modules, {"variant": variant})


ARCHITECTURES: dict[str, Architecture] = {
    "midas_small": Architecture("MidasSmall", ("midas", "layers.refinenet", "layers.padding")),
    "tiny": Architecture("TinyDepth", ("tiny", "layers.padding")),
    **{f"depth_anything_v{v}_{size}": _depth_anything(size, v) for v in (1, 2) for size in ENCODERS},
    **{
        f"depth_anything_v2_{place}_{size}": _depth_anything(size, 2, max_depth)
        for place, max_depth in MAX_DEPTH_M.items()
        for size in ENCODERS
    },
    "metric3d_v2_small": _metric3d("vit_small"),
    "metric3d_v2_large": _metric3d("vit_large"),
    "depth_pro": Architecture(
        "DepthPro",
        ("depth_pro.network", "depth_pro.decoder", "depth_pro.encoder", "depth_pro.tiles", "layers.vit"),
        outputs=("depth", "fov_deg"),
    ),
    **{
        f"efficientvit_sam_{size}": Architecture(
            "EfficientVitSam",
            tuple(f"efficientvit_sam.{part}" for part in _SAM_PARTS),
            {"variant": size},
            outputs=("embedding",),
        )
        for size in ("l0", "l1", "l2", "xl0", "xl1")
    },
}
"""By the name of the model."""


def build(name: str) -> nn.Module:
    """A network of that architecture in eval mode, with torch's initial values. Raises UnknownModel."""
    architecture = _lookup(name)
    module = import_module(f"{__name__}.{architecture.modules[0]}")
    network: nn.Module = getattr(module, architecture.class_name)(**architecture.arguments)
    return network.eval()


def outputs_of(name: str) -> tuple[str, ...]:
    """Names of the network's outputs, in order."""
    return _lookup(name).outputs


def code_version(name: str) -> str:
    """A hash of the network's source files and arguments, 12 hexadecimal digits.

    Caches use it as a part of their keys, so that nothing traced or exported from older code is used again.
    """
    architecture, digest = _lookup(name), hashlib.sha256()
    digest.update(repr(sorted(architecture.arguments.items())).encode())
    for module in architecture.modules:
        digest.update(Path(__file__).parent.joinpath(*module.split(".")).with_suffix(".py").read_bytes())
    return digest.hexdigest()[:12]


def _lookup(name: str) -> Architecture:
    if name not in ARCHITECTURES:
        raise UnknownModel(f'no network "{name}"{nearest(name, ARCHITECTURES)}')
    return ARCHITECTURES[name]
