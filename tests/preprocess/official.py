"""The straightforward way of pictures into a network: float64, one step after the other, as the authors' code goes."""

from __future__ import annotations

import cv2
import numpy as np

from stream.frames import Size
from stream.input_spec import IMAGENET_MEAN, IMAGENET_STD, InputSpec
from stream.preprocess.geometry import network_size

MIDAS = InputSpec(256, "upper", 32, IMAGENET_MEAN, IMAGENET_STD)
DEPTH_ANYTHING = InputSpec(518, "lower", 14, IMAGENET_MEAN, IMAGENET_STD)
ODD_SIZES = [(480, 640), (720, 1280), (271, 641), (97, 33), (8, 8), (577, 768), (1081, 1919), (33, 500), (192, 256)]


def official(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """RGB / 255 in float64, resized, normalised, channels first."""
    size = network_size(Size(*image.shape[:2]), spec)
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) / 255.0
    resized = cv2.resize(rgb, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    return ((resized - spec.mean) / spec.std).transpose(2, 0, 1)


def pictures(size: tuple[int, int]) -> list[np.ndarray]:
    """Noise, and hard edges where a cubic overshoots."""
    noise = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
    edges = np.where(noise[:1, :, :] > 127, 255, 0).astype(np.uint8).repeat(size[0], axis=0)
    return [noise, edges]
