"""Dates images that waited in the socket while this process was stopped or starved.

Linux joins the bytes that wait in a TCP socket into pieces and gives each the time of its last byte
(``tcp_try_coalesce``): at 25 images a second of one packet each, a piece may span 0.7 s. So an image in a backlog may
have arrived earlier than its time says. But the last byte's time is right, and from there media times lead back to
those before it. Like this no image is dated such that it seems to have come quicker than the last one did, which is
what the age of all later images is measured by (see source_clock.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from stream.core.clock import NS_PER_MS, NS_PER_S
from stream.sources.network.access_unit import AccessUnit, CameraReport

BELIEVED_NS = 90 * NS_PER_MS
"""The kernel's time is taken as it is if nothing waited so shortly before: an age may be too low by 0.1 s."""
TOGETHER_NS = 5 * NS_PER_MS
"""Bytes that arrived within this time are dated by the first of them."""


class Backlog(NamedTuple):
    """Bytes that waited. All times are CLOCK_MONOTONIC, nanoseconds."""

    empty_ns: int
    """Nothing waited at this time."""
    first_ns: int
    """Time of the piece that the first byte lay in."""
    last_ns: int
    """Arrival of the last byte."""

    @property
    def is_none(self) -> bool:
        """Whether all came together and was read soon, so that the first piece's time is right for all."""
        return self.first_ns - self.empty_ns <= BELIEVED_NS and self.last_ns - self.first_ns <= TOGETHER_NS

    def redated(
        self, items: Iterable[AccessUnit | CameraReport], last_media_s: float
    ) -> list[AccessUnit | CameraReport]:
        """The items in it with their likely arrival; ``last_media_s``: the media time of the last packet.

        A media clock that stands still explains nothing: then the earliest time counts.
        """
        items = list(items)
        units = [item for item in items if isinstance(item, AccessUnit) and item.first_ns > self.empty_ns]
        stands_still = len(units) > 1 and all(unit.media_s == last_media_s for unit in units)
        latest_ns = self.first_ns if self.first_ns - self.empty_ns <= BELIEVED_NS else self.last_ns
        dated: dict[int, AccessUnit] = {}
        for unit in units:
            back_ns = round((last_media_s - (unit.media_s or 0.0)) * NS_PER_S)
            likely_ns = self.empty_ns if stands_still else min(unit.first_ns, self.last_ns - back_ns, latest_ns)
            dated[id(unit)] = unit._replace(first_ns=max(self.empty_ns, likely_ns))
            latest_ns = self.last_ns  # only the first one begins with the first byte
        return [dated.get(id(item), item) for item in items]
