"""Which batches a captured graph is made for: few, and never twice the work that was asked for."""

from __future__ import annotations

from collections.abc import Sequence


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """The batches that are captured: powers of two, and the largest. Others are filled up to the next one."""
    return (*(1 << i for i in range(max_batch.bit_length()) if 1 << i < max_batch), max_batch)


def padded(n: int, sizes: Sequence[int]) -> int:
    """The smallest of ``sizes``, in rising order, that holds ``n`` images."""
    return next(size for size in sizes if size >= n)
