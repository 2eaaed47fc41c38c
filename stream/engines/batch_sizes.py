"""The batch sizes that CUDA graphs are captured for: few, and at most twice as large as the batch that runs."""

from __future__ import annotations

from collections.abc import Sequence


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """Powers of two below ``max_batch``, and ``max_batch``. Other batches are padded to the next one."""
    return (*(1 << i for i in range(max_batch.bit_length()) if 1 << i < max_batch), max_batch)


def padded_batch(n: int, sizes: Sequence[int]) -> int:
    """The smallest of ``sizes``, which are in rising order, that holds ``n`` images."""
    return next(size for size in sizes if size >= n)
