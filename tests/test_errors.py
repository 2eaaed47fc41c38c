"""Others' errors in a line of ours."""

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
def test_the_first_line_that_says_something_is_told(text: str, line: str) -> None:
    """An error that says nothing is told by its type."""
    assert first_line(ValueError(text)) == line
