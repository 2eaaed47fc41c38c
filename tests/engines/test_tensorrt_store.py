"""Built engines on disk are found by what they were made from, and never used when they are not whole."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from stream.engines.tensorrt.store import ANY_ONNX, EngineStore, Recipe, StoredEngine
from stream.frames import Size

RECIPE = Recipe(
    "tiny", "ab" * 32, "tensorrt", "11.4.0.106", "8.9", "580.65.06", "fp16", Size(128, 256), best_batch=2, max_batch=4
)
SOURCE = {"weights": "cd" * 32, "code": "123"}
PLAN = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path: Path) -> EngineStore:
    return EngineStore(tmp_path / "engines")


@pytest.fixture
def engine(store: EngineStore) -> StoredEngine:
    return store.write(RECIPE, SOURCE, PLAN, build_s=1.5)


def test_what_was_written_is_found_and_read(store: EngineStore, engine: StoredEngine) -> None:
    """By another store, too: nothing is only in memory."""
    again = EngineStore(store.folder)
    assert again.find(RECIPE) == engine
    assert again.engines() == [engine]
    assert engine.read() == PLAN
    assert (engine.size_bytes, engine.build_s, engine.source) == (len(PLAN), 1.5, SOURCE)
    assert "tiny-256x128-b4-fp16-tensorrt" in engine.path.name


def test_an_empty_store_finds_nothing(store: EngineStore) -> None:
    """The folder need not exist, and looking does not make it."""
    assert store.find(RECIPE) is None
    assert store.find(replace(RECIPE, onnx_sha256=ANY_ONNX), SOURCE) is None
    assert store.engines() == []
    assert not store.folder.exists()


@pytest.mark.parametrize("field", [field.name for field in fields(Recipe)])
def test_an_engine_is_of_use_for_its_own_recipe_only(store: EngineStore, engine: StoredEngine, field: str) -> None:
    """Another network, package, card, driver, precision, size or batch: another engine."""
    other: dict[str, object] = {"size": Size(256, 128), "best_batch": 1, "max_batch": 8}
    changed = replace(RECIPE, **{field: other.get(field, "other")})  # type: ignore[arg-type]
    assert changed.key != RECIPE.key
    assert store.find(changed) is None
    assert store.find(RECIPE) == engine


def test_it_is_found_by_its_source_without_exporting(store: EngineStore, engine: StoredEngine) -> None:
    """Every part of the source counts."""
    anything = replace(RECIPE, onnx_sha256=ANY_ONNX)
    assert store.find(anything, SOURCE) == engine
    assert store.find(anything, SOURCE | {"code": "124"}) is None
    assert store.find(anything) is None


def damaged(engine: StoredEngine) -> None:
    content = bytearray(engine.path.read_bytes())
    content[1000] ^= 1
    engine.path.write_bytes(content)


def record_of(engine: StoredEngine) -> Path:
    return engine.path.with_name(f"{engine.path.name}.json")


def edited(name: str, value: object) -> Callable[[StoredEngine], None]:
    def edit(engine: StoredEngine) -> None:
        content = json.loads(record_of(engine).read_text())
        content[name] = value
        record_of(engine).write_text(json.dumps(content))

    return edit


def foreign(engine: StoredEngine) -> None:
    """The record of another engine under this one's name."""
    content = json.loads(record_of(engine).read_text())
    content["recipe"]["driver"] = "550.1"
    record_of(engine).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda engine: engine.path.write_bytes(PLAN[:-1]),
        lambda engine: engine.path.unlink(),
        lambda engine: record_of(engine).write_text("{"),
        lambda engine: record_of(engine).write_text("[]"),
        lambda engine: record_of(engine).write_bytes(b"\xff\xfe\x00"),
        edited("format", "depthstream engine 0"),
        edited("recipe", {"network": "tiny"}),
        edited("size_bytes", "many"),
        foreign,
    ],
)
def test_what_is_not_whole_or_not_ours_is_reported_in_one_line_and_replaced(
    store: EngineStore, engine: StoredEngine, spoil: Callable[[StoredEngine], object], caplog: pytest.LogCaptureFixture
) -> None:
    """As if it were not there; building it again puts it right."""
    spoil(engine)
    with caplog.at_level(logging.WARNING):
        assert store.find(RECIPE) is None
    assert len(caplog.records) == 1
    assert "ignored and built anew when needed" in caplog.text
    assert store.write(RECIPE, SOURCE, PLAN, build_s=2.0).read() == PLAN
    assert store.find(RECIPE) is not None


def test_a_flipped_bit_is_found_when_the_engine_is_read(engine: StoredEngine, caplog: pytest.LogCaptureFixture) -> None:
    """Finding an engine does not read the whole file."""
    damaged(engine)
    assert engine.read() is None
    assert "its checksum is wrong" in caplog.text


def test_a_new_engine_loses_what_was_said_of_the_old_one(store: EngineStore, engine: StoredEngine) -> None:
    """Verdict and runtime cache belong to the bytes that were judged and compiled."""
    engine.verdict_path.write_text("accepted")
    engine.runtime_cache_path.write_bytes(b"kernels")
    again = store.write(RECIPE, SOURCE, PLAN[::-1], build_s=1.0)
    assert again.path == engine.path
    assert not again.verdict_path.exists()
    assert not again.runtime_cache_path.exists()
    assert store.engines() == [again]


def test_files_of_others_in_the_folder_are_not_engines(store: EngineStore, engine: StoredEngine) -> None:
    """Timing caches, verdicts, an engine without its record, half a file of a process that was killed."""
    store.timing_cache("tensorrt", "11.4.0.106", "8.9").write_bytes(b"x")
    engine.verdict_path.write_text("{}")
    (store.folder / "midas_small-256x256.engine").write_bytes(PLAN)
    (store.folder / f"{engine.path.name}.abcd").write_bytes(PLAN[:100])
    assert store.engines() == [engine]
