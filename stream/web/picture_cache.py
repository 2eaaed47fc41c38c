"""What was computed, kept up to a number of bytes; what was not asked for the longest time goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class _Kept(NamedTuple, Generic[T]):
    value: T
    size: int


class PictureCache(Generic[T]):
    """Least recently used first out; ``limit`` bytes in all, 0 keeps nothing. For any number of threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[Hashable, _Kept[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes kept, as their givers counted them."""
        return self._size

    def get(self, key: Hashable) -> T | None:
        """What is kept under ``key``, which is the newest from now on."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                return None
            self._kept.move_to_end(key)
            return kept.value

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Keep ``value``, of ``size`` bytes, and forget others for it; one larger than all room is not kept."""
        with self._lock:
            self._forget(key)
            if size > self._limit:
                return
            self._kept[key] = _Kept(value, size)
            self._size += size
            while self._size > self._limit:
                self._forget(next(iter(self._kept)))

    def _forget(self, key: Hashable) -> None:
        old = self._kept.pop(key, None)
        self._size -= old.size if old else 0
