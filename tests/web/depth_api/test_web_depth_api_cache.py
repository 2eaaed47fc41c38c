"""What was computed is kept within bounds, and memory is shared out within bounds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.web.depth_api.work import ImageCache, Memory
from stream.web.http_errors import Refusal


def test_what_was_not_asked_for_the_longest_time_goes_first() -> None:
    """Looking at something makes it the newest."""
    cache = ImageCache[str](30)
    for name in "abc":
        cache.put(name, name.upper(), 10)
    assert cache.get("a") == "A"
    cache.put("d", "D", 15)
    assert [cache.get(name) for name in "abcd"] == ["A", None, None, "D"]
    assert (len(cache), cache.size) == (2, 25)


def test_what_is_larger_than_all_room_is_not_kept_and_drives_nothing_out() -> None:
    """And replaces no older value by a wrong one."""
    cache = ImageCache[int](10)
    cache.put("a", 1, 4)
    cache.put("b", 2, 11)
    assert (cache.get("a"), cache.get("b")) == (1, None)
    cache.put("a", 3, 11)
    assert (cache.get("a"), cache.size) == (None, 0)


def test_a_cache_of_nothing_keeps_nothing() -> None:
    """cache_mb = 0."""
    cache = ImageCache[int](0)
    cache.put("a", 1, 1)
    assert (cache.get("a"), len(cache)) == (None, 0)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 60))), st.integers(0, 100))
def test_the_bound_holds_whatever_comes(puts: list[tuple[int, int]], limit: int) -> None:
    """The sum is that of what is kept, and what was put last is there if it can be."""
    cache, sizes = ImageCache[int](limit), dict[int, int]()
    for key, size in puts:
        cache.put(key, size, size)
        sizes[key] = size
        assert cache.get(key) == (size if size <= limit else None)
        kept = [sizes[name] for name in sizes if cache.get(name) is not None]
        assert cache.size == sum(kept) <= limit
        assert len(cache) == len(kept)


def test_many_threads_keep_the_account() -> None:
    """Four of them put and get the same keys."""
    cache = ImageCache[int](500)

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
    """One alone may have more than the limit; beside others nobody passes it."""
    memory = Memory(100)
    with memory.hold() as first:
        first.grow(150)
        with memory.hold() as second:
            with pytest.raises(Refusal) as refusal:
                second.grow(1)
            assert (refusal.value.status, refusal.value.retry_after_s) == (429, 2)
            first.release()
            second.grow(60)
            first.grow(40)
            with pytest.raises(Refusal):
                first.grow(1)
        assert memory.held == 40
    assert memory.held == 0
