"""CUDA graphs without a GPU: which are captured, when and on which stream. The device is a stand-in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stream.engines.batch_sizes import batch_sizes
from stream.engines.cuda_graph import MAX_SIZES, WARM_UP_RUNS, CudaGraphEngine
from stream.engines.eager import EagerEngine
from stream.engines.streams import capture_graph, dedicated_stream
from stream.errors import EngineError
from stream.frames import Size
from tests.engines.cuda_stand_in import POOL, Cuda, Stream

CPU, SIZE = torch.device("cpu"), Size(4, 6)


class Summed(torch.nn.Module):
    """Depth is the sum of the channels, also when it is captured and replayed."""

    def __init__(self, cuda: Cuda, seen: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.cuda, self.seen = cuda, seen

    def forward(self, pixels: Tensor) -> Tensor:
        self.seen(pixels)
        depth = pixels.sum(1)
        if self.cuda.recording is not None:
            self.cuda.recording.append(lambda: depth.copy_(pixels.sum(1)))
        return depth


def graphs_of(cuda: Cuda, most: int = 4, seen: Callable[[Tensor], None] = lambda pixels: None) -> CudaGraphEngine:
    return CudaGraphEngine(EagerEngine("net", lambda: Summed(cuda, seen), device=CPU, max_batch=most))


def test_all_batches_of_a_size_are_captured_at_its_first_image(cuda: Cuda) -> None:
    """The largest first, each run on the capturing stream before; then every batch is one launch, and right."""
    runs: list[tuple[int, int, bool]] = []

    def seen(pixels: Tensor) -> None:
        runs.append((len(pixels), cuda.current_stream().cuda_stream, cuda.recording is not None))

    graphs = graphs_of(cuda, 5, seen)
    graphs.infer(pixels=torch.zeros(1, 3, *SIZE))
    (stream,) = {of for _, of, _ in runs}
    assert stream != cuda.default.cuda_stream
    expected = [(batch, stream, recorded) for batch in (5, 4, 2, 1) for recorded in [False] * WARM_UP_RUNS + [True]]
    assert runs == expected
    runs.clear()
    cuda.calls.clear()
    for count in (1, 2, 3, 4, 5):
        pixels = torch.randn(count, 3, *SIZE)
        torch.testing.assert_close(graphs.infer(pixels=pixels)["depth"], pixels.sum(1))
    assert runs == []
    assert cuda.calls == ["0 waits", "replay", "0 done"] * 5
    graphs.close()


def test_one_stream_and_one_pool_serve_all_graphs(cuda: Cuda) -> None:
    """torch shares memory among graphs of one stream only, and has few streams."""
    graphs = graphs_of(cuda)
    for size in (SIZE, Size(6, 4)):
        graphs.prepare(size)
    streams, pools = zip(*cuda.captures, strict=True)
    assert len(set(streams)) == 1
    assert pools == ((), *[((0, 1),)] * 5)
    graphs.close()


def test_sizes_without_end_do_not_fill_the_memory(cuda: Cuda, caplog: pytest.LogCaptureFixture) -> None:
    """Those beyond the limit run as they are, rightly; one line says so."""
    graphs = graphs_of(cuda, 1)
    sizes = [Size(4, width) for width in range(2, MAX_SIZES + 5)]
    with caplog.at_level(logging.WARNING):
        for size in sizes * 2:
            pixels = torch.randn(1, 3, *size)
            torch.testing.assert_close(graphs.infer(pixels=pixels)["depth"], pixels.sum(1))
        graphs.prepare(sizes[-1])
    assert len(cuda.captures) == MAX_SIZES
    assert [r.getMessage() for r in caplog.records] == ["net: 8 sizes have CUDA graphs; others, as 10x4, run without"]
    graphs.close()


def test_two_engines_of_a_process_capture_one_after_the_other(cuda: Cuda) -> None:
    """The second is ready to capture while the first one does, and waits; the stand-in refuses two at once."""
    ready, begun = threading.Event(), threading.Event()
    runs = [0]

    def in_second(pixels: Tensor) -> None:
        runs[0] += 1
        if runs[0] == WARM_UP_RUNS:
            ready.set()
        if cuda.recording is not None:
            begun.set()

    second = graphs_of(cuda, 1, in_second)
    other = threading.Thread(target=second.prepare, args=(SIZE,))

    def in_first(pixels: Tensor) -> None:
        if cuda.recording is not None:
            other.start()
            assert ready.wait(10)
            assert not begun.wait(0.2)

    first = graphs_of(cuda, 1, in_first)
    first.prepare(SIZE)
    other.join()
    assert begun.is_set()
    assert len(cuda.captures) == 2
    for engine in (first, second):
        engine.close()


def test_a_capture_that_cannot_be_ended_leaves_the_thread_on_its_stream(cuda: Cuda) -> None:
    """torch's own context forgets it then, and what follows would run unordered; the next capture is free to begin."""
    cuda.failing = True
    with pytest.raises(EngineError, match=r"net: the device failed: operation not permitted[^\n]*$"):
        graphs_of(cuda).prepare(SIZE)
    assert cuda.current_stream() is cuda.default
    cuda.failing = False
    with capture_graph(torch.cuda.CUDAGraph(), dedicated_stream(CPU)):
        assert cuda.current_stream() is not cuda.default


def test_a_stream_is_nobody_elses(cuda: Cuda) -> None:
    """Also after torch has given out all that it has; one that was given back may come again."""
    kept = [dedicated_stream(CPU) for _ in range(10)]
    for _ in range(3 * POOL - len(kept)):
        dedicated_stream(CPU)
    kept += [dedicated_stream(CPU) for _ in range(10)]
    assert len({stream.cuda_stream for stream in kept}) == 20
    more = [dedicated_stream(CPU) for _ in range(POOL)]  # too many: better than none
    assert all(isinstance(stream, Stream) for stream in more)


def test_closing_waits_for_what_runs(cuda: Cuda) -> None:
    """Its memory would be another's."""
    graphs = graphs_of(cuda)
    graphs.prepare(SIZE)
    cuda.calls.clear()
    graphs.close()
    graphs.close()
    assert cuda.calls == ["synchronize"] * 2


def test_eager_warms_every_batch_the_largest_first() -> None:
    """So that no first image waits for memory and kernels."""
    seen: list[int] = []

    class Counted(torch.nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            seen.append(len(pixels))
            return pixels.sum(1)

    EagerEngine("net", Counted, device=CPU, max_batch=6).prepare(SIZE)
    assert list(dict.fromkeys(seen)) == list(reversed(batch_sizes(6)))
