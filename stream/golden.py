"""Engines that must pass before golden pictures (``golden_pictures``) before anybody uses them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from stream.engines.gate.gate import BOUNDS, Precision, identity, judge
from stream.engines.gate.golden_inputs import CAMERAS, VERSION, golden
from stream.engines.gate.verdict import keep, kept
from stream.engines.wrappers import EngineFactory, Opened
from stream.errors import EngineError
from stream.frames import Size
from stream.models.spec import InputSpec

if TYPE_CHECKING:
    from stream.engines.base import Engine

log = logging.getLogger(__name__)


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
    opened = Opened(reference)
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
        log.info("%s: accepted, against float32: %s", engine.describe(), verdict.figures)
        return None
    more = f"; {len(verdict.reasons) - 1} more" * (len(verdict.reasons) > 1)
    where = f"; see {verdict_file}" if verdict_file else ""
    return f"{verdict.reasons[0]}{more}{where}"


def _instead(reference: Engine, refused: str, why: str) -> Engine:
    log.warning("%s is used instead of %s: %s", reference.describe(), refused, why)
    return reference
