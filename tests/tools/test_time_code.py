"""The time that tools/bench/web.py burns into its images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tools.bench.lib import time_code


def read(image: np.ndarray) -> tuple[int, int]:
    """The number in the squares, and the number in their opposites."""
    middles = image[time_code.CELL_PX // 2 :: time_code.CELL_PX, time_code.CELL_PX // 2 :: time_code.CELL_PX, 1] > 127
    rows = middles[: 2 * time_code.ROWS, : time_code.COLUMNS].reshape(2, time_code.BITS)
    straight, opposite = (int(sum(1 << bit for bit, light in enumerate(row) if light)) for row in rows)
    return straight, opposite


@pytest.mark.parametrize("time_ms", [0, 1_700_000_000_123, 2**32 - 1])
def test_a_time_survives_jpeg(time_ms: int) -> None:
    """Modulo 2**32, over any image, and with its opposite below it."""
    image = np.random.default_rng(0).integers(0, 256, (120, 320, 3), np.uint8)
    below = image[time_code.HEIGHT_PX :].copy()
    time_code.burn(image, time_ms)
    _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 50])
    straight, opposite = read(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    assert straight == time_ms % 2**32
    assert opposite == 2**32 - 1 - straight
    assert (image[time_code.HEIGHT_PX :] == below).all()
