"""Golden images, and engines that are only used after they have passed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from stream.engines.base import Engine
from stream.engines.gate.candidates import Candidate, Inputs, first_accepted
from stream.engines.gate.gate import Precision
from stream.engines.gate.golden_inputs import FAMILIES, FRAMES, golden_inputs, spec_for_size
from stream.engines.gate.verdict import Verdict
from stream.engines.torchscript import TorchScriptEngine
from stream.engines.wrappers import LazyEngine
from stream.errors import EngineError
from stream.frames import Floats, Size
from stream.models.midas_small import MIDAS_SMALL
from stream.models.networks import build
from stream.models.spec import Canvas, InputSpec
from stream.models.tiny import TINY
from stream.models.weights import load_into, load_state
from stream.preprocess.geometry import network_size

SMALL = replace(TINY.spec, side=96)
CAMERA = (Size(480, 640),)
MADE_FROM = {"weights": TINY.weights.sha256 or ""}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_golden_images_have_the_networks_sizes() -> None:
    """One array a network size; cameras that lead to the same size share it."""
    seen = golden_inputs(SMALL, (Size(480, 640), Size(240, 320), Size(640, 480)))
    assert [pixels.shape for pixels in seen.images] == [(len(FAMILIES), 3, 64, 96), (len(FAMILIES), 3, 96, 64)]
    assert [clip.shape for clip in seen.clips] == [(FRAMES, 3, 64, 96)] * 2
    assert [pixels.shape for pixels in seen.extremes] == [(4, 3, 64, 96), (4, 3, 96, 64)]
    for pixels in (*seen.images, *seen.clips, *seen.extremes):
        assert pixels.dtype == np.float32
        assert np.isfinite(pixels).all()
        assert not pixels.flags.writeable


@pytest.mark.slow
def test_golden_images_are_always_the_same_and_all_different() -> None:
    """Whether they are rendered anew or remembered; normalised as each network wants them."""
    from stream.engines.gate.golden_inputs import _clip, _images

    first = golden_inputs(SMALL, CAMERA)
    _images.cache_clear()
    _clip.cache_clear()
    again = golden_inputs(SMALL, CAMERA)
    for before, after in zip((*first.images, *first.clips), (*again.images, *again.clips), strict=True):
        np.testing.assert_array_equal(before, after)
    (images,) = first.images
    assert len({image.tobytes() for image in images}) == len(FAMILIES)
    assert (images.std(axis=(1, 2, 3)) > 0.1).all()
    other = golden_inputs(replace(SMALL, mean=MIDAS_SMALL.spec.mean), CAMERA)
    assert not np.array_equal(other.images[0], images)


def test_one_clip_stands_still_and_one_moves() -> None:
    """On the tripod people and noise differ; the moving camera changes everything."""
    still, moving = golden_inputs(SMALL, CAMERA).clips
    changes = [float(np.abs(np.diff(clip, axis=0)).mean()) for clip in (still, moving)]
    assert 0 < 3 * changes[0] < changes[1]


def trained() -> nn.Module:
    network = build("tiny")
    load_into(network, load_state(TINY))
    return network


def float32() -> Engine:
    return TorchScriptEngine("tiny", trained, weights_key="w", code_version="1", cache=None, threads=1)


def bfloat16() -> Engine:
    return TorchScriptEngine("tiny", trained, weights_key="w", code_version="1", cache=None, threads=1, dtype="bf16")


class Faulty:
    """A real engine with a fault injected into every answer; says whether it has been closed."""

    def __init__(self, spoil: Callable[[Floats], Floats]) -> None:
        self._engine, self._spoil = float32(), spoil
        self.max_batch, self.runs, self.closed = 1, 0, False

    def infer(self, **inputs: Floats) -> dict[str, Floats]:
        self.runs += 1
        return {"depth": self._spoil(self._engine.infer(**inputs)["depth"])}

    def prepare(self, size: Size) -> None:
        self._engine.prepare(size)

    def describe(self) -> str:
        return "a faulty engine"

    def close(self) -> None:
        self.closed = True
        self._engine.close()


def never() -> Engine:
    raise AssertionError("this engine was not needed")


def opened(
    candidate: Callable[[], Engine],
    file: Path | None,
    reference: Callable[[], Engine] = float32,
    made_from: dict[str, str] = MADE_FROM,
    precision: Precision = "bf16",
    spec: InputSpec = SMALL,
) -> Engine:
    """What the CPU's way to an engine does: the candidate if the gate accepts it, else the float32 reference."""
    float32_engine = LazyEngine(reference)
    wanted = Candidate("the candidate", candidate, precision, file, made_from)
    return first_accepted([wanted], float32_engine, Inputs(spec, CAMERA)) or float32_engine()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "tiny-bf16.verdict.json"


@pytest.fixture(autouse=True)
def listening(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stream.engines.gate.candidates")


@pytest.mark.slow
def test_the_real_bfloat16_engine_is_accepted_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Judged at the first start; the second start believes that and does not even open the float32 engine.

    At the network's own size: at less than half of it, bfloat16 is refused (scale off by 0.022).
    """
    first = opened(bfloat16, file, spec=TINY.spec)
    assert "bfloat16" in first.describe()
    assert "bfloat16, 1 thread" in caplog.text
    assert "accepted, against float32: correlation 0.99" in caplog.text
    second = opened(bfloat16, file, reference=never, spec=TINY.spec)
    assert "bfloat16" in second.describe()
    assert "accepted earlier" in caplog.text
    pixels = golden_inputs(TINY.spec, CAMERA).images[0][:1]
    np.testing.assert_array_equal(second.infer(pixels=pixels)["depth"], first.infer(pixels=pixels)["depth"])
    assert Verdict.from_json(file.read_text()).belongs_to["weights"] == TINY.weights.sha256


@pytest.mark.slow
def test_bfloat16_does_not_pass_for_float32(file: Path) -> None:
    """The bounds belong to what the engine claims to be."""
    assert "float32" in opened(bfloat16, file, precision="fp32").describe()
    assert not Verdict.from_json(file.read_text()).accepted


@pytest.mark.slow
def test_a_wrong_engine_is_replaced_with_one_line(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says what is not used, why, and where the metrics are; the wrong engine is closed."""
    faulty = Faulty(lambda depth: -depth)
    used = opened(lambda: faulty, file)
    assert used.describe().startswith("tiny by TorchScript on the CPU, float32")
    assert faulty.closed
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    text = record.getMessage()
    assert text.startswith("a faulty engine is not used: correlation -1 (96x64, image ")
    assert text.endswith(f" more; see {file}")
    used.infer(pixels=golden_inputs(SMALL, CAMERA).images[0][:1])


@pytest.mark.slow
def test_a_refusal_is_remembered(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next start says the same line and runs nothing."""
    opened(lambda: Faulty(lambda depth: depth * np.nan), file)
    again = Faulty(lambda depth: depth * np.nan)
    opened(lambda: again, file)
    assert (again.runs, again.closed) == (0, True)
    first, second = (record.getMessage() for record in caplog.records)
    assert first == second


@pytest.mark.slow
def test_other_weights_are_judged_anew(file: Path) -> None:
    """An old acceptance is not believed, and the new verdict takes its place."""
    opened(bfloat16, file)
    faulty = Faulty(lambda depth: depth + 1)
    faulty.describe = bfloat16().describe  # type: ignore[method-assign]
    assert opened(lambda: faulty, file, made_from={"weights": "other"}) is not faulty
    assert Verdict.from_json(file.read_text()).belongs_to["weights"] == "other"


def broken(depth: Floats) -> Floats:
    raise EngineError("the device is gone")


@pytest.mark.slow
def test_an_engine_that_fails_before_the_gate_is_not_remembered(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The failure may be temporary: one warning, the float32 engine now, and another try at the next start."""
    faulty = Faulty(broken)
    used = opened(lambda: faulty, file)
    assert "float32" in used.describe()
    assert faulty.closed
    assert [record.getMessage() for record in caplog.records] == [
        "a faulty engine is not used: it cannot be judged: the device is gone"
    ]
    assert not file.exists()


def test_an_engine_that_cannot_be_opened_is_replaced(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the reason; a reference that cannot be opened is an error."""

    def absent() -> Engine:
        raise EngineError("no such engine here")

    assert "float32" in opened(absent, file).describe()
    assert caplog.messages == ["the candidate is not used: it cannot be opened: no such engine here"]
    with pytest.raises(EngineError, match="no such engine here"):
        opened(bfloat16, file, reference=absent)


@pytest.mark.slow
def test_without_a_file_every_start_judges(caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing can be kept, nothing is believed. The engine is right, and its runs are counted."""
    for _ in range(2):
        right = Faulty(lambda depth: depth)
        assert opened(lambda right=right: right, None) is right
        assert right.runs > 0
    assert caplog.text.count("accepted, against float32") == 2


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        (TINY.spec, Size(128, 256)),
        (TINY.spec, Size(64, 96)),
        (replace(TINY.spec, bound="lower", side=518, multiple=14), Size(518, 924)),
        (replace(TINY.spec, keep_aspect=False), Size(256, 256)),
        (replace(TINY.spec, canvas=Canvas(Size(616, 1064), "centre", "down", (0.0, 0.0, 0.0))), Size(308, 532)),
        (replace(TINY.spec, side=1536, keep_aspect=False, fixed_size=True), Size(1536, 1536)),
    ],
)
def test_an_engine_for_one_size_is_judged_at_that_size(spec: InputSpec, size: Size) -> None:
    """Whatever the network's own rule would make of a camera's image."""
    adapted, cameras = spec_for_size(spec, size)
    assert [network_size(camera, adapted) for camera in cameras] == [size]
    assert adapted.multiple == spec.multiple
