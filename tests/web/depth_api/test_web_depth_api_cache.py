"""The LRU cache and the memory budget stay within their limits."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.web.depth_api.memory import LruCache, MemoryBudget
from stream.web.http_errors import RequestError


def test_the_least_recently_used_entry_is_evicted_first() -> None:
    """Reading an entry makes it the most recent."""
    cache = LruCache[str](30)
    for name in "abc":
        cache.put(name, name.upper(), 10)
    assert cache.get("a") == "A"
    cache.put("d", "D", 15)
    assert [cache.get(name) for name in "abcd"] == ["A", None, None, "D"]
    assert (len(cache), cache.size) == (2, 25)


def test_a_value_above_the_limit_is_not_stored_and_evicts_nothing() -> None:
    """An older value under the same key is removed, so that it cannot be read as the new one."""
    cache = LruCache[int](10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 11)
    assert (cache.get("a"), cache.get("b")) == (1, None)
    cache.put("a", 3, 11)
    assert (cache.get("a"), cache.size) == (None, 0)


def test_a_cache_of_nothing_keeps_nothing() -> None:
    """cache_mb = 0."""
    cache = LruCache[int](0)
    cache.put("a", 1, 1)
    assert (cache.get("a"), len(cache)) == (None, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60))), st.integers(0, 100))
def test_the_bound_holds_whatever_comes(puts: list[tuple[int, int]], limit: int) -> None:
    """The size is the sum of the entries, and the last value is present if it fits."""
    cache, sizes = LruCache[int](limit), dict[int, int]()
    for key, size in puts:
        cache.put(key, size, size)
        sizes[key] = size
        assert cache.get(key) == (size if size <= limit else None)
        kept = [sizes[name] for name in sizes if cache.get(name) is not None]
        assert cache.size == sum(kept) <= limit
        assert len(cache) == len(kept)


def test_many_threads_keep_the_size_consistent() -> None:
    """Four of them put and get the same keys."""
    cache = LruCache[int](500)

    def work(seed: int) -> None:
        for turn in range(2000):
            cache.put((seed * turn) % 37, turn, turn % 90)
            cache.get(turn % 37)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (1, 3, 5, 7)))
    assert 0 <= cache.size <= 500
    cache.put("last", 1, 500)
    assert (len([key for key in range(37) if cache.get(key) is not None]), cache.size) == (0, 500)


def test_memory_that_others_hold_is_refused_and_comes_back() -> None:
    """A request that is alone may exceed the limit; next to others none may."""
    memory = MemoryBudget(100)
    with memory.reserve() as first:
        first.grow(150)
        with memory.reserve() as second:
            with pytest.raises(RequestError) as refusal:
                second.grow(1)
            assert (refusal.value.status, refusal.value.retry_after_s) == (429, 2)
            first.release()
            second.grow(60)
            first.grow(40)
            with pytest.raises(RequestError):
                first.grow(1)
        assert memory.used == 40
    assert memory.used == 0
