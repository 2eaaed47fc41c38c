"""Import of optional packages, with an error that names what to install."""

from __future__ import annotations

import re
from importlib import import_module, metadata
from types import ModuleType

from stream.errors import MissingPackage

_REQUIREMENT = re.compile(r"(?P<package>[\w.-]+)(?P<versions>[^;\s]*)\s*;.*\bextra\s*==\s*['\"](?P<extra>[\w.-]+)['\"]")
"""A requirement of an extra in the metadata, such as ``mcap<2,>=1.5; extra == 'robots'`` (PEP 508)."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``. Raises MissingPackage with the command that installs the packages of ``extra``."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackage(f"{purpose} needs the {module} package: {install_command(extra)}") from error


def install_command(extra: str, package: str | None = None, *, upgrade: bool = False) -> str:
    """The pip command that installs the packages of one extra of depthstream, or only ``package`` of them.

    It names the packages themselves, not ``depthstream[robots]``, because depthstream is on no package index.

    >>> install_command("robots")
    'pip install "mcap>=1.5,<2" (the extra "robots" of depthstream)'
    """
    try:
        lines = metadata.requires("depthstream") or []
    except metadata.PackageNotFoundError:
        lines = []
    matches = [match for match in map(_REQUIREMENT.match, lines) if match and match["extra"] == extra]
    named = [f'"{_requirement(m)}"' for m in matches if package in (None, m["package"])]
    if not named:  # a source tree that was never installed has no metadata, an old editable install lacks new extras
        return f'pip install -e ".[{extra}]" in the checkout of depthstream'
    command = " ".join(["pip install", *(["-U"] if upgrade else []), *named])
    return command if package else f'{command} (the extra "{extra}" of depthstream)'


def _requirement(match: re.Match[str]) -> str:
    """The requirement with its lower bound first, as people write it; the metadata is sorted: "<2,>=1.5"."""
    return match["package"] + ",".join(sorted(match["versions"].split(","), reverse=True))
