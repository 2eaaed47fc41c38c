"""What others' errors say, in one line."""

from __future__ import annotations


def first_line(error: BaseException) -> str:
    """The first that is not blank; the error's type where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
