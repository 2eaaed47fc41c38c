"""The order of the calls that run a TensorRT engine. The GPU and TensorRT are stand-ins: nothing here proves that a
real engine runs, only that ours is bound, run, captured and waited for in the order that the rules ask for.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from stream.engines.tensorrt.api import ErrorLog, Flavour, TensorRT
from stream.engines.tensorrt.build import Profile
from stream.engines.tensorrt.engine import TensorRTEngine, batch_sizes, check_pixels, padded_batch
from stream.errors import EngineError, OutOfDeviceMemory
from stream.frames import Size
from tests.engines.cuda_stand_in import Cuda

PROFILE = Profile(Size(4, 6), max_batch=5, best_batch=4)
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("most", "sizes"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 4)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_powers_of_two_and_the_largest_batch_are_captured(most: int, sizes: tuple[int, ...]) -> None:
    """A batch in between is padded to the next one, which wastes less than half of that."""
    assert batch_sizes(most) == sizes
    for n in range(1, most + 1):
        assert n <= padded_batch(n, sizes) < 2 * n or padded_batch(n, sizes) == n


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, 'takes one input, "pixels"; got: none'),
        ({"image": torch.zeros(1, 3, 4, 6)}, "got: image"),
        ({"pixels": torch.zeros(1, 3, 4, 6).half()}, "takes float32 on cpu; got torch.float16 on cpu"),
        ({"pixels": torch.zeros(1, 3, 4, 6, device="meta")}, "takes float32 on cpu; got torch.float32 on meta"),
        ({"pixels": torch.zeros(1, 3, 6, 4)}, r"built for \(1 to 5, 3, 4, 6\); got \(1, 3, 6, 4\)"),
        ({"pixels": torch.zeros(6, 3, 4, 6)}, r"got \(6, 3, 4, 6\)"),
        ({"pixels": torch.zeros(0, 3, 4, 6)}, r"got \(0, 3, 4, 6\)"),
        ({"pixels": torch.zeros(3, 4, 6)}, r"got \(3, 4, 6\)"),
    ],
)
def test_what_the_engine_was_not_built_for_is_refused(inputs: dict[str, torch.Tensor], message: str) -> None:
    """Also an image on another device: TensorRT would read whatever is at that address."""
    with pytest.raises(EngineError, match=message):
        check_pixels(inputs, PROFILE, CPU, "tiny")


def test_what_it_was_built_for_is_taken() -> None:
    """From one image to the most."""
    for n in (1, 5):
        pixels = torch.zeros(n, 3, 4, 6)
        assert check_pixels({"pixels": pixels}, PROFILE, CPU, "tiny") is pixels


class Device:
    """Stands in for the GPU: it runs everything at once, keeps the order, and knows what is being captured."""

    stream_number = 7

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.recording: list[Callable[[], None]] | None = None

    def run(self, what: str, work: Callable[[], None]) -> None:
        self.calls.append(what)
        if self.recording is None:
            work()
        else:
            self.recording.append(work)

    def stream(self, device: object = None) -> Any:
        return Stream(self)

    def caller(self) -> Any:
        return SimpleNamespace(wait_stream=lambda other: self.calls.append("caller waits"))

    def graph(self) -> Any:
        works: list[Callable[[], None]] = []

        def replay() -> None:
            self.calls.append("replay")
            for work in works:
                work()

        return SimpleNamespace(works=works, replay=replay)

    @contextmanager
    def capturing(self, graph: Any, pool: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        assert pool is None
        assert capture_error_mode == "thread_local"
        self.calls.append("capture")
        self.recording = graph.works
        yield
        self.recording = None


class Stream:
    """The engine's own."""

    def __init__(self, device: Device) -> None:
        self.device, self.cuda_stream = device, device.stream_number

    def wait_stream(self, other: object) -> None:
        self.device.calls.append("wait for caller")

    def synchronize(self) -> None:
        self.device.calls.append("synchronize")


class Context:
    """Stands in for IExecutionContext: depth is the sum of the channels, read and written at the bound addresses."""

    def __init__(self, device: Device, works: bool = True) -> None:
        self.device, self.works = device, works
        self.batch, self.address = 0, {"pixels": 0, "depth": 0, "fov_deg": 0}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.batch = shape[0]
        return name == "pixels" and shape[1:] == (3, 4, 6)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.address[name] = address
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def is_stream_capturable(self, stream: int) -> bool:
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == self.device.stream_number
        self.device.run(f"execute {self.batch}", self._compute)
        return self.works

    def _compute(self) -> None:
        pixels = _at(self.address["pixels"], (self.batch, 3, 4, 6))
        _at(self.address["depth"], (self.batch, 4, 6)).copy_(pixels.sum(1))
        _at(self.address["fov_deg"], (self.batch,)).copy_(pixels.amax((1, 2, 3)))


def _at(address: int, shape: tuple[int, ...]) -> torch.Tensor:
    floats = (ctypes.c_float * torch.Size(shape).numel()).from_address(address)
    return torch.frombuffer(floats, dtype=torch.float32).view(shape)


class Card:
    """A TensorRT that loads one engine, on a device."""

    def __init__(self, flavour: Flavour = "tensorrt") -> None:
        self.device = Device()
        self.made: list[Context] = []
        self.engine: Any = SimpleNamespace(
            num_io_tensors=3,
            get_tensor_name=lambda i: ("pixels", "depth", "fov_deg")[i],
            get_tensor_shape=lambda name: {"depth": (-1, 4, 6), "fov_deg": (-1,)}[name],
            get_tensor_mode=lambda name: "in" if name == "pixels" else "out",
            get_tensor_dtype=lambda name: "float32",
            get_tensor_profile_shape=lambda name, i: [list(shape) for shape in PROFILE.shapes()],
            create_execution_context=self._context,
            create_runtime_config=lambda: SimpleNamespace(
                create_runtime_cache=lambda: SimpleNamespace(
                    deserialize=lambda content: content == b"kernels", serialize=lambda: b"kernels"
                ),
                set_runtime_cache=lambda cache: True,
            ),
        )
        module = SimpleNamespace(
            Runtime=lambda logger: SimpleNamespace(deserialize_cuda_engine=lambda plan: self.engine),
            TensorIOMode=SimpleNamespace(INPUT="in", OUTPUT="out"),
            DataType=SimpleNamespace(FLOAT="float32"),
            DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager"),
        )
        self.trt = TensorRT(module, flavour, "0", None, ErrorLog())

    def _context(self, *options: Any) -> Context | None:
        assert [option.dynamic_shapes_kernel_specialization_strategy for option in options] in ([], ["eager"])
        self.made.append(Context(self.device))
        return self.made[-1]

    def open(self, **how: Any) -> TensorRTEngine:
        return TensorRTEngine(self.trt, b"plan", PROFILE, "tiny", device="cpu", **how)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    return on_stand_in(Card(), monkeypatch)


def on_stand_in(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    @contextmanager
    def nothing(what: object) -> Iterator[None]:
        yield

    device = card.device
    stand_ins = {
        "Stream": device.stream,
        "stream": nothing,
        "device": nothing,
        "current_stream": device.caller,
        "CUDAGraph": device.graph,
        "graph": device.capturing,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return card


def test_a_batch_is_filled_up_run_and_cut_again(card: Card) -> None:
    """Three images run as four; each call waits for its caller, and the caller for it."""
    engine = card.open()
    pixels = torch.randn(3, 3, 4, 6)
    torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], pixels.sum(1))
    card.device.calls.clear()
    torch.testing.assert_close(engine.infer(pixels=-pixels)["depth"], -pixels.sum(1))
    assert card.device.calls == ["wait for caller", "replay", "caller waits"]


def test_everything_that_the_engine_gives_comes_back_by_its_name(card: Card) -> None:
    """One number per image besides depth, in a result buffer of its own; a dynamic shape is refused."""
    engine = card.open()
    first, second = torch.randn(3, 3, 4, 6), torch.randn(2, 3, 4, 6)
    results = [engine.infer(pixels=pixels) for pixels in (first, second)]
    for pixels, result in zip((first, second), results, strict=True):
        assert list(result) == ["depth", "fov_deg"]
        torch.testing.assert_close(result["fov_deg"], pixels.amax((1, 2, 3)))
        torch.testing.assert_close(result["depth"], pixels.sum(1))
    card.engine.get_tensor_shape = lambda name: (-1, -1, 6)
    with pytest.raises(EngineError, match=r"output depth has the shape \(-1, -1, 6\)"):
        card.open()


def test_each_batch_size_has_a_context_and_a_graph_of_its_own(card: Card) -> None:
    """Run once and synchronised before the capture; nothing is captured twice."""
    engine = card.open()
    card.device.calls.clear()
    engine.prepare(PROFILE.size)
    expected = [[f"execute {n}", "synchronize", "capture", f"execute {n}"] for n in (1, 2, 4, 5)]
    assert card.device.calls == [call for calls in expected for call in calls]
    card.device.calls.clear()
    for n in range(1, 6):
        pixels = torch.randn(n, 3, 4, 6)
        torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], pixels.sum(1))
    assert len(card.made) == 4
    assert card.device.calls.count("replay") == 5
    assert "capture" not in card.device.calls


def test_results_stay_while_the_next_ones_are_made(card: Card) -> None:
    """Two of three result buffers: the third call after takes the first one's place."""
    engine = card.open(result_buffers=3)
    images = [torch.randn(2, 3, 4, 6) for _ in range(3)]
    results = [engine.infer(pixels=pixels)["depth"] for pixels in images]
    for pixels, result in zip(images, results, strict=True):
        torch.testing.assert_close(result, pixels.sum(1))
    assert engine.infer(pixels=images[1])["depth"].data_ptr() == results[0].data_ptr()


def test_without_graphs_every_call_is_enqueued(card: Card) -> None:
    """For engines that cannot be captured."""
    engine = card.open(graphs=False)
    pixels = torch.randn(1, 3, 4, 6)
    for _ in range(2):
        torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], pixels.sum(1))
    assert card.device.calls.count("execute 1") == 2
    assert "capture" not in card.device.calls


def test_a_capture_that_fails_costs_a_line_in_the_log(
    card: Card, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The engine then runs without."""

    @contextmanager
    def failing(graph: Any, pool: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        raise RuntimeError("operation not permitted when stream is capturing")
        yield

    monkeypatch.setattr(torch.cuda, "graph", failing)
    pixels = torch.randn(1, 3, 4, 6)
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(card.open().infer(pixels=pixels)["depth"], pixels.sum(1))
    assert "tiny runs without a CUDA graph: operation not permitted" in caplog.text


def test_after_a_capture_that_failed_the_caller_still_finds_its_result_in_turn(
    cuda: Cuda, caplog: pytest.LogCaptureFixture
) -> None:
    """torch's own contexts here: where a capture cannot be ended, torch's leaves the thread on the engine's stream."""
    cuda.failing = True
    card = Card()
    engine = card.open()
    own = card.device.stream_number = engine._stream.cuda_stream
    cuda.calls.clear()
    with caplog.at_level(logging.WARNING):
        pixels = torch.randn(1, 3, 4, 6)
        torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], pixels.sum(1))
    assert "tiny runs without a CUDA graph" in caplog.text
    assert cuda.current_stream() is cuda.default
    assert [call for call in cuda.calls if " waits for " in call] == [f"{own} waits for 0", f"0 waits for {own}"]


def test_rtx_compiles_for_the_shape_and_keeps_what_it_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The file is written when all is prepared; one of no use is only a line in the log."""
    file = tmp_path / "tiny.runtime"
    card = on_stand_in(Card("tensorrt_rtx"), monkeypatch)
    card.open(runtime_cache=file).prepare(PROFILE.size)
    assert file.read_bytes() == b"kernels"
    with caplog.at_level(logging.INFO, "stream.engines"):
        card.open(runtime_cache=file)
        assert "not usable here" not in caplog.text
        file.write_bytes(b"of another card")
        card.open(runtime_cache=file)
    assert "not usable here" in caplog.text


def test_rtx_runs_where_nothing_can_be_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that cannot be written, here because it is a file, costs a line in the log."""
    card = on_stand_in(Card("tensorrt_rtx"), monkeypatch)
    (tmp_path / "store").write_text("a file")
    engine = card.open(runtime_cache=tmp_path / "store" / "tiny.runtime")
    with caplog.at_level(logging.WARNING, "stream.engines"):
        engine.prepare(PROFILE.size)
    assert "compiled kernels cannot be kept" in caplog.text
    pixels = torch.randn(1, 3, 4, 6)
    torch.testing.assert_close(engine.infer(pixels=pixels)["depth"], pixels.sum(1))


def test_rtx_says_itself_what_cannot_be_captured(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Checked before, because a capture that fails leaves an unclean state."""
    card = on_stand_in(Card("tensorrt_rtx"), monkeypatch)
    monkeypatch.setattr(Context, "is_stream_capturable", lambda self, stream: False)
    card.open().infer(pixels=torch.zeros(1, 3, 4, 6))
    assert "TensorRT-RTX says that it cannot be captured" in caplog.text
    assert "capture" not in card.device.calls


def test_an_engine_for_another_machine_or_size_is_refused(card: Card) -> None:
    """In TensorRT's words where it has some."""
    card.trt.errors.add("before")
    shape = card.engine.get_tensor_profile_shape
    card.engine.get_tensor_profile_shape = lambda name, i: [(1, 3, 8, 8)] * 3
    with pytest.raises(EngineError, match=r"built for \(\(1, 3, 8, 8\).* not for \(\(1, 3, 4, 6\)"):
        card.open()
    card.engine.get_tensor_profile_shape = shape
    card.engine.get_tensor_dtype = lambda name: "half"
    with pytest.raises(EngineError, match="all float32; it has pixels, depth"):
        card.open()
    card.engine = None
    with pytest.raises(EngineError, match="does not load the engine here: it does not say why"):
        card.open()


def test_failures_are_ours(card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory is an error of its own: a smaller batch may fit."""
    engine = card.open(graphs=False)
    pixels = torch.zeros(1, 3, 4, 6)
    engine.infer(pixels=pixels)
    card.made[0].works = False
    card.trt.errors.add("illegal memory access")
    with pytest.raises(EngineError, match="could not run: illegal memory access"):
        engine.infer(pixels=pixels)
    card.engine.create_execution_context = lambda: None
    with pytest.raises(OutOfDeviceMemory, match="no room for batches of 2"):
        engine.infer(pixels=torch.zeros(2, 3, 4, 6))

    def no_room() -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    def silent() -> Any:
        raise RuntimeError

    monkeypatch.setattr(torch.cuda, "current_stream", no_room)
    with pytest.raises(OutOfDeviceMemory, match="Tried to allocate"):
        engine.infer(pixels=pixels)
    monkeypatch.setattr(torch.cuda, "current_stream", silent)
    with pytest.raises(EngineError, match="tiny failed on cpu: RuntimeError"):
        engine.infer(pixels=pixels)


def test_a_closed_engine_says_so(card: Card) -> None:
    """Closing waits for what runs; closing twice is allowed."""
    engine = card.open()
    assert engine.describe().startswith("tiny by TensorRT 0 on cpu, up to 5 of 6x4")
    assert engine.max_batch == 5
    with pytest.raises(EngineError, match="built for 6x4, not for 8x8"):
        engine.prepare(Size(8, 8))
    engine.close()
    engine.close()
    assert card.device.calls[-1] == "synchronize"
    with pytest.raises(EngineError, match="this engine is closed"):
        engine.infer(pixels=torch.zeros(1, 3, 4, 6))
