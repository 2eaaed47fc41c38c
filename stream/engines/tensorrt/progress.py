"""Progress of a TensorRT build as one number that never decreases, and cancellation of the build."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Called with (step, total, phase): ``step`` of ``total`` of the whole build is done, and ``phase`` is running. It is
called on the build's thread. An exception from it ends the build and is raised to the caller of the build."""

TOTAL = 1000
"""The ``total`` of Progress. TensorRT reports the number of steps of a phase, but not how long they take."""


@dataclass(slots=True)
class Phase:
    """A part of the build; it counts as one step of its parent."""

    name: str
    parent: str | None
    steps: int
    done: int = 0


class Phases:
    """The running phases, outermost first, as TensorRT reports them. Names may repeat."""

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
        """Phase ``name`` and all phases inside it are over."""
        for i in range(len(self._open) - 1, -1, -1):
            if self._open[i].name == name:
                del self._open[i:]
                return

    def fraction(self) -> float:
        """Share of the build that is done, 0 to 1; it never decreases."""
        share, total = 1.0, 0.0
        for phase in self._open:
            total += share * phase.done / phase.steps
            share /= phase.steps
        self._best = min(1.0, max(self._best, total))
        return self._best

    @property
    def innermost(self) -> str:
        return self._open[-1].name if self._open else ""


def log_progress(name: str) -> Progress:
    """A Progress that logs every tenth of the build of ``name``."""
    logged = 0

    def progress(step: int, total: int, phase: str) -> None:
        nonlocal logged
        tenth = 10 * step // total
        if tenth > logged:
            logged = tenth
            log.info("building %s: %d %%, %s", name, 10 * tenth, phase)

    return progress


def progress_monitor(trt: Any, progress: Progress) -> Any:
    """An IProgressMonitor of the module ``trt`` that calls ``progress``.

    Setting its attribute ``cancelled`` ends the build at the next step; ``failure`` is the exception that ``progress``
    raised. No exception may leave a monitor's methods, because TensorRT only prints it and continues.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # a class that is only known once the package is loaded
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)  # pybind11 raises TypeError without it
            self.cancelled = False
            self.failure: BaseException | None = None
            self._phases = Phases()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if not self.cancelled:
                self._phases.step(phase_name, step)
                self._report()
            return not self.cancelled

        def phase_finish(self, phase_name: str) -> None:
            self._phases.finish(phase_name)

        def _report(self) -> None:
            try:
                progress(round(TOTAL * self._phases.fraction()), TOTAL, self._phases.innermost)
            except BaseException as error:  # noqa: BLE001  # the thread that waits for the build raises it again
                self.failure, self.cancelled = error, True

    return Monitor()
