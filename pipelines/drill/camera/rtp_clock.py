"""The clock behind a camera's RTP time stamps, right or wrong in one of the ways that cameras are known for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ClockFault = Literal["constant", "slow rate", "steps back", "5% slow", "5% fast", "jump ahead", "jump back"]
"""constant: it stands still. slow rate: it counts 8,000 a second where 90,000 are due. steps back: 0.3 s each second.
jump ahead, jump back: it is 3 hours away."""

SLOW_RATE = 8_000 / 90_000
STEP_S, STEP_EVERY_S = 0.3, 1.0
JUMP_S = 3 * 3600.0


@dataclass
class RtpClock:
    """Seconds of the camera's media time for seconds of the monotonic clock."""

    fault: ClockFault | None = None
    since_s: float = 0.0
    """Begin of the fault, monotonic clock."""

    def media_s(self, mono_s: float) -> float:
        passed_s = mono_s - self.since_s
        if self.fault is None or passed_s < 0:
            return mono_s
        return self.since_s + _FAULTS[self.fault](passed_s)


_FAULTS: dict[ClockFault, Callable[[float], float]] = {
    "constant": lambda passed_s: 0.0,
    "slow rate": lambda passed_s: passed_s * SLOW_RATE,
    "steps back": lambda passed_s: passed_s - STEP_S * (passed_s // STEP_EVERY_S),
    "5% slow": lambda passed_s: passed_s * 0.95,
    "5% fast": lambda passed_s: passed_s * 1.05,
    "jump ahead": lambda passed_s: passed_s + JUMP_S,
    "jump back": lambda passed_s: passed_s - JUMP_S,
}
