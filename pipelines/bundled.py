"""The config files that come with the package: one of each kind of pipeline, to run as they are or to begin with."""

from __future__ import annotations

from pathlib import Path

from stream.core.suggest import nearest
from stream.errors import SettingsError

_HERE = Path(__file__).parent
FOLDERS = (_HERE / "configs", _HERE.parent / "configs")
"""Of the installed package; of a checkout."""


def bundled() -> dict[str, Path]:
    """Their files by name, in the order of the alphabet."""
    folder = next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0])
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_bundled(name: str) -> Path:
    """Raises SettingsError for a name that none has."""
    known = bundled()
    if name not in known:
        raise SettingsError(f"no config named {name} comes with depthstream{nearest(name, known)}")
    return known[name]


def config_path(given: Path) -> Path:
    """The file that is meant: ``given`` itself, or where there is none and it is a bare name, the bundled one.

    Raises SettingsError for neither; a path is never taken for a name, because it means somebody's own file.
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
    begin = f"; to begin with one: depthstream config {given.stem} > {given.name}" if given.stem in known else ""
    raise SettingsError(f"{given}: no such config file{begin}")
