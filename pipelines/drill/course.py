"""Takes one camera and the product through one scenario after the other."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from statistics import median
from time import monotonic_ns
from typing import Self

from pipelines.drill.camera.link import Ending
from pipelines.drill.child import Assignment
from pipelines.drill.faults import FaultMaker
from pipelines.drill.noise import Interval, Noise, Ticker
from pipelines.drill.observation import Changed, Shown, Standstill
from pipelines.drill.product import Product
from pipelines.drill.proxy import FaultProxy
from pipelines.drill.run import Run
from pipelines.drill.scenarios import SCENARIOS, Scenario
from pipelines.drill.subject import BYSTANDER, Bystander, Rates, Subject
from stream.core.clock import NS_PER_S, Deadline
from stream.errors import AccessDenied, SourceError
from stream.sources.network.url import CameraUrl

MEASURING = next(scenario for scenario in SCENARIOS if scenario.measures)
SETTLED_FRAMES = 25
"""A scenario begins when so many frames of each camera have come."""
SETTLE_S = 30.0
BACK_S = 8.0
"""Longest wait for the first image after a fault."""
LONGER_S = 2.2
"""A fault that must outlast ``stall_s`` lasts this much longer."""
QUICK_AFTER_S = 1.5
"""Longest watch after a fault with --quick."""
REFRESH_S = 0.5
"""How often the witness and the queue are looked at."""
SWITCH_S = 0.001
"""The threads of the camera, the proxy and the drill share one interpreter; Python's 5 ms for each would add up."""


class Course:
    """One camera with the bystander beside it, open inside the ``with`` block."""

    def __init__(self, subject: Subject) -> None:
        self._subject, self._bystander = subject, Bystander()
        self._stack = ExitStack()
        self._rates = subject.stated_rates

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            opening.enter_context(self._subject)
            opening.enter_context(self._bystander)
            opening.callback(sys.setswitchinterval, sys.getswitchinterval())
            self._stack = opening.pop_all()
        sys.setswitchinterval(SWITCH_S)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def lacks(self, scenario: Scenario) -> str:
        """What this camera cannot do of what ``scenario`` needs; empty if it can do all."""
        return ", ".join(need for need in scenario.needs if need not in self._subject.offers)

    def run(self, scenario: Scenario, *, quick: bool) -> Run:
        """Go through one scenario. Raises SourceError, such as AccessDenied, if no image comes before the fault."""
        if scenario.needs_rates and self._rates is None:
            self.run(MEASURING, quick=True)
        fault_s = scenario.quick_s if quick else scenario.fault_s
        if scenario.outlasts_stall:
            fault_s = max(fault_s, self._subject.settings.stall_s + LONGER_S)
        after_s = min(scenario.after_s, QUICK_AFTER_S) if quick else scenario.after_s
        standstills: list[Standstill] = []
        trial = Trial(self._subject, self._rates)
        with Ticker(standstills.append), trial:
            if scenario.absent_at_start:
                trial.refuse(True)
            with Product(self._assignments(scenario)) as product:
                trial.product = product
                fault = self._disturb(scenario, trial, product, fault_s, after_s)
                product.stop()
                observations = tuple(product.observations())
            noise = Noise(_standstills(observations, standstills), deliberate=product.pauses)
        if scenario.measures and self._rates is None:
            self._rates = _rates(observations, self._subject.name, fault, trial)
        self._subject.refresh()
        return Run(
            scenario,
            self._subject.name,
            BYSTANDER,
            fault,
            observations,
            noise,
            self._subject.witness,
            clean_digests=self._subject.clean_digests,
            damaged_ticks=self._subject.damaged_ticks,
            key_interval_s=self._subject.key_interval_s,
            stall_s=self._subject.settings.stall_s,
            longest_queue_s=trial.longest_queue_s,
        )

    def _disturb(self, scenario: Scenario, trial: Trial, product: Product, fault_s: float, after_s: float) -> Interval:
        """Wait for images, do the harm, undo it, and watch what comes after; returns the interval of the fault."""
        cameras = (BYSTANDER,) if scenario.absent_at_start else (self._subject.name, BYSTANDER)
        self._await_images(product, cameras)
        begin_ns, trial.received_before = monotonic_ns(), trial.received_bytes
        scenario.begin(trial)
        self._watch(trial, product, fault_s)
        if scenario.stops_during:
            return Interval(begin_ns, monotonic_ns())
        scenario.end(trial)
        end_ns = monotonic_ns()
        if scenario.silences:
            product.wait_for(
                lambda seen: _is_back(seen, self._subject.name, end_ns), BACK_S + self._subject.key_interval_s
            )
        self._watch(trial, product, after_s)
        return Interval(begin_ns, end_ns)

    def _await_images(self, product: Product, cameras: Iterable[str]) -> None:
        """Raises SourceError if they do not come, and AccessDenied at once, because every try may lock the account."""
        name = self._subject.name
        has_settled = product.wait_for(
            lambda seen: _has_settled(seen, cameras) or _is_refused(seen, name), timeout_s=SETTLE_S
        )
        # The operator knows the camera's address, not the proxy's.
        why = product.trouble(name).replace(CameraUrl(self._subject.settings.url).label, self._subject.label)
        if _is_refused(product.observations(), name):
            raise AccessDenied(f'camera "{name}": {why}')
        if not has_settled:
            why = why or product.trouble(BYSTANDER) or "no image came"
            raise SourceError(f'camera "{name}": no images within {SETTLE_S:.0f} s, before any fault: {why}')

    def _watch(self, trial: Trial, product: Product, seconds: float) -> None:
        deadline = Deadline.after(seconds)
        while not deadline.passed:
            product.wait_for(lambda seen: False, min(REFRESH_S, deadline.left_s))
            self._subject.refresh()
            trial.look()

    def _assignments(self, scenario: Scenario) -> list[Assignment]:
        busy_s = 1 / (scenario.busy_share * self._rates.fps) if scenario.busy_share and self._rates else 0.0
        numbered = self._subject.clean_digests is not None
        bystander = Assignment(self._bystander.settings.model_dump(mode="json"))
        return [Assignment(self._subject.settings.model_dump(mode="json"), busy_s, numbered), bystander]


class Trial:
    """The stage of one scenario; whatever was done to the proxy is undone at the end of the ``with`` block."""

    def __init__(self, subject: Subject, rates: Rates | None) -> None:
        self._subject, self._rates = subject, rates
        self.product: Product | None = None
        self.longest_queue_s = 0.0
        self.received_before = 0
        """Bytes that had come from the camera at the begin of the fault."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        proxy = self._subject.proxy
        if proxy is not None:
            proxy.hold(False)
            proxy.limit(None)
            proxy.alter(None)
            proxy.refuse(False)
            proxy.cut()

    @property
    def received_bytes(self) -> int:
        """Bytes that came from the camera so far; 0 without a proxy."""
        return self._subject.proxy.received_bytes if self._subject.proxy else 0

    def look(self) -> None:
        """Note the length of the queue."""
        proxy, rates = self._subject.proxy, self._rates
        if proxy is not None and rates is not None:
            self.longest_queue_s = max(self.longest_queue_s, proxy.queued_bytes / rates.bytes_per_s)

    def refuse(self, refusing: bool) -> None:
        self._proxy.refuse(refusing)

    def hold(self, holding: bool) -> None:
        self._proxy.hold(holding)

    def cut(self, how: Ending) -> None:
        self._proxy.cut(how)

    def slow_down(self, share: float | None) -> None:
        assert self._rates is not None, "this scenario needs the camera's rates"
        self._proxy.limit(None if share is None else share * self._rates.bytes_per_s)

    def alter(self, make: FaultMaker | None) -> None:
        self._proxy.alter(make)

    def change_size(self, smaller: bool) -> None:
        self._subject.change_size(smaller)

    def suspend(self, suspended: bool) -> None:
        assert self.product is not None
        if suspended:
            self.product.suspend()
        else:
            self.product.resume()

    @property
    def _proxy(self) -> FaultProxy:
        assert self._subject.proxy is not None, "this scenario needs a proxy"
        return self._subject.proxy


def _has_settled(seen: Iterable[object], cameras: Iterable[str]) -> bool:
    counts = dict.fromkeys(cameras, 0)
    for each in seen:
        if isinstance(each, Shown) and each.camera in counts:
            counts[each.camera] += 1
    return all(count >= SETTLED_FRAMES for count in counts.values())


def _is_refused(seen: Iterable[object], camera: str) -> bool:
    changes = (each for each in seen if isinstance(each, Changed) and each.camera == camera)
    return any(each.state == "refused" for each in changes)


def _is_back(seen: Iterable[object], camera: str, since_ns: int) -> bool:
    return any(isinstance(each, Shown) and each.camera == camera and each.at_ns > since_ns for each in seen)


def _rates(seen: Iterable[object], camera: str, fault: Interval, trial: Trial) -> Rates:
    """The rates of a camera that nothing disturbed during the "fault"."""
    stamps = [each.stamp_ns for each in seen if isinstance(each, Shown) and each.camera == camera]
    steps = [later - earlier for earlier, later in pairwise(stamps) if later > earlier]
    received = trial.received_bytes - trial.received_before
    return Rates(NS_PER_S / median(steps or [NS_PER_S]), max(1.0, received / fault.length_s))


def _standstills(observations: Iterable[object], own: Iterable[Standstill]) -> Iterator[Standstill]:
    yield from (each for each in observations if isinstance(each, Standstill))
    yield from own
