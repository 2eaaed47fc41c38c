"""How long to wait before a lost camera is tried again; the rungs are go2rtc's, the jitter and the last class ours."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Ladder:
    """Pauses in seconds, one a try; the last one is repeated for ever."""

    lost_s: tuple[float, ...] = (1.0,) * 5 + (5.0,) * 5 + (10.0,) * 10 + (60.0,)
    """For a camera that is absent, stalls or breaks off."""
    refused_s: tuple[float, ...] = (60.0, 300.0, 900.0)
    """For one that refuses the password: many cameras lock the account after a few wrong ones."""


LADDER = Ladder()
JITTER = 0.2
"""Each pause is up to this share longer or shorter, so that cameras behind one switch do not come back in step."""


class Backoff:
    """One camera's place on the ladder; each class of trouble has its own, so that neither hides the other."""

    def __init__(self, ladder: Ladder, jitter: float, rng: Random) -> None:
        self._ladder, self._jitter, self._rng = ladder, jitter, rng
        self._lost = self._refused = 0

    def next_pause_s(self, *, refused: bool) -> float:
        if refused:
            pause_s = _rung(self._ladder.refused_s, self._refused)
            self._refused += 1
        else:
            pause_s = _rung(self._ladder.lost_s, self._lost)
            self._lost += 1
        return pause_s * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def start_again(self) -> None:
        self._lost = self._refused = 0


def _rung(pauses_s: tuple[float, ...], tries: int) -> float:
    return pauses_s[min(tries, len(pauses_s) - 1)]
