"""The public names of depthstream: video in, depth out.

Importing it costs NumPy only; torch is imported when a model is opened. ``import depthstream`` gives the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stream.errors import DepthStreamError
from stream.frames import DepthMap, Frame, Intrinsics, Size

if TYPE_CHECKING:
    from stream.inference.estimator import Estimator
    from stream.inference.open import open_model

    __version__: str

__all__ = ["DepthMap", "DepthStreamError", "Estimator", "Frame", "Intrinsics", "Size", "__version__", "open_model"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("depthstream")
    if name in ("Estimator", "open_model"):
        from stream.inference import open as opening

        return getattr(opening, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """All public names, also those that are imported on first use, for completion in editors."""
    return list(__all__)
