"""Spelling suggestions for error messages."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message: ``; did you mean "x"?`` if a known name is similar, else all known names."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(names)}"
