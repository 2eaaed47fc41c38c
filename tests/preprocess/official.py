"""The reference preprocessing of each network and back: one step after the other, as in the authors' code.

Written from the published rules with numpy and OpenCV only (and PIL, where the authors' code calls it); nothing here
uses the code under test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from stream.frames import Size
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Canvas, InputSpec

ODD_SIZES = [(480, 640), (720, 1280), (271, 641), (97, 33), (8, 8), (577, 768), (1081, 1919), (33, 250), (192, 256)]
HALF = (0.5, 0.5, 0.5)
METRIC3D_MEAN, METRIC3D_STD = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])

MIDAS = InputSpec(256, "upper", 32, IMAGENET_MEAN, IMAGENET_STD)
DEPTH_ANYTHING = InputSpec(518, "lower", 14, IMAGENET_MEAN, IMAGENET_STD, restore="linear_corners")
METRIC3D = InputSpec(
    1064,
    "upper",
    28,
    IMAGENET_MEAN,
    IMAGENET_STD,
    resize="linear",
    restore="linear",
    # the mean colour, in whole numbers: the official code fills the border of an image of bytes
    canvas=Canvas(Size(616, 1064), "centre", "down", (124, 116, 104)),
    round_to_bytes=True,
)


def depth_pro_spec(side: int) -> InputSpec:
    return InputSpec(
        side, "upper", side, HALF, HALF, resize="linear", restore="linear", keep_aspect=False, fixed_size=True
    )


def sam_spec(side: int) -> InputSpec:
    red, green, blue = (255 * mean for mean in IMAGENET_MEAN)  # zero after normalising
    return InputSpec(
        side,
        "upper",
        32,
        IMAGENET_MEAN,
        IMAGENET_STD,
        resize="triangle",
        restore="linear",
        canvas=Canvas(Size(side, side), "top_left", "half_up", (red, green, blue)),
        round_to_bytes=True,
        fixed_size=True,
    )


def resize_rule(camera: Size, spec: InputSpec) -> tuple[int, int]:
    """midas/transforms.py, class Resize, with numpy's rounding, in the official order of operations."""

    def constrain(x: float) -> int:
        y = int(np.round(x / spec.multiple) * spec.multiple)
        if spec.bound == "upper" and y > spec.side:
            y = int(np.floor(x / spec.multiple) * spec.multiple)
        if spec.bound == "lower" and y < spec.side:
            y = int(np.ceil(x / spec.multiple) * spec.multiple)
        return y

    scale_height, scale_width = spec.side / camera.height, spec.side / camera.width
    if (scale_width > scale_height) == (spec.bound == "lower"):
        scale_height = scale_width
    else:
        scale_width = scale_height
    return constrain(scale_height * camera.height), constrain(scale_width * camera.width)


def midas(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """RGB / 255 in float64, resized by OpenCV's cubic, normalised, channels first; Depth Anything, too."""
    height, width = resize_rule(Size(*image.shape[:2]), spec)
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB) / 255.0
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    return ((resized - spec.mean) / spec.std).transpose(2, 0, 1)


def metric3d(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Metric3D's hubconf.py: bytes all the way to the normalisation; sides cut to whole pixels, the image centred."""
    H, W = image.shape[:2]
    scale = min(616 / H, 1064 / W)
    height, width = int(H * scale), int(W * scale)
    rgb = cv2.resize(image[:, :, ::-1], (width, height), interpolation=cv2.INTER_LINEAR)
    top, left = (616 - height) // 2, (1064 - width) // 2
    border = (top, 616 - height - top, left, 1064 - width - left)
    padded = cv2.copyMakeBorder(rgb, *border, cv2.BORDER_CONSTANT, value=METRIC3D_MEAN.tolist())
    return ((padded - METRIC3D_MEAN) / METRIC3D_STD).transpose(2, 0, 1)


def depth_pro(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Normalised first, then bilinear to a square, whatever the image's shape."""
    rgb = (image[:, :, ::-1] / 255 - 0.5) / 0.5
    return bilinear(rgb, (spec.side, spec.side), corners=False).transpose(2, 0, 1)


def sam(image: np.ndarray, spec: InputSpec) -> np.ndarray:
    """EfficientViT's SamResize and SamPad: the longer side to ``side`` by PIL, zeros to the right and below."""
    H, W = image.shape[:2]
    scale = spec.side / max(H, W)
    height, width = int(H * scale + 0.5), int(W * scale + 0.5)
    resized = by_pil(np.ascontiguousarray(image[:, :, ::-1]), (height, width))
    padded = np.zeros((spec.side, spec.side, 3))
    padded[:height, :width] = (resized / 255 - IMAGENET_MEAN) / IMAGENET_STD
    return padded.transpose(2, 0, 1)


def by_pil(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Two calls, because Pillow 13 chooses which side comes first; until then it was the width."""
    from PIL import Image

    wide = Image.fromarray(image).resize((size[1], image.shape[0]), Image.Resampling.BILINEAR)
    return np.array(wide.resize((size[1], size[0]), Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Way:
    """How one network is fed."""

    spec: InputSpec
    rule: Callable[[np.ndarray, InputSpec], np.ndarray]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(3, h, w) float64."""
        return self.rule(image, self.spec)


WAYS = {
    "midas": Way(MIDAS, midas),
    "depth anything": Way(DEPTH_ANYTHING, midas),
    "metric3d": Way(METRIC3D, metric3d),
    "depth pro, small": Way(depth_pro_spec(384), depth_pro),
    "sam 512": Way(sam_spec(512), sam),
}
LARGE_WAYS = {"depth pro": Way(depth_pro_spec(1536), depth_pro), "sam 1024": Way(sam_spec(1024), sam)}
CANVASES = {name: WAYS[name].spec for name in ("metric3d", "depth pro, small", "sam 512")}
"""Networks that take images of any shape in one batch."""


def bilinear(array: np.ndarray, size: tuple[int, int], *, corners: bool) -> np.ndarray:
    """float64, (H, W, ...) -> (h, w, ...): torch's rule, with ``align_corners`` as ``corners`` says."""
    for axis, length in enumerate(size):
        long = array.shape[axis]
        x = (
            np.arange(length) * ((long - 1) / (length - 1))
            if corners
            else (np.arange(length) + 0.5) * long / length - 0.5
        )
        x = np.clip(x, 0, long - 1)
        low = np.minimum(x.astype(int), max(long - 2, 0))
        high = np.minimum(low + 1, long - 1)
        share = (x - low).reshape(-1, *(1,) * (array.ndim - 1 - axis))
        array = array.take(low, axis) * (1 - share) + array.take(high, axis) * share
    return array


def levels(pixels: np.ndarray, spec: InputSpec) -> np.ndarray:
    """(3, h, w) normalised -> whole numbers, 0..255."""
    mean, std = (np.array(values)[:, None, None] for values in (spec.mean, spec.std))
    return np.rint((np.float64(pixels) * std + mean) * 255).astype(int)


def sample_images(size: tuple[int, int]) -> list[np.ndarray]:
    """Noise, and hard edges where a cubic overshoots."""
    noise = np.random.default_rng(size[0]).integers(0, 256, (*size, 3), dtype=np.uint8)
    edges = np.where(noise[:1, :, :] > 127, 255, 0).astype(np.uint8).repeat(size[0], axis=0)
    return [noise, edges]
