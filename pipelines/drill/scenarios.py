"""The scenarios of a drill, as a table: what happens to the camera or the product, how long, and what is promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

from pipelines.drill.camera.link import Ending
from pipelines.drill.faults import (
    Corruption,
    FaultMaker,
    Hit,
    Loss,
    Reorder,
    SilentLoss,
    WrongClock,
    of_rate,
    stands_still,
    steps_back,
)

Need = Literal["proxy", "rtp", "test camera"]
"""proxy: the stream can go through our proxy. rtp: and it is RTP. test camera: the camera must do it itself."""


OF_RTP: tuple[Need, ...] = ("proxy", "rtp")


class Stage(Protocol):
    """What a scenario can do."""

    def refuse(self, refusing: bool) -> None:
        """Refuse connections to the camera."""

    def hold(self, holding: bool) -> None:
        """Let no media through; what was held comes at once in the end."""

    def cut(self, how: Ending) -> None:
        """End all connections to the camera."""

    def slow_down(self, share: float | None) -> None:
        """Make the link as fast as this share of the stream's own rate; None: as fast as it is."""

    def alter(self, make: FaultMaker | None) -> None:
        """Change RTP packets."""

    def change_size(self, smaller: bool) -> None:
        """Let the test camera send another image size."""

    def suspend(self, suspended: bool) -> None:
        """Stop the product's process, or let it go on."""


Act = Callable[[Stage], None]


def _nothing(_stage: Stage) -> None:
    return


@dataclass(frozen=True)
class Scenario:
    """One row of the table."""

    name: str
    what: str
    """One line for people."""
    begin: Act = _nothing
    end: Act = _nothing
    fault_s: float = 8.0
    """Time between ``begin`` and ``end``, seconds."""
    quick_s: float = 4.0
    """The same with --quick."""
    after_s: float = 3.0
    """Time that is watched after ``end`` and, if the camera was away, its return; seconds."""
    needs: tuple[Need, ...] = ("proxy",)
    measures: bool = False
    """Nothing is disturbed, so that it tells the camera's own rates."""
    needs_rates: bool = False
    """The camera's rates must be known before."""
    silences: bool = False
    """No image reaches the product during the fault: it must notice, and be back soon after the end."""
    outlasts_stall: bool = False
    """The fault lasts longer than the camera's ``stall_s``, whatever that is."""
    absent_at_start: bool = False
    """``begin`` comes before the product starts."""
    breaks_clock: bool = False
    """The source's clock is wrong: the product must say so, and go on."""
    damages: bool = False
    """Images are damaged: none of them may be called clean."""
    wrong_bits: bool = False
    """Packets have wrong bits, which only a decoder can notice, and does not always."""
    stops_all: bool = False
    """The other camera is hit, too."""
    busy_share: float | None = None
    """The consumer handles this share of the rate only."""
    shows_on: bool = False
    """Images must go on being shown during the fault."""
    stops_during: bool = False
    """The product is stopped before ``end``."""


def _refuse(stage: Stage) -> None:
    stage.refuse(True)


def _accept(stage: Stage) -> None:
    stage.refuse(False)


def _hold(stage: Stage) -> None:
    stage.hold(True)


def _release(stage: Stage) -> None:
    stage.hold(False)


def _cut(stage: Stage, how: Ending) -> None:
    stage.refuse(True)
    stage.cut(how)


def _altering(make: FaultMaker) -> Act:
    return lambda stage: stage.alter(make)


def _restore(stage: Stage) -> None:
    stage.alter(None)


def _clock(ticks: Callable[[int], int]) -> FaultMaker:
    def make(_hit: Hit) -> WrongClock:
        return WrongClock(ticks)

    return make


def _slow(share: float | None) -> Act:
    return lambda stage: stage.slow_down(share)


def _of_clock(name: str, what: str, ticks: Callable[[int], int]) -> Scenario:
    begin = _altering(_clock(ticks))
    return Scenario(name, what, begin, _restore, 14, 9, needs=OF_RTP, breaks_clock=True, shows_on=True)


def _of_packets(name: str, what: str, make: FaultMaker, *, wrong_bits: bool = False) -> Scenario:
    begin = _altering(make)
    return Scenario(
        name, what, begin, _restore, 12, 5, needs=OF_RTP, damages=True, wrong_bits=wrong_bits, shows_on=True
    )


SCENARIOS: tuple[Scenario, ...] = (
    Scenario("healthy", "nothing happens", fault_s=8, quick_s=4, after_s=0, needs=(), measures=True, shows_on=True),
    Scenario("stall", "connected, but no images", _hold, _release, 4, 4, silences=True, outlasts_stall=True),
    Scenario("cut", "the connection ends (FIN), the port is closed for a while", partial(_cut, how="fin"), _accept,
             4, 2.5, silences=True),
    Scenario("reset", "the connection breaks (RST), the port is closed for a while", partial(_cut, how="rst"), _accept,
             4, 2.5, silences=True),
    Scenario("absent", "no camera at the start", _refuse, _accept, 2.5, 2.5, silences=True, absent_at_start=True),
    Scenario("stop", "stopped while the camera is silent", _hold, _release, 1, 1, after_s=0, stops_during=True),
    Scenario("burst", "nothing for 1.2 s, then all of it at once", _hold, _release, 1.2, 1.2),
    _of_packets("loss", "every 67th packet is lost", partial(Loss, every=67)),
    _of_packets("silent-loss", "every 40th image is missing, without a gap in the packets' numbers",
                partial(SilentLoss, every=40)),
    _of_packets("reorder", "every 10th packet comes after the next", partial(Reorder, every=10)),
    _of_packets("corruption", "every 67th packet has wrong bits", partial(Corruption, every=67), wrong_bits=True),
    Scenario("slow-link", "a link 5 % slower than the stream", _slow(0.95), _slow(None), 70, 30,
             needs_rates=True, shows_on=True),
    Scenario("slower-link", "a link of 70 % of the stream's rate", _slow(0.7), _slow(None), 20, 10,
             needs_rates=True),
    _of_clock("clock-stopped", "the camera's clock stands still", stands_still),
    _of_clock("clock-rate", "the camera's clock runs at 8 kHz in place of 90", of_rate(8 / 90)),
    _of_clock("clock-jumps", "the camera's clock steps back by 0.3 s each second", steps_back(0.3, 1.0)),
    Scenario("size", "another image size, and back", lambda stage: stage.change_size(True),
             lambda stage: stage.change_size(False), 5, 3, needs=("test camera",), shows_on=True),
    Scenario("suspend", "the product's process is stopped and goes on", lambda stage: stage.suspend(True),
             lambda stage: stage.suspend(False), 15, 3, after_s=5, needs=(), silences=True, stops_all=True),
    Scenario("slow-reader", "the product handles 80 % of the rate", fault_s=40, quick_s=12, needs=(), needs_rates=True,
             busy_share=0.8, shows_on=True),
)  # fmt: skip
"""In the order of the drill."""
