"""Built engines on disk. Beside each is a JSON that says what it was made from; without a true one it is not used.

An engine is of use only on what it was built for, and does not say so itself in time: its name is a hash of all that.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stream.core.atomic_write import write_whole
from stream.frames import Size

log = logging.getLogger(__name__)

FORMAT = "depthstream engine 1"

ANY = ""
"""For ``Recipe.onnx_sha256``: whatever the same network was exported to."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that an engine depends on: engines with equal recipes are equal."""

    network: str
    onnx_sha256: str
    """64 hexadecimal digits of the exported network, weights included."""
    flavour: str
    """The package: "tensorrt" or "tensorrt_rtx"."""
    version: str
    """Of that package."""
    compute_capability: str
    """As "8.9"; "portable" where an engine is for more than one."""
    driver: str
    """As "580.65.06"; "any" for a portable engine."""
    precision: str
    size: Size
    best_batch: int
    max_batch: int

    @property
    def key(self) -> str:
        """64 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def file_name(self) -> str:
        batch = f"b{self.max_batch}"
        return f"{self.network}-{self.size}-{batch}-{self.precision}-{self.flavour}-{self.key[:16]}.engine"


@dataclass(frozen=True, slots=True)
class StoredEngine:
    """An engine in a store."""

    path: Path
    recipe: Recipe
    source: Mapping[str, str]
    """What the ONNX file was exported from: hash of the weights, version of the code, ..."""
    sha256: str
    """Of the engine's file."""
    size_bytes: int
    build_s: float

    @property
    def verdict_path(self) -> Path:
        """Where what the engine gate says of it belongs."""
        return self.path.with_suffix(".verdict.json")

    @property
    def runtime_cache_path(self) -> Path:
        """Where what TensorRT-RTX compiles when it loads the engine is kept."""
        return self.path.with_suffix(".runtime")

    def read(self) -> bytes | None:
        """The engine; None, with a line in the log, if the file is not what was written."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            _report(self.path, error)
            return None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            _report(self.path, "its check sum is wrong")
            return None
        return content


class EngineStore:
    """Engines in a folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, recipe: Recipe, source: Mapping[str, str] | None = None) -> StoredEngine | None:
        """The engine of that recipe.

        With ``onnx_sha256`` ANY, the one exported from ``source``: exporting only to find out takes seconds.
        """
        if recipe.onnx_sha256 != ANY:
            return _stored(self._record(recipe))
        for engine in self.engines():
            if engine.source == source and replace(engine.recipe, onnx_sha256=ANY) == recipe:
                return engine
        return None

    def write(self, recipe: Recipe, source: Mapping[str, str], plan: bytes, build_s: float) -> StoredEngine:
        """Keep ``plan``, instead of one of the same recipe. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / recipe.file_name
        engine = StoredEngine(path, recipe, dict(source), hashlib.sha256(plan).hexdigest(), len(plan), build_s)
        for outdated in (engine.verdict_path, engine.runtime_cache_path):
            outdated.unlink(missing_ok=True)
        write_whole(path, plan)
        write_whole(self._record(recipe), _record_of(engine).encode())  # last: it is what makes the engine one of ours
        return engine

    def engines(self) -> list[StoredEngine]:
        """All that are of use, by name; one line in the log for each that is not."""
        found = (_stored(record) for record in sorted(self.folder.glob("*.engine.json")))
        return [engine for engine in found if engine is not None]

    def timing_cache(self, flavour: str, version: str, compute_capability: str) -> Path:
        """Where what TensorRT measured of its kernels on such a card is kept, for the next build."""
        return self.folder / f"{flavour}-{version}-{compute_capability}.timing"

    def _record(self, recipe: Recipe) -> Path:
        return self.folder / f"{recipe.file_name}.json"


def _stored(record: Path) -> StoredEngine | None:
    """The engine that ``record`` tells of; None if there is none, and if it tells nonsense, with a line in the log."""
    if not record.is_file():
        return None
    try:
        engine = _read_record(record, json.loads(record.read_text(encoding="utf-8")))
        found = engine.path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _report(record, error)
        return None
    if found != engine.size_bytes:
        _report(engine.path, f"it has {found} of {engine.size_bytes} bytes")
        return None
    return engine


def _record_of(engine: StoredEngine) -> str:
    content = {"format": FORMAT, **asdict(engine), "path": engine.path.name, "source": dict(engine.source)}
    return json.dumps(content, indent=1) + "\n"


def _read_record(record: Path, content: dict[str, Any]) -> StoredEngine:
    if content["format"] != FORMAT:
        raise ValueError(f"another format: {content['format']}")
    recipe = Recipe(**content["recipe"] | {"size": Size(*content["recipe"]["size"])})
    path = record.with_suffix("")
    if path.name != recipe.file_name:
        raise ValueError(f"it tells of {recipe.file_name}")
    source = {str(name): str(value) for name, value in content["source"].items()}
    return StoredEngine(path, recipe, source, content["sha256"], int(content["size_bytes"]), float(content["build_s"]))


def _report(path: Path, why: object) -> None:
    reason = next(iter(str(why).splitlines()), "") or type(why).__name__
    log.warning("%s: ignored and built anew when needed: %s", path, reason)
