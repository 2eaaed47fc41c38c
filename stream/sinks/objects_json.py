"""The JSON of objects/<stream> for one image (docs/how-to/objects.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.frames import DepthMap
from stream.objects import Bounds, Mask, MeasuredObject, Objects, bounds_of

MAX_RUNS = 100_000
"""Limit over all masks of a message: 400 kB of digits, so that the message stays below 1 MiB."""


def facts_of(objects: Objects, masks: bool = True) -> dict[str, Any]:
    """Convert to JSON values. Metres and ranks have different keys, so that one is never taken for the other."""
    depth_map = objects.depth_map
    runs_left, entries = (MAX_RUNS if masks else 0), []
    for each in objects.objects:
        mask = runs_of(each.mask, runs_left, each.bounds) if runs_left else None
        runs_left -= len(mask["runs"]) if mask else 0
        entries.append({**_object(each, depth_map), "mask": mask})
    return {
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "model": depth_map.model,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "integrity": depth_map.frame.integrity,
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        "boxes_dropped": dict(objects.dropped),
        "objects": entries,
    }


def runs_of(mask: Mask, max_runs: int = MAX_RUNS, bounds: Bounds | None = None) -> dict[str, Any] | None:
    """The bounding rectangle of a mask and the run lengths inside that rectangle, row by row.

    The runs count pixels outside and inside the mask in turn, beginning outside. Returns None for a mask without pixels
    and for one with more than ``max_runs`` runs.
    """
    rows, columns = bounds or bounds_of(mask)
    inside = mask[rows, columns]
    if not inside.size:
        return None
    # Starts outside the mask, and appends a change after the last pixel so that the last run ends too.
    flat = np.concatenate(([False], inside.ravel(), [not inside[-1, -1]]))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(changes, prepend=0)
    if len(runs) > max_runs:
        return None
    return {
        "x": columns.start,
        "y": rows.start,
        "width": inside.shape[1],
        "height": inside.shape[0],
        "runs": runs.tolist(),
    }


def _object(measured: MeasuredObject, depth_map: DepthMap) -> dict[str, Any]:
    box = measured.box
    keys = ("distance_m", "near_m") if depth_map.kind == "metric" else ("nearness", "near_nearness")
    return {
        "box": [round(side, 1) for side in (box.x0, box.y0, box.x1, box.y1)],
        "label": box.label,
        "score": _rounded(box.score),
        "mask_score": _rounded(measured.mask_score) if np.isfinite(measured.mask_score) else None,
        "pixels": measured.pixels,
        "known": round(measured.known, 4),
        keys[0]: _rounded(measured.median),
        keys[1]: _rounded(measured.near),
        "centre_m": None if measured.centre_m is None else [round(part, 4) for part in measured.centre_m],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
