"""Losses in real streams, by FFmpeg's pixels: no wrong image is called right, no untouched one is suspected."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from typing import NamedTuple

import pytest

from stream.sources.network.h264 import Continuity, GapDetector, Sps, first_sps
from tests.sources.network.h264.h264_streams import (
    FPS,
    STRUCTURES,
    Decoder,
    Unit,
    encoded,
    is_idr,
    is_reference,
    shown,
)

IMAGES, KEY_EVERY = 100, 33
WITH_B = [name for name, options in STRUCTURES.items() if "bframes=0" not in options]
EVERY_SINGLE = ("p", "b-pyramid")
EACH = [pytest.param(name, marks=pytest.mark.slow if name in EVERY_SINGLE else ()) for name in STRUCTURES]


class Outcome(NamedTuple):
    """Indices of images."""

    wrong_but_clean: list[int]
    tainted_but_right: list[int]
    reports: list[int]
    """Units before which references were said to be missing."""


def watch(units: Sequence[Unit], expected: dict[int, bytes], *, with_times: bool = True) -> Outcome:
    """Decode as a receiver does: a report taints all images until one is said to be right again."""
    detector, decoder, outcome = GapDetector(), Decoder(), Outcome([], [], [])
    right_from = -math.inf
    for unit in [*units, None]:
        if unit is not None:
            continuity = detector.check(unit.data, unit.index / FPS if with_times else None)
            if continuity.repeated:
                continue
            if continuity.missing:
                outcome.reports.append(unit.index)
                right_from = math.inf
            if continuity.recovered and right_from == math.inf:
                right_from = unit.index
        for index, pixels in decoder.images(unit):
            tainted, wrong = index < right_from, pixels != expected[index]
            if wrong and not tainted:
                outcome.wrong_but_clean.append(index)
            if tainted and not wrong:
                outcome.tainted_but_right.append(index)
    return outcome


def without(units: Sequence[Unit], lost: Collection[int]) -> list[Unit]:
    """``lost``: places in decoding order."""
    return [unit for place, unit in enumerate(units) if place not in lost]


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_an_untouched_stream_is_never_suspected(structure: str, times: bool) -> None:
    """600 images: a recording that a camera plays again and again."""
    units = encoded(structure, IMAGES, KEY_EVERY)
    detector = GapDetector()
    for turn in range(6):
        for unit in units:
            media_s = (turn * IMAGES + unit.index) / FPS if times else None
            continuity = detector.check(unit.data, media_s)
            assert not continuity.missing
            assert not continuity.repeated
            if is_idr(unit):
                assert continuity.recovered


@pytest.mark.parametrize("structure", EACH)
def test_no_wrong_image_is_clean_whatever_was_lost(structure: str) -> None:
    """Single images (in two structures each of a group), runs around a key frame, and every tenth image."""
    units = encoded(structure, IMAGES, KEY_EVERY)
    expected = shown(units)
    step = 1 if structure in EVERY_SINGLE else 3
    singles = [range(place, place + 1) for place in range(KEY_EVERY - 3, 2 * KEY_EVERY + 4, step)]
    runs = [range(place, place + length) for place in (34, 36, 41, 62) for length in (2, 15, 16, 17, 33)]
    for lost in [*singles, *runs, range(7, IMAGES, 10)]:
        outcome = watch(without(units, lost), expected)
        assert not outcome.wrong_but_clean, f"lost {lost}"
        if outcome.reports:
            assert any(is_reference(units[place]) for place in lost)


def test_a_loss_spoils_all_images_up_to_the_next_key_frame_and_no_more() -> None:
    units = encoded("p", IMAGES, KEY_EVERY)
    outcome = watch(without(units, [40]), shown(units))
    assert outcome == Outcome([], [], [41])


def test_only_times_tell_of_a_lost_key_frame_whose_successor_has_the_number_that_is_due() -> None:
    """With a key frame in every 33 images and numbers that wrap at 16, the first image after it has number 1 twice."""
    units = encoded("p", IMAGES, KEY_EVERY)
    assert is_idr(units[66])
    blind = watch(without(units, [66]), shown(units), with_times=False)
    assert len(blind.wrong_but_clean) == 32
    assert watch(without(units, [66]), shown(units)) == Outcome([], [], [67])


def test_a_camera_that_pauses_is_not_suspected_where_no_loss_would_fit() -> None:
    """An image follows 0.2 s later than usual, and its number is the next."""
    detector = GapDetector()
    for unit in encoded("p", IMAGES, KEY_EVERY):
        pause_s = 0.2 if unit.index >= 46 else 0.0
        assert not detector.check(unit.data, unit.index / FPS + pause_s).missing


@pytest.mark.parametrize("structure", WITH_B)
def test_lost_images_to_which_no_other_refers_are_not_reported(structure: str) -> None:
    units = encoded(structure, IMAGES, KEY_EVERY)
    expected = shown(units)
    spare = [place for place, unit in enumerate(units) if not is_reference(unit)]
    assert len(spare) > IMAGES // 4
    for lost in (spare, spare[::3], spare[7:8]):
        assert watch(without(units, lost), expected) == Outcome([], [], [])


def test_gaps_that_the_stream_allows_are_not_reported() -> None:
    """As streams with temporal layers do when a proxy leaves out the upper ones."""
    units = [Unit(allow_gaps(unit.data), unit.index) for unit in encoded("p", IMAGES, KEY_EVERY)]
    sps = first_sps(units[0].data)
    assert sps is not None
    assert sps.gaps_allowed
    detector = GapDetector()
    kept = without(units, [place for place, unit in enumerate(units) if place % 2 and not is_idr(unit)])
    assert not any(detector.check(unit.data, unit.index / FPS).missing for unit in kept)


def allow_gaps(data: bytes) -> bytes:
    """Sets gaps_in_frame_num_value_allowed_flag: the bit that changes this field and no other."""
    at = data.find(b"\0\0\1\x67")
    original = first_sps(data)
    if at < 0 or original is None:
        return data
    for bit in range(8 * (at + 4), 8 * (at + 30)):
        changed = bytearray(data)
        changed[bit // 8] ^= 128 >> bit % 8
        if first_sps(bytes(changed)) == Sps(**{**original._asdict(), "gaps_allowed": True}):
            return bytes(changed)
    raise AssertionError("no such bit")


def test_a_repeated_unit_is_told_because_decoding_it_twice_damages_what_follows() -> None:
    units = encoded("p", IMAGES, KEY_EVERY)
    expected = shown(units)
    twice = [*units[:41], *units[40:]]
    assert sum(pixels != expected[index] for index, pixels in shown(tuple(twice)).items()) > 20
    assert watch(twice, expected) == Outcome([], [], [])


def test_a_gradual_refresh_ends_the_damage_without_a_key_frame() -> None:
    units = encoded("intra-refresh", IMAGES, KEY_EVERY)
    assert sum(is_idr(unit) for unit in units) == 1
    outcome = watch(without(units, [20]), shown(units))
    assert outcome.reports == [21]
    assert not outcome.wrong_but_clean
    assert len(outcome.tainted_but_right) < 5


def test_other_damage_makes_a_refresh_under_way_void() -> None:
    units = encoded("intra-refresh", IMAGES, KEY_EVERY)

    def recoveries(*, damaged_at: int) -> list[int]:
        detector, found = GapDetector(), []
        for unit in units:
            if unit.index == damaged_at:
                detector.damaged()
            if detector.check(unit.data).recovered:
                found.append(unit.index)
        return found

    untouched = recoveries(damaged_at=-1)
    assert untouched[0] == 0
    end = untouched[1]
    assert KEY_EVERY < end < 2 * KEY_EVERY
    assert recoveries(damaged_at=end - 1) == [index for index in untouched if index != end]


def test_an_open_group_is_right_from_its_first_image_on() -> None:
    """Images that come after it in the stream and are shown before it may refer to what was lost."""
    units = encoded("open-gop", IMAGES, KEY_EVERY)
    entry = next(place for place, unit in enumerate(units) if unit.index == KEY_EVERY)
    assert not is_idr(units[entry])
    lost = range(max(place for place in range(entry) if is_reference(units[place])), entry)
    detector = GapDetector()
    results = {unit.index: detector.check(unit.data) for unit in without(units, lost)}
    assert results[KEY_EVERY] == Continuity(missing=True, recovered=True)
    assert not any(continuity.missing for index, continuity in results.items() if index != KEY_EVERY)
    outcome = watch(without(units, lost), shown(units))
    assert not outcome.wrong_but_clean
    assert all(index < KEY_EVERY for index in outcome.tainted_but_right)


def test_uneven_time_stamps_are_not_suspected() -> None:
    """A camera that stamps images when its program gets to them: up to half an interval late."""
    detector, chance = GapDetector(), random.Random(3)
    for turn in range(10):
        for unit in encoded("p", IMAGES, KEY_EVERY):
            uneven_s = (turn * IMAGES + unit.index + chance.random() / 2) / FPS
            assert not detector.check(unit.data, uneven_s).missing
