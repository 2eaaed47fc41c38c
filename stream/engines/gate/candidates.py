"""Engines in the order of preference; the first that passes the engine gate is used.

This is the one door to the gate, for the CPU and for GPUs: a candidate is opened, compared with the float32 reference
on the golden inputs (or believed by an earlier verdict), and used or closed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stream.engines.base import Engine
from stream.engines.gate.gate import BOUNDS, Precision, identity, judge
from stream.engines.gate.golden_inputs import CAMERAS, VERSION, golden_inputs, spec_for_size
from stream.engines.gate.verdict import load_verdict, save_verdict
from stream.engines.wrappers import CancellableEngine, CancelToken, EngineFactory, NumpyEngine
from stream.errors import EngineError
from stream.frames import Size
from stream.models.spec import InputSpec

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that may be used if the gate accepts it."""

    name: str
    """For log lines, also where it cannot be opened."""
    open: EngineFactory
    precision: Precision
    """The precision it claims to compute in, which decides its bounds."""
    verdict_file: Path | None
    """Where the verdict is kept; None: it is judged at every start."""
    made_from: Mapping[str, str]
    """What the verdict belongs to besides the engine's description: at least the SHA-256 of the weights; of a compiled
    engine also its own; on a GPU the card's name and driver."""
    shared: bool = False
    """Other users hold the engine too: it is not closed when it is refused."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images that candidates and the reference are compared on."""

    spec: InputSpec
    """The network's input rule."""
    cameras: tuple[Size, ...] = CAMERAS
    """Camera image sizes; those that lead to the same network size share one set of golden inputs."""
    device: torch.device | None = None
    """Where the candidates' tensors live; None: they take NumPy arrays, as the reference always does."""

    @classmethod
    def at(cls, size: Size, spec: InputSpec, device: torch.device) -> Inputs:
        """Inputs of one network ``size`` only, for engines that take no other."""
        adapted, cameras = spec_for_size(spec, size)
        return cls(adapted, cameras, device)

    def describe(self) -> str:
        """What a verdict depends on."""
        return f"{VERSION}, {', '.join(map(str, self.cameras))}, {self.spec}"


def first_accepted(
    candidates: Iterable[Candidate],
    reference: EngineFactory | None,
    inputs: Inputs,
    cancel: CancelToken | None = None,
) -> Engine | None:
    """Open ``candidates`` in turn and return the first that the gate accepts; None if it accepts none.

    ``reference`` opens float32 on the CPU and is called only where a verdict is missing; None: nothing is judged, since
    random weights mean nothing. A candidate is opened only after those before it were refused; each refusal is one
    warning. Raises EngineError when the reference cannot be opened, and Cancelled before the next image or candidate
    once ``cancel`` is set.
    """
    cancel = cancel or CancelToken()
    for candidate in candidates:
        cancel.check()
        try:
            engine = candidate.open()
        except EngineError as error:
            log.warning("%s is not used: it cannot be opened: %s", candidate.name, error)
            continue
        if reference is None:
            log.info("%s: not judged, because random weights mean nothing", engine.describe())
            return engine
        # This stands until the gate has answered, so that an exception closes the engine as a refusal does.
        reason: str | None = "the judgement was interrupted"
        try:
            reason = why_refused(candidate, engine, reference, inputs, cancel)
        finally:
            if reason is not None and not candidate.shared:
                engine.close()
        if reason is None:
            return engine
        log.warning("%s is not used: %s", engine.describe(), reason)
    return None


def why_refused(
    candidate: Candidate,
    engine: Engine,
    reference: EngineFactory,
    inputs: Inputs,
    cancel: CancelToken | None = None,
) -> str | None:
    """Why the gate refuses ``engine``, which ``candidate`` opened, in one line; None: it accepts it, now or earlier.

    Acceptance is one line in the log. The verdict is kept in the candidate's file; an engine that fails while it is
    judged leaves none, since that may be the moment's fault. The caller closes engine and reference. Raises as
    ``first_accepted``.
    """
    cancel = cancel or CancelToken()
    judged = CancellableEngine(engine if inputs.device is None else NumpyEngine(engine, inputs.device), cancel)
    bounds = BOUNDS[candidate.precision]
    belongs_to = identity(judged, bounds, {"golden": inputs.describe()} | dict(candidate.made_from))
    verdict = load_verdict(candidate.verdict_file, belongs_to)
    if verdict is not None and verdict.accepted:
        log.info("%s: accepted earlier, see %s", engine.describe(), candidate.verdict_file)
        return None
    if verdict is None:
        trusted = CancellableEngine(reference(), cancel)
        try:
            verdict = judge(trusted, judged, golden_inputs(inputs.spec, inputs.cameras), bounds, belongs_to)
        except EngineError as error:
            return f"it cannot be judged: {error}"
        save_verdict(verdict, candidate.verdict_file)
    if verdict.accepted:
        log.info("%s: accepted, against float32: %s", engine.describe(), verdict.metrics)
        return None
    more = f"; {len(verdict.reasons) - 1} more" * (len(verdict.reasons) > 1)
    where = f"; see {candidate.verdict_file}" if candidate.verdict_file else ""
    return f"{verdict.reasons[0]}{more}{where}"
