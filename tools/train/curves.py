"""The curves of a training, saved as JSON and drawn as a PNG."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from stream.errors import WeightsError
from tools.train.checkpoint import write_atomically

Point: TypeAlias = dict[str, float]
"""Metric -> value; every point has "steps"."""
Canvas: TypeAlias = NDArray[np.uint8]
"""(H, W, 3) uint8 BGR."""

PANEL = (300, 760)
"""Height and width of a panel, pixels."""
MARGIN = (30, 190, 30, 60)
"""Margins of a panel at the top, right, bottom and left, pixels."""
COLOURS = ((180, 119, 31), (14, 127, 255), (44, 160, 44), (40, 39, 214), (189, 103, 148), (75, 86, 140))
"""BGR colours of the lines, in order."""
INK, GRID = (60, 60, 60), (225, 225, 225)
"""BGR colours of text and grid."""
PANELS = {
    "loss": ("train", ("direct", "fit", "gradients", "ranking", "agreement")),
    "held-out views": ("validation", ("spearman", "spearman_128", "delta1", "agreement")),
}
"""Title of a panel -> the list of points, and the metrics to draw."""


@dataclass(slots=True)
class Curves:
    """Points in the order of their steps."""

    train: list[Point] = field(default_factory=list)
    """Mean losses since the point before."""
    validation: list[Point] = field(default_factory=list)
    """Metrics on the held-out views."""

    def save(self, folder: Path) -> None:
        """Write ``curves.json`` and ``curves.png``."""
        text = json.dumps({"train": self.train, "validation": self.validation}, indent=1)
        write_atomically(folder / "curves.json", lambda path: path.write_bytes(text.encode()))
        image = np.vstack([_panel(title, getattr(self, points), names) for title, (points, names) in PANELS.items()])
        _, file = cv2.imencode(".png", image)
        write_atomically(folder / "curves.png", lambda path: path.write_bytes(file.tobytes()))

    @classmethod
    def load(cls, folder: Path, steps: int) -> Curves:
        """The curves in ``folder`` up to ``steps``, empty without a file. Raises WeightsError for a damaged file."""
        path = folder / "curves.json"
        if not path.exists():
            return cls()
        try:
            content = json.loads(path.read_bytes())
            parts = ([p for p in content[points] if p["steps"] <= steps] for points in ("train", "validation"))
            return cls(*parts)
        except (ValueError, KeyError, TypeError) as error:
            raise WeightsError(
                f"{path}: damaged ({error}); move it away to resume without the earlier curves"
            ) from error


def _panel(title: str, points: list[Point], names: tuple[str, ...]) -> Canvas:
    """Draw one diagram over steps; a legend on the right names the lines and their last values."""
    canvas = np.full((*PANEL, 3), 255, np.uint8)
    _text(canvas, title, (MARGIN[3], 18))
    lines = {name: np.array([(p["steps"], p[name]) for p in points if name in p]).reshape(-1, 2) for name in names}
    values = np.concatenate(list(lines.values()))
    values = values[np.isfinite(values).all(1)]
    if len(values) == 0:
        return canvas
    low, high = values[:, 1].min(), np.quantile(values[:, 1], 0.995)  # a few outliers must not flatten the curves
    high = high if high > low else low + 1
    steps = max(1.0, values[:, 0].max())
    _grid(canvas, low, high, steps)
    for i, (name, line) in enumerate(lines.items()):
        _line(canvas, line, (low, high, steps), COLOURS[i])
        if len(line):
            _text(canvas, f"{name} {line[-1, 1]:.3f}", (PANEL[1] - MARGIN[1] + 8, 50 + 20 * i), COLOURS[i])
    return canvas


def _line(
    canvas: Canvas, line: NDArray[np.float64], limits: tuple[float, float, float], colour: tuple[int, ...]
) -> None:
    low, high, steps = limits
    line = line[np.isfinite(line).all(1)]
    positions = [_position(step, value, low, high, steps) for step, value in line]
    cv2.polylines(canvas, [np.array(positions, np.int32).reshape(-1, 1, 2)], False, colour, 1, cv2.LINE_AA)
    if len(positions) < 60:
        for position in positions:
            cv2.circle(canvas, position, 2, colour, -1, cv2.LINE_AA)


def _grid(canvas: Canvas, low: float, high: float, steps: float) -> None:
    for share in np.linspace(0, 1, 5):
        value, step = low + share * (high - low), share * steps
        left, right = _position(0, value, low, high, steps), _position(steps, value, low, high, steps)
        cv2.line(canvas, left, right, GRID, 1)
        _text(canvas, f"{value:.2f}", (8, left[1] + 4))
        _text(canvas, f"{step:.0f}", (_position(step, low, low, high, steps)[0] - 12, PANEL[0] - 10))


def _position(step: float, value: float, low: float, high: float, steps: float) -> tuple[int, int]:
    top, right, bottom, left = MARGIN
    x = left + step / steps * (PANEL[1] - left - right)
    y = top + (1 - min(1.0, (value - low) / (high - low))) * (PANEL[0] - top - bottom)
    return round(x), round(y)


def _text(canvas: Canvas, text: str, position: tuple[int, int], colour: tuple[int, ...] = INK) -> None:
    cv2.putText(canvas, text, position, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)
