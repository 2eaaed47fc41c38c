"""Optional packages: the module, or an error that says what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from stream.errors import MissingPackage


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """``module``, imported. Raises MissingPackage naming the extra of depthstream that brings it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackage(f'{purpose} needs the {module} package: pip install "depthstream[{extra}]"') from error
