"""Where a recording goes, by the settings' path."""

from __future__ import annotations

from pathlib import Path


def recording_path(template: str, camera: str) -> Path:
    """``{camera}`` in ``template`` stands for the camera's name, without slashes; ~ for the home folder."""
    return Path(template.replace("{camera}", camera.replace("/", "_"))).expanduser()
