"""Config files that come with the package, one for each kind of pipeline."""

from __future__ import annotations

from pathlib import Path

from stream.core.suggest import nearest
from stream.errors import SettingsError

_HERE = Path(__file__).parent
FOLDERS = (_HERE / "configs", _HERE.parent / "configs")
"""The folder in an installed package, and the one in a checkout."""


def bundled() -> dict[str, Path]:
    """The files by name, in alphabetical order."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_bundled(name: str) -> Path:
    """The bundled file of that name. Raises SettingsError for an unknown name."""
    known = bundled()
    if name not in known:
        raise SettingsError(f"no config named {name} comes with depthstream{nearest(name, known)}")
    return known[name]


def config_path(given: Path) -> Path:
    """``given`` if it exists, else the bundled file if ``given`` is a bare name. Raises SettingsError otherwise.

    A path with a folder or a suffix is never taken as a bundled name, because it means a file of the user's own.
    """
    if given.exists():
        return given
    known = bundled()
    if given.name == str(given) and not given.suffix:
        if given.name in known:
            return known[given.name]
        raise SettingsError(
            f"{given}: no such config file, and no bundled one has this name{nearest(given.name, known)}"
        )
    hint = f"; to begin with one: depthstream config {given.stem} > {given.name}" if given.stem in known else ""
    raise SettingsError(f"{given}: no such config file{hint}")
