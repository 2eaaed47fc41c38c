"""`depthstream config`: the config files that come with the package."""

from __future__ import annotations

import sys

from pipelines.bundled import bundled, find_bundled


def print_config(name: str | None) -> None:
    """One as it is, comments and all; without a name, which there are. Raises SettingsError for an unknown name."""
    if name is not None:
        sys.stdout.write(find_bundled(name).read_text(encoding="utf-8"))
        return
    for each, path in bundled().items():
        print(f"{each:10}{_title(path.read_text(encoding='utf-8'))}")


def _title(text: str) -> str:
    """The sentence that it begins with."""
    return text.partition("\n")[0].removeprefix("# ")
