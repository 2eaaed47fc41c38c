"""`depthstream models build`: what it makes, what it says, and what it refuses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.cli.build import build_engine
from stream.engines.tensorrt import api
from stream.errors import EngineError, MissingPackage, UnknownModel, UsageError, WeightsError

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),  # torch's own exporter
]


@pytest.fixture
def trt() -> api.TensorRT:
    try:
        return api.load()
    except MissingPackage as error:
        pytest.skip(str(error))


@pytest.mark.slow
def test_it_builds_once_and_says_where(trt: api.TensorRT, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the weights that come with the package; the first line is the path, for scripts."""
    if trt.flavour == "tensorrt" and api.current_gpu() is None:
        pytest.skip("TensorRT builds on a GPU only, and there is none; TensorRT-RTX would do without")
    assert build_engine("tiny", size="96x64", batch=2, precision="fp16", folder=tmp_path) == 0
    path, about, gate = capsys.readouterr().out.splitlines()
    assert Path(path).parent == tmp_path
    assert Path(path).stat().st_size > 1_800_000
    assert about.startswith("tiny, 96x64 (width x height), batch 1 to 2, fp16: ")
    assert " MB, built in " in about
    assert gate.startswith("not checked by the engine gate, which needs the GPU")

    written = Path(path).stat().st_mtime_ns
    assert build_engine("tiny", size="96x64", batch=2, precision="fp16", folder=tmp_path) == 0
    again, about, _ = capsys.readouterr().out.splitlines()
    assert (again, Path(path).stat().st_mtime_ns) == (path, written)
    assert ", already built by " in about


def test_mixed_precision_must_know_the_parts(trt: api.TensorRT, tmp_path: Path) -> None:
    """tiny names none itself."""
    if trt.flavour == "tensorrt" and api.current_gpu() is None:
        pytest.skip("TensorRT builds on a GPU only, and there is none; TensorRT-RTX would do without")
    with pytest.raises(EngineError, match='TinyDepth names no float32_parts for precision "mixed"'):
        build_engine("tiny", size="96x64", precision="mixed", weights="random", folder=tmp_path)


@pytest.mark.parametrize(
    ("size", "batch", "message"),
    [
        ("256x100", 1, "--size 256x100: tiny needs multiples of 32; the nearest is 256x96"),
        ("0x0", 1, "the nearest is 32x32"),
        ("128", 1, '--size 128: it is width x height of the network\'s input, such as "256x192"'),
        ("96x64", 0, "--batch 0: an engine takes at least one image"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_at_once(size: str, batch: int, message: str, tmp_path: Path) -> None:
    """Before anything is loaded."""
    with pytest.raises(UsageError) as caught:
        build_engine("tiny", size=size, batch=batch, folder=tmp_path)
    assert message in str(caught.value)


def test_an_unknown_network_is_named(tmp_path: Path) -> None:
    """With the near one."""
    with pytest.raises(UnknownModel, match="tiny"):
        build_engine("tyni", size="96x64", folder=tmp_path)


def test_without_tensorrt_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is exported first."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    api.load.cache_clear()
    try:
        with pytest.raises(MissingPackage, match="pip install"):
            build_engine("tiny", size="96x64", folder=tmp_path)
    finally:
        api.load.cache_clear()


def test_without_weights_it_says_how_to_get_them(
    trt: api.TensorRT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or to build with random ones."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="depthstream models pull midas_small"):
        build_engine("midas_small", size="96x64")
