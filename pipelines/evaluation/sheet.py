"""The contact sheet: one row of panels (image, ground truth, prediction, error) for each of a few images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import numpy as np

from pipelines.evaluation.agreement import SHORT_SIDES_PX
from pipelines.evaluation.result import Result
from stream.core.atomic_write import atomic_write
from stream.errors import SinkError
from stream.frames import DepthMap, Floats, Image
from stream.metrics.fit import DEPTH_CAP_M, Array, fitted_inverse, nearness
from stream.render.colormap import lut, paint
from stream.render.panels import side_by_side, stamp_text

ROWS = 12
PANEL_PX = 280
"""Width of a panel, pixels."""
COLOURS, ERROR_COLOURS = "inferno", "viridis"
WORST_RATIO = 1.25**3
"""The ratio that gets the error panel's last colour; from here on delta3 counts a pixel as wrong."""


def chosen_rows(images: int, rows: int = ROWS) -> frozenset[int]:
    """Indices of the images on the sheet: evenly spaced, including the first and the last."""
    return frozenset(round(number) for number in np.linspace(0, images - 1, min(rows, images)))


def sheet_row(result: Result) -> Image:
    """One row of four panels, (h, 4 * PANEL_PX, 3) uint8 BGR.

    The panels are image, ground truth, depth and error; without ground truth image, depth, and depth at two sizes.
    Depth is painted near to far by each map's own 2nd to 98th percentile. The error is the ratio of fitted depth and
    ground truth, the larger over the smaller, from 1 to 1.25^3.
    """
    sample, prediction = result.sample, _prediction_panel(result.depth_map, result.depth_map.depth)
    if sample.ground_truth is None:
        others = _panels_at_both_sizes(result, prediction)
    else:
        others = _panels_with_error(result, sample.ground_truth, prediction)
    return side_by_side([(result.name, _resized(sample.image)), *others])


def write_sheet(path: Path, rows: list[Image]) -> None:
    """Write the rows, stacked vertically, as one PNG. Raises SinkError."""
    import cv2

    _, data = cv2.imencode(".png", np.vstack(rows))
    try:
        atomic_write(path, data.tobytes())
    except OSError as error:
        raise SinkError(f"{path}: cannot be written: {error.strerror}") from error


def _panels_with_error(result: Result, ground_truth: Floats, prediction: Image) -> list[tuple[str, Image]]:
    depth_map, model = result.depth_map, result.model
    inverse = 1.0 / np.where(ground_truth > 0, np.minimum(ground_truth.astype(np.float64), DEPTH_CAP_M), np.nan)
    ratio = fitted_inverse(depth_map.depth, ground_truth, depth_map.kind) / inverse
    # The logarithm makes too near and too far by one factor the same error.
    error = paint(_narrow(np.abs(np.log(ratio))), 0.0, math.log(WORST_RATIO), lut(ERROR_COLOURS))
    return [
        ("ground truth", _depth_panel(inverse)),
        (f"{depth_map.model}: Spearman {model['spearman']:.2f}, delta1 {model['delta1']:.2f}", prediction),
        (f"error: ratio 1 (dark) to {WORST_RATIO:.2f}", error),
    ]


def _panels_at_both_sizes(result: Result, prediction: Image) -> list[tuple[str, Image]]:
    sizes = zip(SHORT_SIDES_PX, result.at_both_sizes, strict=True)
    others = [(f"at {side} px", _prediction_panel(result.depth_map, depth)) for side, depth in sizes]
    agreement = result.model["self_agreement"]
    return [(f"{result.depth_map.model}: agreement {agreement:.2f}", prediction), *others]


def _prediction_panel(depth_map: DepthMap, depth: Floats) -> Image:
    panel = _depth_panel(nearness(depth, depth_map.kind))
    return stamp_text(panel, "random weights") if depth_map.weights == "random" else panel


def _depth_panel(near: Array) -> Image:
    finite = near[np.isfinite(near)]
    low, high = np.percentile(finite, (2, 98)) if finite.size else (0.0, 1.0)
    return paint(_narrow(near), float(low), float(high), lut(COLOURS))


def _narrow(values: Array) -> Floats:
    """float32 at the panel's width, sampled at the nearest pixel so that unknown pixels do not spread."""
    return cast(Floats, _scaled(values.astype(np.float32), nearest=True))


def _resized(image: Image) -> Image:
    return cast(Image, _scaled(image, nearest=False))


def _scaled(array: Floats | Image, *, nearest: bool) -> Floats | Image:
    import cv2

    height = max(1, round(array.shape[0] * PANEL_PX / array.shape[1]))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_AREA
    return cast("Floats | Image", cv2.resize(array, (PANEL_PX, height), interpolation=how))
