"""The input rule of a network with what [model] changes of it: the side, and whether the aspect ratio is kept."""

from __future__ import annotations

from dataclasses import replace

from stream.errors import SettingsError
from stream.frames import Size
from stream.models.spec import InputSpec
from stream.settings import ModelSettings


def adapted(spec: InputSpec, settings: ModelSettings) -> InputSpec:
    """Return ``spec`` with the settings applied. Raises SettingsError for what this network cannot do."""
    side = settings.side or spec.side
    if side != spec.side and spec.fixed_size:
        raise SettingsError(f"[model] side = {side}: {settings.name} takes {spec.side} only; leave it out")
    if side % spec.multiple:
        raise SettingsError(f"[model] side = {side}: {settings.name} needs a multiple of {spec.multiple}")
    if spec.canvas is not None:
        if not settings.keep_aspect:
            raise SettingsError(f"[model] keep_aspect = false: {settings.name} always keeps it; leave it out")
        return replace(spec, side=side, canvas=replace(spec.canvas, size=_scaled_canvas(spec, side)))
    return replace(spec, side=side, keep_aspect=settings.keep_aspect and spec.keep_aspect)


def _scaled_canvas(spec: InputSpec, side: int) -> Size:
    """The canvas with its longer side, which is ``spec.side``, changed to ``side``."""
    assert spec.canvas is not None
    steps = side / spec.side / spec.multiple
    height, width = (max(1, round(length * steps)) * spec.multiple for length in spec.canvas.size)
    return Size(height, width)
