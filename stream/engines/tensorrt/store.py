"""Built engines on disk, each with a JSON record of what it was made from. Without a valid record it is not used.

An engine runs only on the hardware and software that it was built for, and reports a mismatch too late. So its file
name contains a hash of everything that it depends on.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from stream.core.atomic_write import atomic_write
from stream.frames import Size

log = logging.getLogger(__name__)

FORMAT = "depthstream engine 1"

ANY_ONNX = ""
"""For ``Recipe.onnx_sha256``: any ONNX file of the network."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that an engine depends on: engines with equal recipes are equal."""

    network: str
    onnx_sha256: str
    """Hash of the exported network with its weights, 64 hexadecimal digits."""
    flavour: str
    """The package, "tensorrt" or "tensorrt_rtx"."""
    version: str
    """Version of that package."""
    compute_capability: str
    """Such as "8.9"; "portable" for an engine that serves several."""
    driver: str
    """Such as "580.65.06"; "any" for a portable engine."""
    precision: str
    size: Size
    best_batch: int
    max_batch: int

    @property
    def key(self) -> str:
        """Hash of the recipe, 64 hexadecimal digits."""
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
    """What the ONNX file was exported from: the hash of the weights, the version of the code, and so on."""
    sha256: str
    """Hash of the engine's file, 64 hexadecimal digits."""
    size_bytes: int
    build_s: float

    @property
    def verdict_path(self) -> Path:
        """Path of the engine gate's verdict."""
        return self.path.with_suffix(".verdict.json")

    @property
    def runtime_cache_path(self) -> Path:
        """Path of the kernels that TensorRT-RTX compiles when it loads the engine."""
        return self.path.with_suffix(".runtime")

    def read(self) -> bytes | None:
        """The engine's bytes; None, with a warning in the log, if the file has changed since it was written."""
        try:
            content = self.path.read_bytes()
        except OSError as error:
            _report(self.path, error)
            return None
        if hashlib.sha256(content).hexdigest() != self.sha256:
            _report(self.path, "its checksum is wrong")
            return None
        return content


class EngineStore:
    """The engines in a folder, which need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, recipe: Recipe, source: Mapping[str, str] | None = None) -> StoredEngine | None:
        """The engine of that recipe; None if there is none.

        With ``onnx_sha256`` ANY_ONNX, it must have been exported from ``source`` instead. That avoids an export, which
        takes seconds, only to look up the hash.
        """
        if recipe.onnx_sha256 != ANY_ONNX:
            return _stored(self._record(recipe))
        for engine in self.engines():
            if engine.source == source and replace(engine.recipe, onnx_sha256=ANY_ONNX) == recipe:
                return engine
        return None

    def write(self, recipe: Recipe, source: Mapping[str, str], plan: bytes, build_s: float) -> StoredEngine:
        """Store ``plan``, replacing one of the same recipe. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / recipe.file_name
        engine = StoredEngine(path, recipe, dict(source), hashlib.sha256(plan).hexdigest(), len(plan), build_s)
        # verdict and runtime cache belong to the bytes that were judged and compiled
        for outdated in (engine.verdict_path, engine.runtime_cache_path):
            outdated.unlink(missing_ok=True)
        atomic_write(path, plan)
        atomic_write(
            self._record(recipe), _record_of(engine).encode()
        )  # last, because only an engine with a record is used
        return engine

    def engines(self) -> list[StoredEngine]:
        """All usable engines, sorted by name; a warning is logged for each unusable one."""
        found = (_stored(record) for record in sorted(self.folder.glob("*.engine.json")))
        return [engine for engine in found if engine is not None]

    def timing_cache(self, flavour: str, version: str, compute_capability: str) -> Path:
        """Path of TensorRT's kernel timings on such a GPU, which speed up the next build."""
        return self.folder / f"{flavour}-{version}-{compute_capability}.timing"

    def _record(self, recipe: Recipe) -> Path:
        return self.folder / f"{recipe.file_name}.json"


def _stored(record: Path) -> StoredEngine | None:
    """The engine that ``record`` describes; None if it is missing, or, with a warning in the log, invalid."""
    if not record.is_file():
        return None
    try:
        engine = _read_record(record, json.loads(record.read_text(encoding="utf-8")))
        found = engine.path.stat().st_size
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _report(record, error)
        return None
    # Only the size, because this runs for every engine of the store; ``read`` verifies the hash.
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
        raise ValueError(f"it describes {recipe.file_name}")
    source = {str(name): str(value) for name, value in content["source"].items()}
    return StoredEngine(path, recipe, source, content["sha256"], int(content["size_bytes"]), float(content["build_s"]))


def _report(path: Path, why: object) -> None:
    reason = next(iter(str(why).splitlines()), "") or type(why).__name__
    log.warning("%s: ignored and built anew when needed: %s", path, reason)
