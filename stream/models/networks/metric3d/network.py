"""Metric3D v2 (Hu et al., "Metric3D v2: A Versatile Monocular Geometric Foundation Model", TPAMI 2024).

Parameters have the names in the official files (YvanYin/Metric3D), so that these load strictly. The official module has
one more, the encoder's ``mask_token``; only its pretraining used it, and the files do not hold it.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from stream.models.networks.layers.padding import require_multiples
from stream.models.networks.layers.vit import grid_of
from stream.models.networks.metric3d.decoder import Decoder
from stream.models.networks.metric3d.encoder import PATCH, Config, Encoder

MULTIPLE = 2 * PATCH
"""For other sizes no features lie at exactly a quarter, and the official code would return fewer rows or columns."""

CONFIGS = {
    "vit_small": Config(width=384, layers=12, heads=6, seventh=192, quarter=96, hidden=48, iterations=4),
    "vit_large": Config(width=1024, layers=24, heads=16, seventh=512, quarter=256, hidden=128, iterations=8),
}
"""By official name."""


class Metric3D(nn.Module):
    """(N, 3, h, w) normalised RGB -> depth (N, h, w) float32, 0.1..200 metres of the canonical camera.

    The canonical camera has a focal length of 1000 pixels of the network's input. For another camera, multiply by its
    focal length in such pixels / 1000. Raises ValueError unless h and w are multiples of 28. Values in metres are
    float32 whatever the network computes in (``metric3d.refinement``), so it needs no ``float32_parts``.
    """

    def __init__(self, variant: str | Config = "vit_small") -> None:
        super().__init__()
        config = CONFIGS[variant] if isinstance(variant, str) else variant
        self.depth_model = nn.ModuleDict({"encoder": Encoder(config), "decoder": Decoder(config)})

    def forward(self, pixels: Tensor) -> Tensor:
        return self._decode(pixels, all_outputs=False)[:, 0]

    def predict_all(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Depth (N, h, w), the logit of its confidence (N, h, w), normals (N, 4, h, w): unit vector, concentration."""
        outputs = self._decode(pixels, all_outputs=True)
        return outputs[:, 0], outputs[:, 1], outputs[:, 2:]

    def _decode(self, pixels: Tensor, all_outputs: bool) -> Tensor:
        require_multiples(pixels, MULTIPLE)
        h, w = grid_of(pixels, PATCH)
        tokens = self.depth_model["encoder"](pixels)
        return cast(Tensor, self.depth_model["decoder"](tokens, h, w, all_outputs=all_outputs))
