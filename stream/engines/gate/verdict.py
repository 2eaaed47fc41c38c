"""The engine gate's verdict on one engine: a JSON file next to it, which is valid only for exactly that engine."""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stream.core.atomic_write import atomic_write
from stream.engines.gate.error_metrics import Metrics

log = logging.getLogger(__name__)

FORMAT = "depthstream engine verdict 1"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of judging one engine."""

    accepted: bool
    """The engine may be used."""
    reasons: tuple[str, ...]
    """One line each, a metric with its bound; empty if accepted."""
    metrics: Metrics
    belongs_to: Mapping[str, str]
    """Everything that identifies the engine and the gate (``gate.identity``): a verdict holds for no other values."""

    def to_json(self) -> str:
        """Indented, for people too. A metric that is not finite is written as a string."""
        content = asdict(self) | {"format": FORMAT, "belongs_to": dict(self.belongs_to)}
        content["metrics"] = {name: _encode(value) for name, value in content["metrics"].items()}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Parse what ``to_json`` wrote. Raises ValueError for anything else."""
        try:
            return _from_dict(json.loads(text))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a verdict: {error!r}") from error


def save_verdict(verdict: Verdict, path: Path | None) -> None:
    """Write the verdict atomically. If that fails, a warning is logged and the next start judges again."""
    if path is None:
        return
    try:
        atomic_write(path, verdict.to_json().encode())
    except OSError as error:
        log.warning("%s: the verdict cannot be kept, the next start judges again: %s", path, error)


def load_verdict(path: Path | None, belongs_to: Mapping[str, str]) -> Verdict | None:
    """The verdict in the file, if it can be read and belongs to exactly these values; else None."""
    if path is None:
        return None
    try:
        verdict = Verdict.from_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        log.debug("%s: no verdict: %s", path, error)
        return None
    return verdict if dict(verdict.belongs_to) == dict(belongs_to) else None


def processor(root: Path = Path("/")) -> str:
    """The CPU's name, model numbers, and a hash of its feature flags: with other instructions results differ."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n\n", maxsplit=1)[0]
    except OSError:
        return "unknown"
    about = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines.splitlines())}
    name = about.get("model name", "unknown")
    numbers = "/".join(about.get(number, "?") for number in ("cpu family", "model", "stepping"))
    # Intel's and AMD's processors list flags, ARM's list Features.
    flags = " ".join(sorted(about.get("flags", about.get("Features", "")).split()))
    return f"{name} {numbers} {hashlib.sha256(flags.encode()).hexdigest()[:12]}"


def _from_dict(content: dict[str, Any]) -> Verdict:
    if content["format"] != FORMAT:
        raise ValueError(f"another format: {content['format']}")
    metrics = {name: _decode(value) for name, value in content["metrics"].items()}
    return Verdict(
        accepted=content["accepted"] is True and not content["reasons"],
        reasons=tuple(str(reason) for reason in content["reasons"]),
        metrics=Metrics(**metrics),
        belongs_to={str(name): str(value) for name, value in content["belongs_to"].items()},
    )


def _encode(value: Any) -> Any:
    # JSON has no numbers for these (RFC 8259, section 6).
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _decode(value: Any) -> Any:
    if value in ("nan", "inf", "-inf"):
        return float(value)
    # JSON has no tuples: ``batches`` comes back as a list.
    return tuple(value) if isinstance(value, list) else value
