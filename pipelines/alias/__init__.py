"""``import depthstream``: the public names of ``stream`` under the name of the distribution.

The build copies this folder to ``depthstream/`` (force-include in pyproject.toml), also in an editable install, so that
the repository needs no third package at its top level. As with ``import stream``, torch is imported when a model is
opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import stream

if TYPE_CHECKING:
    from stream import DepthMap, DepthStreamError, Estimator, Frame, Intrinsics, Size, __version__, open_model

__all__ = ["DepthMap", "DepthStreamError", "Estimator", "Frame", "Intrinsics", "Size", "__version__", "open_model"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(stream, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
