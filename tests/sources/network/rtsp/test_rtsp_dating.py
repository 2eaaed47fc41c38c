"""Images that waited in a socket are dated by their arrival, as far as the kernel's times and media times tell it."""

from __future__ import annotations

import pytest

from stream.core.clock import NS_PER_MS
from stream.sources.network.access_unit import AccessUnit, CameraReport
from stream.sources.network.rtsp.dating import BELIEVED_NS, TOGETHER_NS, Backlog

MS = NS_PER_MS


def unit(media_ms: int, read_ms: int) -> AccessUnit:
    return AccessUnit(b"", False, read_ms * MS, read_ms * MS, media_ms / 1000)


def first_ms(items: list[AccessUnit | CameraReport]) -> list[int]:
    return [round(item.first_ns / MS) for item in items if isinstance(item, AccessUnit)]


@pytest.mark.parametrize(
    ("backlog", "is_none"),
    [
        (Backlog(0, BELIEVED_NS, BELIEVED_NS + TOGETHER_NS), True),
        (Backlog(0, BELIEVED_NS + 1, BELIEVED_NS + 1), False),
        (Backlog(0, 0, TOGETHER_NS + 1), False),
    ],
)
def test_what_came_together_and_was_read_soon_is_no_backlog(backlog: Backlog, is_none: bool) -> None:
    assert backlog.is_none is is_none


def test_media_times_lead_back_from_the_last_byte() -> None:
    """The pieces' times say 1000 for all; the image before the stop keeps its time, as reports do."""
    report = CameraReport(5, 6, 7.0)
    items: list[AccessUnit | CameraReport] = [unit(0, 90), report, *(unit(media, 1000) for media in (40, 80, 120, 160))]
    dated = Backlog(100 * MS, 1000 * MS, 1000 * MS).redated(items, 0.160)
    assert first_ms(dated) == [90, 880, 920, 960, 1000]
    assert dated[1] is report


def test_nothing_is_dated_before_the_socket_was_empty_or_after_its_piece() -> None:
    """Images that a network held up arrived later than their media times say."""
    items = [unit(0, 1000), unit(2000, 1000), unit(2040, 1010)]
    dated = Backlog(100 * MS, 1000 * MS, 1500 * MS).redated(items, 2.040)
    assert first_ms(dated) == [100, 1000, 1010]


def test_the_first_image_is_dated_by_the_first_byte_if_that_is_believed() -> None:
    dated = Backlog(950 * MS, 1000 * MS, 1080 * MS).redated([unit(0, 1080), unit(40, 1080)], 0.040)
    assert first_ms(dated) == [1000, 1080]


def test_a_media_clock_that_stands_still_explains_nothing() -> None:
    items = [unit(40, 1000), unit(40, 1000)]
    assert first_ms(Backlog(100 * MS, 1000 * MS, 1000 * MS).redated(items, 0.040)) == [100, 100]
