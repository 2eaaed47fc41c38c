"""The contact sheet: image, truth, prediction and error below each other for some images, to be judged by eye."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np

from pipelines.evaluation.agreement import SHORT_SIDES_PX
from pipelines.evaluation.result import Result
from stream.core.atomic_write import write_whole
from stream.errors import SinkError
from stream.frames import DepthMap, Floats, Image
from stream.metrics.fit import DEPTH_CAP_M, Array, fitted_inverse, nearness
from stream.render.colormap import lut, paint
from stream.render.panels import side_by_side, stamp_text

ROWS = 12
PANEL_PX = 280
"""Width of a panel."""
COLOURS, ERROR_COLOURS = "inferno", "viridis"
WORST_RATIO = 1.25**3
"""The error panel's last colour: what delta3 counts as wrong."""


def chosen_rows(images: int, rows: int = ROWS) -> frozenset[int]:
    """Numbers of the images on the sheet, evenly spaced, the first and the last among them."""
    return frozenset(round(number) for number in np.linspace(0, images - 1, min(rows, images)))


def sheet_row(judgement: Result) -> Image:
    """(h, 4 panels, 3) uint8 BGR: image, truth, depth, error; without truth image, depth, and depth at two sizes.

    Depth is painted near to far by each map's own 2nd to 98th percentile. The error is the ratio of the fitted depth
    and the truth, either way round, from 1 to 1.25^3.
    """
    sample, guess = judgement.sample, _guess(judgement.depth_map, judgement.depth_map.depth)
    others = _at_both_sizes(judgement, guess) if sample.truth is None else _beside_truth(judgement, sample.truth, guess)
    return side_by_side([(judgement.name, _resized(sample.image)), *others])


def _beside_truth(judgement: Result, truth: Floats, guess: Image) -> list[tuple[str, Image]]:
    depth_map, model = judgement.depth_map, judgement.model
    inverse = 1.0 / np.where(truth > 0, np.minimum(truth.astype(np.float64), DEPTH_CAP_M), np.nan)
    ratio = fitted_inverse(depth_map.depth, truth, depth_map.kind) / inverse
    error = paint(_narrow(np.abs(np.log(ratio))), 0.0, math.log(WORST_RATIO), lut(ERROR_COLOURS))
    return [
        ("truth", _depth_panel(inverse)),
        (f"{depth_map.model}: Spearman {model['spearman']:.2f}, delta1 {model['delta1']:.2f}", guess),
        (f"error: ratio 1 (dark) to {WORST_RATIO:.2f}", error),
    ]


def _at_both_sizes(judgement: Result, guess: Image) -> list[tuple[str, Image]]:
    sizes = zip(SHORT_SIDES_PX, judgement.at_both_sizes, strict=True)
    others = [(f"at {side} px", _guess(judgement.depth_map, depth)) for side, depth in sizes]
    agreement = judgement.model["self_agreement"]
    return [(f"{judgement.depth_map.model}: agreement {agreement:.2f}", guess), *others]


def _guess(depth_map: DepthMap, depth: Floats) -> Image:
    panel = _depth_panel(nearness(depth, depth_map.kind))
    return stamp_text(panel, "random weights") if depth_map.weights == "random" else panel


def write_sheet(path: Path, rows: list[Image]) -> None:
    """The rows below each other as one PNG. Raises SinkError."""
    import cv2

    _, data = cv2.imencode(".png", np.vstack(rows))
    try:
        write_whole(path, data.tobytes())
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error


def _depth_panel(near: Array) -> Image:
    finite = near[np.isfinite(near)]
    low, high = np.percentile(finite, (2, 98)) if finite.size else (0.0, 1.0)
    return paint(_narrow(near), float(low), float(high), lut(COLOURS))


def _narrow(values: Array) -> Floats:
    """float32 at the panel's width; the nearest pixel, because unknown ones must not spread."""
    return cast(Floats, _scaled(values.astype(np.float32), nearest=True))


def _resized(image: Image) -> Image:
    return cast(Image, _scaled(image, nearest=False))


def _scaled(array: Floats | Image, *, nearest: bool) -> Floats | Image:
    import cv2

    height = max(1, round(array.shape[0] * PANEL_PX / array.shape[1]))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cast("Floats | Image", cv2.resize(array, (PANEL_PX, height), interpolation=how))
