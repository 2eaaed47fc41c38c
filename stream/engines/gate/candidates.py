"""Engines in the order in which they are wanted; the first that passes the gate is used."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from stream.engines.base import Engine
from stream.engines.gate.gate import BOUNDS, Precision, identity, judge
from stream.engines.gate.golden_inputs import CAMERAS, VERSION, at_size, golden
from stream.engines.gate.verdict import keep, kept
from stream.engines.wrappers import CancellableEngine, CancelToken, EngineFactory, LazyEngine, NumpyEngine
from stream.errors import EngineError
from stream.frames import Size
from stream.models.spec import InputSpec

if TYPE_CHECKING:
    from stream.engines.base import Engine


def gated(
    reference: EngineFactory,
    candidate: EngineFactory,
    spec: InputSpec,
    precision: Precision,
    verdict_file: Path | None,
    *,
    made_from: Mapping[str, str],
    cameras: tuple[Size, ...] = CAMERAS,
) -> Engine:
    """The engine of ``candidate`` if the gate accepts it, now or earlier, else that of ``reference``: float32, CPU.

    ``made_from`` says what else a verdict belongs to: at least the weights' SHA-256, of a compiled engine also its own,
    on a GPU its name and driver. One line in the log says which engine it is and why. Raises EngineError only when the
    reference cannot be opened or run.
    """
    opened = LazyEngine(reference)
    try:
        engine = candidate()
    except EngineError as error:
        return _instead(opened(), "the engine that was asked for", f"it cannot be opened: {error}")
    why_not = refusal(engine, opened, spec, precision, verdict_file, made_from=made_from, cameras=cameras)
    if why_not is not None:
        engine.close()
        return _instead(opened(), engine.describe(), why_not)
    opened.close()
    return engine


def refusal(
    engine: Engine,
    reference: EngineFactory,
    spec: InputSpec,
    precision: Precision,
    verdict_file: Path | None,
    *,
    made_from: Mapping[str, str],
    cameras: tuple[Size, ...] = CAMERAS,
) -> str | None:
    """Why the gate does not accept ``engine``, in one line; None: it does, now or earlier, with a line in the log.

    The ``reference`` is only asked for where there is no verdict yet; the caller closes both. See ``gated`` for the
    rest. Raises EngineError when the reference cannot be opened.
    """
    told = {"golden": f"{VERSION}, {', '.join(map(str, cameras))}, {spec}"} | dict(made_from)
    belongs_to = identity(engine, BOUNDS[precision], told)
    verdict = kept(verdict_file, belongs_to)
    if verdict is not None and verdict.accepted:
        log.info("%s: accepted earlier, see %s", engine.describe(), verdict_file)
        return None
    if verdict is None:
        trusted = reference()
        try:
            verdict = judge(trusted, engine, golden(spec, cameras), BOUNDS[precision], belongs_to)
        except EngineError as error:
            return f"it cannot be judged: {error}"
        keep(verdict, verdict_file)
    if verdict.accepted:
        log.info("%s: accepted, against float32: %s", engine.describe(), verdict.metrics)
        return None
    more = f"; {len(verdict.reasons) - 1} more" * (len(verdict.reasons) > 1)
    where = f"; see {verdict_file}" if verdict_file else ""
    return f"{verdict.reasons[0]}{more}{where}"


def _instead(reference: Engine, refused: str, why: str) -> Engine:
    log.warning("%s is used instead of %s: %s", reference.describe(), refused, why)
    return reference


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
    stopping: CancelToken | None = None,
) -> Engine | None:
    """The first of ``candidates`` that passes at network ``size``; None: none does. One line in the log a refusal.

    ``reference``: float32 on the CPU; None: nothing is judged (random weights). A candidate is only looked at when
    those before it were refused. Raises EngineError when the reference cannot be opened, and Cancelled before the next
    image or candidate when that is set.
    """
    stopping = stopping or CancelToken()
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
    stopping: CancelToken | None = None,
) -> str | None:
    """Why the gate does not accept ``engine``, which ``candidate`` opened, at network ``size``; None: it does."""
    adapted, cameras = at_size(spec, size)
    stop = stopping or CancelToken()
    return refusal(
        CancellableEngine(NumpyEngine(engine, device), stop),
        lambda: CancellableEngine(reference(), stop),
        adapted,
        candidate.precision,
        candidate.verdict_file,
        made_from=candidate.made_from,
        cameras=cameras,
    )
