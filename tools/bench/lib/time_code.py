"""A time written into an image as black and white squares, and the JavaScript that reads it from a canvas.

A square has the size of JPEG's chroma blocks, so that no quality setting blurs it into its neighbour. Each bit is
written a second time inverted, so that images without a time code, or only half drawn, are not misread.
"""

from __future__ import annotations

import numpy as np

from stream.frames import Image

CELL_PX, COLUMNS, ROWS = 16, 16, 2
"""Side of a square in pixels; squares per row; rows of bits, followed by as many rows of inverted bits."""
BITS = COLUMNS * ROWS
WIDTH_PX, HEIGHT_PX = CELL_PX * COLUMNS, 2 * CELL_PX * ROWS

READ = f"""
function readTime(canvas) {{
  const {{ data }} = canvas.getContext("2d").getImageData(0, 0, {WIDTH_PX}, {HEIGHT_PX});
  let time = 0;
  for (let bit = 0; bit < {BITS}; bit++) {{
    const x = {CELL_PX} * (bit % {COLUMNS}) + {CELL_PX // 2};
    const y = {CELL_PX} * Math.floor(bit / {COLUMNS}) + {CELL_PX // 2};
    const light = (row) => data[4 * (row * {WIDTH_PX} + x) + 1];
    const [straight, opposite] = [light(y) > 127, light(y + {CELL_PX * ROWS}) > 127];
    if (straight === opposite) return null;
    if (straight) time += 2 ** bit;
  }}
  return time;
}}
"""
"""JavaScript function ``readTime(canvas)``: the ``time_ms`` given to ``burn``, or null if there is none."""


def burn(image: Image, time_ms: int) -> None:
    """Write ``time_ms`` modulo 2**32 into the top left 256 x 64 pixels of ``image``, (H, W, 3) uint8."""
    bits = (time_ms >> np.arange(BITS)) & 1
    squares = np.concatenate([bits, 1 - bits]).reshape(2 * ROWS, COLUMNS)
    light = np.kron(squares, np.ones((CELL_PX, CELL_PX), int)).astype(np.uint8)
    image[:HEIGHT_PX, :WIDTH_PX] = 255 * light[..., None]
