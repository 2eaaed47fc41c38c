"""A pipeline snapshot as plain JSON values, for files and for HTTP.

Numbers that JSON cannot represent (infinite, NaN) become null, and no text holds a password.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stream.core.log import redact
from stream.runtime.stats import PipelineStats, StageStats


def stats_json(stats: PipelineStats) -> dict[str, Any]:
    """The whole snapshot; drops become a list of camera, reason and number of frames."""
    data = asdict(stats)
    data["unaccounted"] = stats.unaccounted
    data["cameras"] = camera_json(stats)
    for place in (*data["stages"], *data["edges"]):  # (camera, reason) is no key of a JSON object
        place["dropped"] = [{"camera": c, "reason": r, "frames": n} for (c, r), n in place["dropped"].items()]
    for entry, account in zip(data["accounts"], stats.accounts, strict=True):
        entry["in_flight"] = account.in_flight
        entry["line"] = str(account)
    plain: dict[str, Any] = plain_json(data)
    return plain


def camera_json(stats: PipelineStats) -> list[dict[str, Any]]:
    """For each camera: its health, its frames at each terminal with drops by reason, and their age there."""
    health = {camera.name: asdict(camera) for camera in stats.cameras}
    return [
        {
            **health.get(name, {"name": name}),
            "frames": [
                {"terminal": a.terminal, "captured": a.captured, "published": a.published, "dropped": dict(a.dropped)}
                for a in stats.accounts
                if a.camera == name
            ],
            "age": {s.name: asdict(s.age_by_camera[name]) for s in terminals(stats) if name in s.age_by_camera},
        }
        for name in camera_names(stats)
    ]


def camera_names(stats: PipelineStats) -> list[str]:
    """Live cameras first, then those known only by their frames: files and rendered scenes."""
    return list(dict.fromkeys([*(camera.name for camera in stats.cameras), *(a.camera for a in stats.accounts)]))


def terminals(stats: PipelineStats) -> list[StageStats]:
    """The stages from which frames leave the pipeline."""
    ends = {account.terminal for account in stats.accounts}
    return [stage for stage in stats.stages if stage.name in ends]


def plain_json(value: Any) -> Any:
    """``value`` with null for numbers that JSON does not have (RFC 8259, section 6), and passwords in URLs hidden."""
    if isinstance(value, Mapping):
        return {redact(str(key)): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, str):
        return redact(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
