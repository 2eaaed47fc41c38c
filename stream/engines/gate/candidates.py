"""Engines in the order in which they are wanted; the first that passes the gate is used."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from stream.engines.base import Engine
from stream.engines.gate.gate import Precision
from stream.engines.gate.golden_inputs import at_size
from stream.engines.numpy_engine import NumpyEngine
from stream.engines.stopping import Stoppable, Stopping
from stream.engines.wrappers import EngineFactory
from stream.errors import EngineError
from stream.frames import Size
from stream.golden import refusal
from stream.models.spec import InputSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that may be used if the gate accepts it."""

    name: str
    """For people, also where it cannot be opened."""
    open: EngineFactory
    """It takes and gives tensors of the device."""
    precision: Precision
    """What it claims to compute in."""
    verdict_file: Path
    made_from: Mapping[str, str]
    """See ``golden.gated``."""
    shared: bool = False
    """Others use it too: it is not closed where it is refused."""


def first_accepted(
    candidates: Iterable[Candidate],
    reference: EngineFactory | None,
    spec: InputSpec,
    size: Size,
    device: torch.device,
    stopping: Stopping | None = None,
) -> Engine | None:
    """The first of ``candidates`` that passes at network ``size``; None: none does. One line in the log a refusal.

    ``reference``: float32 on the CPU; None: nothing is judged (random weights). A candidate is only looked at when
    those before it were refused. Raises EngineError when the reference cannot be opened, and Stopped before the next
    picture or candidate when that is set.
    """
    stopping = stopping or Stopping()
    for candidate in candidates:
        stopping.check()
        try:
            engine = candidate.open()
        except EngineError as error:
            log.warning("%s is not used: it cannot be opened: %s", candidate.name, error)
            continue
        if reference is None:
            log.info("%s: not judged, because random weights mean nothing", engine.describe())
            return engine
        accepted = False
        try:
            why_not = judged(candidate, engine, reference, spec, size, device, stopping)
            accepted = why_not is None
        finally:
            if not accepted and not candidate.shared:
                engine.close()
        if accepted:
            return engine
        log.warning("%s is not used: %s", engine.describe(), why_not)
    return None


def judged(
    candidate: Candidate,
    engine: Engine,
    reference: EngineFactory,
    spec: InputSpec,
    size: Size,
    device: torch.device,
    stopping: Stopping | None = None,
) -> str | None:
    """Why the gate does not accept ``engine``, which ``candidate`` opened, at network ``size``; None: it does."""
    adapted, cameras = at_size(spec, size)
    stop = stopping or Stopping()
    return refusal(
        Stoppable(NumpyEngine(engine, device), stop),
        lambda: Stoppable(reference(), stop),
        adapted,
        candidate.precision,
        candidate.verdict_file,
        made_from=candidate.made_from,
        cameras=cameras,
    )
