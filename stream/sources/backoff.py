"""Reconnect back-off. The delays follow go2rtc; the jitter and the class for refused passwords are ours."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

JITTER = 0.2
"""Each delay is up to this share longer or shorter, so that cameras behind one switch do not reconnect in step."""


@dataclass(frozen=True, slots=True)
class BackoffDelays:
    """Delays in seconds before each try; the last one repeats for ever."""

    lost_s: tuple[float, ...] = (1.0,) * 5 + (5.0,) * 5 + (10.0,) * 10 + (60.0,)
    """For a camera that is absent, stalls or disconnects."""
    refused_s: tuple[float, ...] = (60.0, 300.0, 900.0)
    """For a camera that refuses the password: many lock the account after a few wrong ones."""


DEFAULT_DELAYS = BackoffDelays()


class Backoff:
    """The next delay of one camera. Lost and refused tries are counted apart, so that neither hides the other."""

    def __init__(self, delays: BackoffDelays, jitter: float, rng: Random) -> None:
        self._delays, self._jitter, self._rng = delays, jitter, rng
        self._lost = self._refused = 0

    def next_delay_s(self, *, refused: bool) -> float:
        if refused:
            delay_s = _delay_at(self._delays.refused_s, self._refused)
            self._refused += 1
        else:
            delay_s = _delay_at(self._delays.lost_s, self._lost)
            self._lost += 1
        return delay_s * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def reset(self) -> None:
        self._lost = self._refused = 0


def _delay_at(delays_s: tuple[float, ...], tries: int) -> float:
    return delays_s[min(tries, len(delays_s) - 1)]
