"""Damaged spans: from a gap in what the decoder gets to its next key frame."""

from __future__ import annotations

import pytest

from stream.sources.gstreamer.damage import DamageWatch


def feed(watch: DamageWatch, start: int, count: int, *, key_every: int = 10, gap_at: int | None = None) -> None:
    for pts in range(start, start + count):
        is_delta = pts % key_every != 0
        watch.coded(pts, is_delta=is_delta, is_gap=pts in (0, gap_at), is_corrupt=False)


def damaged(watch: DamageWatch, count: int) -> list[int]:
    return [pts for pts in range(count) if watch.is_damaged(pts)]


def test_a_healthy_stream_has_no_damage() -> None:
    """Its first buffer is flagged as a gap, because nothing was before it."""
    watch = DamageWatch()
    feed(watch, 0, 40)
    assert damaged(watch, 40) == []


def test_damage_lasts_until_the_next_key_frame() -> None:
    watch = DamageWatch()
    feed(watch, 0, 40, gap_at=13)
    assert damaged(watch, 40) == list(range(13, 20))


def test_damage_that_has_not_ended_covers_what_comes() -> None:
    watch = DamageWatch()
    feed(watch, 0, 16, gap_at=13)
    assert damaged(watch, 18) == [13, 14, 15, 16, 17]
    assert watch.is_damaged(None)


def test_a_gap_before_a_key_frame_is_harmless() -> None:
    """The images before it are whole."""
    watch = DamageWatch()
    feed(watch, 0, 30, gap_at=20)
    assert damaged(watch, 30) == []


def test_a_stream_that_starts_without_a_key_frame_is_damaged_until_one() -> None:
    watch = DamageWatch()
    feed(watch, 7, 20)
    assert damaged(watch, 30) == [7, 8, 9]


def test_a_broken_key_frame_and_a_complaint_begin_damage() -> None:
    watch = DamageWatch()
    watch.coded(0, is_delta=False, is_gap=True, is_corrupt=True)
    watch.coded(1, is_delta=True, is_gap=False, is_corrupt=False)
    feed(watch, 10, 5)
    watch.decoder_complained()
    feed(watch, 15, 10)
    assert damaged(watch, 25) == [*range(10), *range(14, 20)]


@pytest.mark.parametrize("gaps", [1000])
def test_what_is_remembered_is_bounded(gaps: int) -> None:
    watch = DamageWatch()
    for start in range(0, 10 * gaps, 10):
        feed(watch, start, 10, gap_at=start + 5)
    assert watch.is_damaged(10 * gaps - 1)
    assert not watch.is_damaged(10 * gaps - 7)


def test_buffers_without_times_count_with_the_last_one() -> None:
    watch = DamageWatch()
    feed(watch, 0, 5)
    watch.coded(None, is_delta=True, is_gap=True, is_corrupt=False)
    assert damaged(watch, 7) == [4, 5, 6]
