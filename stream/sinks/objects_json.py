"""What objects/<stream> says of one image (docs/objects.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream.frames import DepthMap
from stream.objects import Mask, Objects, Place, SeenObject, place_of

MOST_RUNS = 100_000
"""Of all masks of a message together: 400 kB of digits, so that the message stays below 1 MiB."""


def facts_of(seen: Objects, masks: bool = True) -> dict[str, Any]:
    """Ready for JSON. Metres and ranks have different names, so that one is never taken for the other."""
    depth_map = seen.depth_map
    room, objects = (MOST_RUNS if masks else 0), []
    for found in seen.objects:
        mask = runs_of(found.mask, room, found.place) if room else None
        room -= len(mask["runs"]) if mask else 0
        objects.append({**_object(found, depth_map), "mask": mask})
    return {
        "kind": depth_map.kind,
        "unit": depth_map.unit,
        "model": depth_map.model,
        "weights": depth_map.weights,
        "scale_guessed": depth_map.scale_guessed,
        "integrity": depth_map.frame.integrity,
        "width": depth_map.size.width,
        "height": depth_map.size.height,
        "boxes_dropped": dict(seen.dropped),
        "objects": objects,
    }


def runs_of(mask: Mask, most: int = MOST_RUNS, place: Place | None = None) -> dict[str, Any] | None:
    """The rectangle around a mask, and in it, row after row, pixels outside, inside, outside, ... in turn.

    None for a mask without pixels, and for one of more than ``most`` runs.
    """
    rows, columns = place or place_of(mask)
    inside = mask[rows, columns]
    if not inside.size:
        return None
    flat = np.concatenate(([False], inside.ravel(), [not inside[-1, -1]]))  # begins outside, ends where it changes
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(changes, prepend=0)
    if len(runs) > most:
        return None
    return {
        "x": columns.start,
        "y": rows.start,
        "width": inside.shape[1],
        "height": inside.shape[0],
        "runs": runs.tolist(),
    }


def _object(found: SeenObject, depth_map: DepthMap) -> dict[str, Any]:
    box = found.box
    names = ("distance_m", "near_m") if depth_map.kind == "metric" else ("nearness", "near_nearness")
    return {
        "box": [round(side, 1) for side in (box.x0, box.y0, box.x1, box.y1)],
        "label": box.label,
        "score": _rounded(box.score),
        "mask_score": _rounded(found.mask_score) if np.isfinite(found.mask_score) else None,
        "pixels": found.pixels,
        "known": round(found.known, 4),
        names[0]: _rounded(found.median),
        names[1]: _rounded(found.near),
        "centre_m": None if found.centre_m is None else [round(part, 4) for part in found.centre_m],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
