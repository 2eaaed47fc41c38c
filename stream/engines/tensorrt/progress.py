"""How far TensorRT's build is, as one number that only grows, and a way to end it early."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""(step, total, phase): ``step`` of ``total`` of the whole build is done, and what it is at. From the build's thread.
What it raises ends the build and reaches its caller."""

TOTAL = 1000
"""``total`` of Progress. TensorRT says of how many steps a phase consists, not how long these take."""


@dataclass(slots=True)
class Phase:
    """A part of the build; it is itself a step of its parent."""

    name: str
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The phases that are under way, outermost first, as TensorRT tells of them; it may repeat a name."""

    def __init__(self) -> None:
        self._open: list[Phase] = []
        self._best = 0.0

    def start(self, name: str, parent: str | None, steps: int) -> None:
        self._open.append(Phase(name, parent, max(1, steps)))

    def step(self, name: str, step: int) -> None:
        """``step`` (from 0) of phase ``name`` is done."""
        for phase in reversed(self._open):
            if phase.name == name:
                phase.done = min(step + 1, phase.steps)
                return

    def finish(self, name: str) -> None:
        """Phase ``name`` and all within it are over."""
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i].name == name:
                del self._open[i:]
                return

    def fraction(self) -> float:
        """0 to 1; never less than before."""
        share, total = 1.0, 0.0
        for phase in self._open:
            total += share * phase.done / phase.steps
            share /= phase.steps
        self._best = min(1.0, max(self._best, total))
        return self._best

    @property
    def innermost(self) -> str:
        return self._open[-1].name if self._open else ""


def logged(name: str) -> Progress:
    """Tells the log of every tenth of the build."""
    told = 0

    def progress(step: int, total: int, phase: str) -> None:
        nonlocal told
        tenth = 10 * step // total
        if tenth > told:
            told = tenth
            log.info("building %s: %d %%, %s", name, 10 * tenth, phase)

    return progress


def progress_monitor(trt: Any, progress: Progress) -> Any:
    """An IProgressMonitor of the module ``trt`` that calls ``progress``.

    Its attribute ``cancelled`` ends the build at the next step when set; ``failure`` is what ``progress`` raised. An
    exception must not leave a monitor's methods: TensorRT prints it, and goes on.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # a class that is only known once the package is loaded
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.cancelled = False
            self.failure: BaseException | None = None
            self._phases = Phases()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if not self.cancelled:
                self._phases.step(phase_name, step)
                self._tell()
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            self._phases.finish(phase_name)

        def _tell(self) -> None:
            try:
                progress(round(TOTAL * self._phases.fraction()), TOTAL, self._phases.innermost)
            except BaseException as error:  # noqa: BLE001  # raised again by whoever waits for the build
                self.failure, self.cancelled = error, True

    return Monitor()
