"""Networks as torch-only modules. ``build`` loads torch; importing this package does not."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from stream.errors import UnknownModel
from stream.spelling import nearest

if TYPE_CHECKING:
    from torch import nn

_CLASSES = {"midas_small": ("midas", "MidasSmall"), "tiny": ("tiny", "TinyDepth")}
"""Name of the network: the module beside this one and the class in it."""


def build(name: str) -> nn.Module:
    """A network of that architecture in eval mode, with torch's initial values. Raises UnknownModel."""
    module, class_name = _lookup(name)
    network: nn.Module = getattr(import_module(f"{__name__}.{module}"), class_name)()
    return network.eval()


def code_version(name: str) -> str:
    """Changes whenever the network's source does: what was traced from older code is not used again."""
    module, _ = _lookup(name)
    return hashlib.sha256(Path(__file__).with_name(f"{module}.py").read_bytes()).hexdigest()[:12]


def _lookup(name: str) -> tuple[str, str]:
    if name not in _CLASSES:
        raise UnknownModel(f'no network "{name}"{nearest(name, _CLASSES)}')
    return _CLASSES[name]
