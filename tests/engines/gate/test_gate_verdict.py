"""A verdict on disk: whole, and believed only for what it belongs to."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from stream.engines.gate.error_metrics import Metrics
from stream.engines.gate.gate import FP32, REDUCED, identity
from stream.engines.gate.verdict import Verdict, load_verdict, processor, save_verdict
from stream.engines.torchscript import TorchScriptEngine

FIGURES = Metrics(
    batches=(1, 2, 4),
    outputs=36,
    nan=1,
    inf=0,
    correlation=float("nan"),
    correlation_median=0.5,
    correlation_at="nowhere",
    abs_rel=0.25,
    abs_rel_median=0.125,
    delta1=0.5,
    delta1_median=1.0,
    scale_off=1.0,
    level_off=0.0,
    scale_drift=float("inf"),
    level_drift=0.5,
    batch_difference=0.0,
)
ACCEPTED = Verdict(True, (), replace(FIGURES, nan=0, correlation=1.0, scale_drift=0.0), {"weights": "w", "torch": "2"})
REFUSED = Verdict(False, ("nan: 1 values", "scale_drift inf"), FIGURES, {"weights": "w", "torch": "2"})


@pytest.mark.parametrize("verdict", [ACCEPTED, REFUSED], ids=["accepted", "refused"])
def test_what_was_kept_is_read(tmp_path: Path, verdict: Verdict) -> None:
    """Metrics that are not finite are strict JSON, too; no temporary file stays."""
    path = tmp_path / "new" / "tiny.verdict.json"
    save_verdict(verdict, path)
    read = load_verdict(path, verdict.belongs_to)
    assert read is not None
    assert repr(read) == repr(verdict)  # NaN equals nothing, not even itself
    assert list(path.parent.iterdir()) == [path]
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.parametrize("other", [{"weights": "x", "torch": "2"}, {"weights": "w"}, {}])
def test_a_verdict_on_something_else_is_not_believed(tmp_path: Path, other: dict[str, str]) -> None:
    """Neither with another value nor with one fewer."""
    save_verdict(ACCEPTED, tmp_path / "verdict.json")
    assert load_verdict(tmp_path / "verdict.json", other) is None


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"format": "depthstream engine verdict 2"}', '{"format": "depthstream engine verdict 1"}'],
)
def test_a_damaged_file_is_no_verdict(tmp_path: Path, content: str) -> None:
    """The engine is judged again, as if there was no verdict."""
    (tmp_path / "verdict.json").write_text(content)
    assert load_verdict(tmp_path / "verdict.json", ACCEPTED.belongs_to) is None
    assert load_verdict(tmp_path / "missing.json", ACCEPTED.belongs_to) is None


def test_reasons_outweigh_a_word_that_was_edited(tmp_path: Path) -> None:
    """A refusal does not become an acceptance by one changed word."""
    path = tmp_path / "verdict.json"
    save_verdict(REFUSED, path)
    path.write_text(path.read_text().replace('"accepted": false', '"accepted": true'))
    read = load_verdict(path, REFUSED.belongs_to)
    assert read is not None
    assert not read.accepted


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning; and without a folder no file is read."""
    (tmp_path / "file").write_text("in the way")
    save_verdict(ACCEPTED, tmp_path / "file" / "verdict.json")
    save_verdict(ACCEPTED, None)
    assert [record.levelname for record in caplog.records if record.levelno >= logging.WARNING] == ["WARNING"]
    assert load_verdict(None, ACCEPTED.belongs_to) is None


def engine(**changes: object) -> TorchScriptEngine:
    made = {"weights_key": "w", "code_version": "1", "cache": None, "threads": 1, "max_batch": 1, "dtype": "bf16"}
    return TorchScriptEngine("tiny", lambda: pytest.fail("nothing is run"), **(made | changes))  # type: ignore[arg-type]


def test_another_engine_machine_or_judge_is_another_identity() -> None:
    """It depends on everything that decides the outputs or the bounds."""
    one = identity(engine(), REDUCED, {"weights": "w"})
    assert one == identity(engine(), REDUCED, {"weights": "w"})
    assert {"engine", "max_batch", "bounds", "gate", "torch", "cpu", "weights"} == set(one)
    others = [
        identity(engine(dtype="fp32"), REDUCED, {"weights": "w"}),
        identity(engine(max_batch=4), REDUCED, {"weights": "w"}),
        identity(engine(threads=2), REDUCED, {"weights": "w"}),
        identity(engine(), FP32, {"weights": "w"}),
        identity(engine(), REDUCED, {"weights": "v"}),
        identity(engine(), REDUCED, {"weights": "w", "gpu": "NVIDIA H200"}),
    ]
    assert all(other != one for other in others)


CPU = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu avx2 avx512_bf16

processor\t: 1
flags\t\t: other
"""


def test_a_processor_is_known_by_what_it_can_do(tmp_path: Path) -> None:
    """The same name with other instructions is another processor; their order is not."""

    def named(text: str) -> str:
        (tmp_path / "proc").mkdir(exist_ok=True)
        (tmp_path / "proc" / "cpuinfo").write_text(text)
        return processor(tmp_path)

    assert named(CPU).startswith("AMD EPYC 25/17/1 ")
    assert named(CPU) == named(CPU.replace("fpu avx2", "avx2 fpu"))
    assert named(CPU) != named(CPU.replace("avx512_bf16", "avx512f"))
    assert processor(tmp_path / "nowhere") == "unknown"
