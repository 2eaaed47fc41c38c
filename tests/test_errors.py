"""Errors of other libraries in one line."""

from __future__ import annotations

import pytest

from stream.errors import first_line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one", "one"),
        ("one\ntwo", "one"),
        ("\n  \n  three lines down  \nfour", "three lines down"),
        ("", "ValueError"),
        (" \n ", "ValueError"),
    ],
)
def test_the_first_line_with_text_is_reported(text: str, line: str) -> None:
    """An error without a message is reported by its type."""
    assert first_line(ValueError(text)) == line
