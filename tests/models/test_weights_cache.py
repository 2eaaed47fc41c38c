"""Where fetched files are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.models.cache import acceptance_path, cache_folder, converted_path, trace_folder, weights_path
from stream.models.midas_small import MIDAS_SMALL


@pytest.mark.parametrize(
    ("own", "xdg", "expected"),
    [
        ("/own", "/xdg", "/own"),
        ("", "/xdg", "/xdg/depthstream"),
        ("~/own", "", "/home/me/own"),
        ("", "", "/home/me/.cache/depthstream"),
        ("", "relative/is/ignored", "/home/me/.cache/depthstream"),
    ],
)
def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, own: str, xdg: str, expected: str) -> None:
    """Our own variable first, then the desktop's, then the home folder; read at every call."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", own)
    monkeypatch.setenv("XDG_CACHE_HOME", xdg)
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path(expected)
    assert trace_folder() == Path(expected) / "traces"
    assert weights_path(MIDAS_SMALL) == Path(expected) / "weights" / "midas_v21_small_256.pt"
    assert converted_path(MIDAS_SMALL) == Path(expected) / "converted" / "midas_v21_small_256.pt.safetensors"
    assert acceptance_path(MIDAS_SMALL).parent == weights_path(MIDAS_SMALL).parent
