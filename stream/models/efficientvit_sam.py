"""EfficientViT-SAM: masks from boxes, in five sizes (docs/reference/models/efficientvit_sam.md)."""

from __future__ import annotations

from stream.frames import Size
from stream.models.base import SegmenterModel, WeightsFile
from stream.models.spec import IMAGENET_MEAN, IMAGENET_STD, Canvas, InputSpec

BOX_FRAME_SIDE = 1024
"""Side of the square in which boxes and masks are given, pixels. It is Segment Anything's input size, whatever this
encoder's is."""
URL = "https://huggingface.co/mit-han-lab/efficientvit-sam/resolve/main"


def _square(side: int) -> InputSpec:
    """A square canvas: the longer side of the image becomes ``side``, and the rest is zero after normalising.

    Follows efficientvit/models/efficientvit/sam.py: SamResize (bytes, by PIL with antialias), ToTensor, Normalize,
    SamPad.
    """
    red, green, blue = (255 * mean for mean in IMAGENET_MEAN)
    return InputSpec(
        side=side,
        bound="upper",
        multiple=32,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        resize="triangle",
        restore="linear",
        canvas=Canvas(Size(side, side), anchor="top_left", rounding="half_up", border=(red, green, blue)),
        round_to_bytes=True,
        fixed_size=True,
    )


def _model(variant: str, parameters: int, side: int, sha256: str) -> SegmenterModel:
    name = f"efficientvit_sam_{variant}"
    weights = WeightsFile(
        filename=f"{name}.pt",
        url=f"{URL}/{name}.pt",
        size_bytes=None,
        sha256=sha256,
        licence="Apache-2.0",
        source="MIT Han Lab, trained on SA-1B (mit-han-lab/efficientvit)",
    )
    return SegmenterModel(
        name=name,
        title=f"EfficientViT-SAM {variant.upper()}",
        spec=_square(side),
        box_frame=_square(BOX_FRAME_SIDE),
        parameters=parameters,
        licence="Apache-2.0",
        weights=weights,
    )


# The project publishes no hashes. L0's was found in three independent public repositories, the others' in one of these,
# which lists all five
EFFICIENTVIT_SAM = (
    _model("l0", 34_792_784, 512, "c4f994b01a16d48bcf2fbbb089448cfbf58fae5811edfa8113c953b8b8cc64b8"),
    _model("l1", 47_650_128, 512, "fa151df2b9b96896accd505470755cdd293a4c50cdabac95478f3fbd86d9152b"),
    _model("l2", 61_328_592, 512, "d4bfd842224cbb99de09acc3325e81ac5b7e8725c8fbdab152305e5d934bfe4a"),
    _model("xl0", 116_957_904, 1024, "9bc2f87bd23d6e6d1f7b5beff910f98835c7c333fac73e695bac0bec685968f8"),
    _model("xl1", 203_346_128, 1024, "10f42277679427c1183dcff19758e536aa86bcc4304e4b387ff48865784be05c"),
)
