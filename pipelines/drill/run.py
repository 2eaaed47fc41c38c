"""One scenario from its start to its end: what was done when, and what the product did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pipelines.drill.noise import Interval, Noise
from pipelines.drill.observation import Changed, ClockFault, Ended, LeftOut, Memory, Observation, Shown
from pipelines.drill.scenarios import Scenario
from pipelines.drill.witness import Witness


@dataclass(frozen=True)
class Run:
    """Everything that a verdict is made of. Times are CLOCK_MONOTONIC, nanoseconds."""

    scenario: Scenario
    camera: str
    bystander: str
    fault: Interval
    """From the begin of the fault to its end."""
    observations: tuple[Observation, ...]
    noise: Noise
    witness: Witness
    clean_digests: frozenset[int] | None = None
    """CRC-32 of every undamaged image; None: unknown."""
    damaged_ticks: frozenset[int] = frozenset()
    """RTP times of the access units that the proxy damaged."""
    key_interval_s: float = 1.0
    stall_s: float = 1.8
    longest_queue_s: float = 0.0
    """The longest queue in front of a slow link, in seconds of the stream."""

    @cached_property
    def shown(self) -> tuple[Shown, ...]:
        """The camera's frames, in order of arrival at the consumer."""
        return self.shown_of(self.camera)

    def shown_of(self, camera: str) -> tuple[Shown, ...]:
        return tuple(each for each in self.observations if isinstance(each, Shown) and each.camera == camera)

    def seqs_of(self, camera: str) -> list[int]:
        """The numbers of all frames of ``camera``, shown and left out."""
        counted = (each for each in self.observations if isinstance(each, Shown | LeftOut))
        return [each.seq for each in counted if each.camera == camera]

    def losses_of(self, camera: str) -> list[Changed]:
        """The times at which the product gave up a connection to ``camera`` or a try to make one."""
        changes = (each for each in self.observations if isinstance(each, Changed))
        return [each for each in changes if each.camera == camera and each.state != "live"]

    @property
    def clock_faults(self) -> list[ClockFault]:
        faults = (each for each in self.observations if isinstance(each, ClockFault))
        return [each for each in faults if each.camera == self.camera and each.fault]

    @property
    def memory(self) -> list[Memory]:
        return [each for each in self.observations if isinstance(each, Memory)]

    @property
    def ended(self) -> Ended | None:
        """The product's last word; None if it did not come."""
        return next((each for each in self.observations if isinstance(each, Ended)), None)

    def true_age_s(self, shown: Shown) -> float | None:
        """The age of a frame on arrival at the consumer by the witness; None if that cannot tell."""
        sent_ns = self.witness.sent_ns(shown)
        return None if sent_ns is None else (shown.at_ns - sent_ns) / 1e9
