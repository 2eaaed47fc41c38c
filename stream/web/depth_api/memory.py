"""Bounds on the image service's memory: an LRU cache of results, and a budget for uploads and responses in transit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from stream.web.http_errors import RequestError

T = TypeVar("T")

RETRY_S = 2
"""Retry-After when the memory budget is exhausted: uploads and responses take a matter of seconds."""


class _Entry(NamedTuple, Generic[T]):
    value: T
    size: int


class LruCache(Generic[T]):
    """Least recently used cache of at most ``limit`` bytes; 0 disables it. Thread safe."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, _Entry[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Sum of the sizes passed to ``put``, bytes."""
        return self._size

    def get(self, key: Hashable) -> T | None:
        """The value under ``key``, which becomes the most recently used; None if there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry.value

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Store ``value`` of ``size`` bytes and evict others to make room; a value above the limit is not stored."""
        with self._lock:
            self._evict(key)
            if size > self._limit:
                return
            self._entries[key] = _Entry(value, size)
            self._size += size
            while self._size > self._limit:
                self._evict(next(iter(self._entries)))

    def _evict(self, key: Hashable) -> None:
        entry = self._entries.pop(key, None)
        self._size -= entry.size if entry else 0


class MemoryBudget:
    """A limit, in bytes, on what all requests hold together. Used by the event loop's thread only.

    A request that is alone may exceed the limit: otherwise one large response could never be sent.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0

    def reserve(self) -> Reservation:
        """An empty reservation; everything it grows to is freed when its ``with`` block ends."""
        return Reservation(self)


class Reservation:
    """One request's share of a MemoryBudget."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget, self.used = budget, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def grow(self, size: int) -> None:
        """Reserve ``size`` bytes more. Raises RequestError 429 when this and the other requests exceed the limit."""
        budget = self._budget
        is_alone = budget.used <= self.used
        if not is_alone and budget.used + size > budget.limit:
            raise RequestError(429, "too many images are on their way at once: come back a little later", RETRY_S)
        self.used += size
        budget.used += size

    def release(self) -> None:
        """Free everything; may be called again."""
        self._budget.used -= self.used
        self.used = 0
