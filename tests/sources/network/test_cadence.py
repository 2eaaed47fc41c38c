"""Cadence and Backlog: what comes in a burst was held up somewhere."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from random import Random

import pytest

from stream.core.clock import NS_PER_S
from stream.sources.network import backlog as module
from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.backlog import Backlog
from stream.sources.network.cadence import Cadence


def ages_s(gaps_s: Iterable[float]) -> list[float]:
    """Age on arrival of images that come with these gaps."""
    cadence, ages = Cadence(), []
    for at_s in accumulate(gaps_s, initial=1000.0):
        at_ns = round(at_s * NS_PER_S)
        ages.append((at_ns - cadence.captured_ns(AccessUnit(b"", True, at_ns, at_ns))) / NS_PER_S)
    return ages


def test_at_their_usual_pace_images_are_as_old_as_their_arrival() -> None:
    """Jitter of half an interval changes nothing."""
    rng = Random(1)
    assert set(ages_s(0.04 + rng.uniform(-0.015, 0.02) for _ in range(500))) == {0.0}


def test_a_burst_after_a_silence_is_dated_back() -> None:
    """The link stood still for 1.2 s: 30 images come at once, each 40 ms younger than the one before."""
    ages = ages_s([0.04] * 50 + [1.2] + [0.001] * 29 + [0.04] * 20)
    assert ages[51] == pytest.approx(1.16, abs=0.001)
    true_s = [max(0.0, 1.16 - 0.039 * index) for index in range(29)]
    assert all(true - 0.05 <= age <= true + 0.05 for true, age in zip(true_s, ages[51:80], strict=True))
    assert ages[-10:] == [0.0] * 10


def test_a_camera_that_paused_costs_one_image() -> None:
    """Nothing tells its first image from one that was held up; the second one does."""
    ages = ages_s([0.04] * 50 + [1.2] + [0.04] * 10)
    assert ages[51] == pytest.approx(1.16, abs=0.001)
    assert ages[52:] == [0.0] * 10


def test_a_slow_camera_is_not_silent() -> None:
    """One image a second, and then one every two."""
    assert set(ages_s([1.0] * 20 + [2.0] * 20)) == {0.0}


def feed(backlog: Backlog, *units: AccessUnit) -> list[bool]:
    return [backlog.is_over(unit, is_late=False) for unit in units]


def units(gaps_s: Iterable[float], *, media: bool = True, start_s: float = 1000.0) -> list[AccessUnit]:
    """Images 40 ms apart on their time line, which arrive with these gaps."""
    return [
        AccessUnit(b"", True, round(at_s * NS_PER_S), round(at_s * NS_PER_S), index * 0.04 if media else None)
        for index, at_s in enumerate(accumulate(gaps_s, initial=start_s))
    ]


class Now:
    """The clock of a reader that is never late."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ns = 1000 * NS_PER_S
        monkeypatch.setattr(module, "monotonic_ns", lambda: self.ns)

    def feed(self, backlog: Backlog, given: list[AccessUnit], *, is_late: bool = False) -> list[bool]:
        over = []
        for unit in given:
            self.ns = unit.complete_ns
            over.append(backlog.is_over(unit, is_late=is_late))
        return over


@pytest.mark.parametrize("media", [True, False])
def test_the_second_image_at_its_pace_is_fresh(monkeypatch: pytest.MonkeyPatch, media: bool) -> None:
    """The first may have waited for a second somewhere."""
    over = Now(monkeypatch).feed(Backlog("rtp" if media else "none"), units([0.04] * 3, media=media))
    assert over == [False, True, True, True]


def test_a_burst_at_the_beginning_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one whose images come 6 ms apart, as a busy machine reads them; a pause of half the pace ends it."""
    over = Now(monkeypatch).feed(Backlog("rtp"), units([0.001] * 10 + [0.006] * 10 + [0.04] * 4))
    assert over[:21] == [False] * 21
    assert over[-1]


def test_images_that_nobody_read_in_time_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """They came at their pace, while the reader was doing something else."""
    assert Now(monkeypatch).feed(Backlog("rtp"), units([0.04] * 20), is_late=True) == [False] * 21


def test_a_reader_that_never_catches_up_shows_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """After two seconds, counted from the first image and not from the opening."""
    over = Now(monkeypatch).feed(Backlog("rtp"), units([0.04] * 60), is_late=True)
    assert over.index(True) == pytest.approx(2.0 / 0.04, abs=2)


def test_reordered_images_have_a_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """With two B-frames, presentation times go three steps ahead and two back."""
    given = units([0.04] * 12)
    shown = [unit._replace(media_s=0.04 * (index + (2, -1, -1)[index % 3])) for index, unit in enumerate(given)]
    over = Now(monkeypatch).feed(Backlog("rtp"), shown)
    assert over.index(True) <= 3


def test_what_was_asked_for_is_fresh() -> None:
    """A polled snapshot has no queue."""
    assert feed(Backlog("polled"), *units([1.0])) == [True, True]


def test_a_clock_that_stands_still_does_not_hide_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the gaps between the arrivals decide."""
    still = [unit._replace(media_s=3.0) for unit in units([0.04] * 3)]
    assert Now(monkeypatch).feed(Backlog("rtp"), still) == [False, True, True, True]
