"""Fixtures that several rigs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rigs.xvfb import Screen, x_screen


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    """One X server for the tests of a file."""
    import cv2

    if not cv2.currentUIFramework():
        pytest.skip("OpenCV was installed without window functions: pip install opencv-python")
    with x_screen() as running:
        yield running
