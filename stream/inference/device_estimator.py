"""Preprocess, network and resize back on one device: only bytes of images go in, and depth comes out.

Copies in, preprocessing, work and copies out are queues of their own (``streams``), so that with the layout for
throughput the next batch is made ready while the last one is read. No call waits for the whole device.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

import torch
from torch import Tensor

from stream.core.clock import NS_PER_MS
from stream.engines.select import Choice
from stream.engines.streams import DeviceStreams, Event, device_errors
from stream.frames import Batch, DepthMap, Floats, Frame, Size, check_image
from stream.inference.device_depth import DeviceDepth, host_memory
from stream.inference.estimator import EngineOpener, Estimator
from stream.inference.staging import Prepared, StagingBuffers, StagingRing, by_size, fill, runs
from stream.preprocess.gpu import decoded_, to_camera, to_network
from stream.runtime.stats import Durations
from stream.settings import ModelSettings

SLOTS = 4
"""Batches of images that may be on their way to the device before one waits for another."""
STEPS = {"preprocess": ("begun", "ready"), "network": ("started", "worked"), "copy out": ("worked", "there")}
"""What is timed by the device's clock: from which mark to which."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """Depth that is on its way back."""

    frames: tuple[Frame, ...]
    depth: tuple[Tensor, ...]
    """(H, W) float32 of each of ``frames``: page-locked, and nobody else's."""
    there: tuple[Tensor, ...]
    """The same on the device."""
    scalars: Mapping[str, Tensor]
    """What the network says beside depth, (N,) float32 in page-locked memory, by name. Depth is not decoded yet
    where there is any: the decoder may need it."""
    marks: Mapping[str, Event]
    held: tuple[Tensor, ...]
    """What other queues than the one that made it still read until depth is there."""


class DeviceEstimator(Estimator):
    """As Estimator; its engine takes and gives tensors of ``device``. With "cpu" it runs anywhere, for tests."""

    def __init__(
        self,
        settings: ModelSettings,
        open_engine: EngineOpener,
        device: str = "cuda",
        choice: Choice | None = None,
    ) -> None:
        super().__init__(settings, open_engine, choice)
        self._device = torch.device(device)
        self._streams: DeviceStreams | None = None
        self._order = threading.Lock()
        self._ring = StagingRing(SLOTS)
        self._steps = {step: Durations() for step in STEPS}

    @property
    def lanes(self) -> int:
        """With the layout for throughput one batch is in the network while another one's depth is read."""
        return 2 if self.settings.layout == "throughput" else 1

    def load(self, expect: Sequence[Size] = ()) -> Self:
        streams = self._opened()
        with device_errors(self.model.name):
            with streams.on("work"):  # torch keeps freed memory for the queue that had it
                super().load(expect)
            streams.mark("work").wait()
        return self

    def close(self) -> None:
        super().close()
        self._ring = StagingRing(SLOTS)

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Images are copied to the device and made ready there; nothing waits for that."""
        for frame in frames:
            check_image(frame.image)
        together = by_size(tuple(frames))
        slot, streams = self._ring.next(), self._opened()
        with slot.lock, device_errors(self.model.name):
            slot.wait()  # long past, unless the device is slower than everything else together
            begun = streams.mark("copy in")
            pixels = self._uploaded(slot, together, streams)
            slot.used = ready = streams.mark("preprocess")
        return Batch(Prepared(pixels, tuple(frame.size for frame in together), begun, ready), together, self)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        return self.collect(self.submit(batch))

    def submit(self, batch: Batch) -> Ticket:
        """Put the network, the resize back and the copy out into their queues; waits for none of them."""
        prepared, streams = batch.pixels, self._opened()
        assert isinstance(prepared, Prepared), "this batch was made for another device"
        with self._order, device_errors(self.model.name):  # the engine's output lives until its next call
            streams.after("work", prepared.ready)
            marks = {"begun": prepared.begun, "ready": prepared.ready, "started": streams.mark("work")}
            there, beside = self._run(prepared, batch.frames, streams)
            marks["worked"] = streams.mark("work")
            streams.after("copy out", marks["worked"])
            with streams.on("copy out"):
                depth = tuple(self._copied_out(image) for image in there)
                scalars = {name: self._copied_out(said) for name, said in beside.items()}
            marks["there"] = streams.mark("copy out")
        return Ticket(batch.frames, depth, there, scalars, marks, (prepared.pixels, *beside.values()))

    def collect(self, ticket: Ticket) -> list[DepthMap]:
        """Wait for the depth, by its own mark and nothing else."""
        with device_errors(self.model.name):
            ticket.marks["there"].wait()
            self._note_times(ticket.marks)
        depth = [image.numpy() for image in ticket.depth]
        if ticket.scalars:
            return [self._decoded_here(*each, ticket) for each in zip(count(), depth, ticket.frames)]
        return [self._with_device(*each, ticket) for each in zip(depth, ticket.frames, ticket.there, strict=True)]

    def infer_raw(self, batch: Batch) -> Floats:
        """As Estimator's; input may also be an array, as on the CPU."""
        streams = self._opened()
        with self._order, device_errors(self.model.name), streams.on("work"), torch.inference_mode():
            if isinstance(batch.pixels, Prepared):
                streams.after("work", batch.pixels.ready)
                pixels = batch.pixels.pixels
            else:
                pixels = torch.from_numpy(batch.pixels).to(self._device, memory_format=torch.channels_last)
            raw: Floats = self._ready().infer(pixels=pixels)["depth"].cpu().numpy()
        return raw

    def statistics(self) -> Mapping[str, float]:
        """Also each step's time by the device's own clock."""
        spreads = {step: times.spread() for step, times in self._steps.items()}
        return {**super().statistics(), **{f"{step} p50 ms": 1e3 * spread.p50_s for step, spread in spreads.items()}}

    def _uploaded(self, slot: StagingBuffers, frames: tuple[Frame, ...], streams: DeviceStreams) -> Tensor:
        """(N, 3, h, w): each size's images by one copy, preprocessed together."""
        parts = []
        for size, where in runs(tuple(frame.size for frame in frames)):
            number = where.stop - where.start
            with streams.on("copy in"):
                group = slot.group(size, number, self._device)
                fill(group.host, [frame.image for frame in frames[where]])
                group.images[:number].copy_(group.host[:number], non_blocking=True)
            streams.after("preprocess", streams.mark("copy in"))
            with streams.on("preprocess"), torch.inference_mode():
                parts.append(to_network(group.images[:number], self.spec))
        if len(parts) == 1:
            return parts[0]
        with streams.on("preprocess"), torch.inference_mode():
            return torch.cat(parts).contiguous(memory_format=torch.channels_last)

    def _run(
        self, prepared: Prepared, frames: Sequence[Frame], streams: DeviceStreams
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """(H, W) for each image, and (N,) of what else the network says; none of it is the engine's own memory."""
        with streams.on("work"), torch.inference_mode():
            outputs = dict(self._ready().infer(pixels=prepared.pixels))
            depth = outputs.pop("depth")
            parts = [where for _, where in runs(prepared.sizes)]
            at_camera = [self._at_camera(depth[where], frames[where], decode=not outputs) for where in parts]
            beside = {name: said.float().clone() for name, said in outputs.items()}
            return tuple(image for run in at_camera for image in run), beside

    def _at_camera(self, output: Tensor, frames: Sequence[Frame], *, decode: bool) -> Tensor:
        at_camera = to_camera(output, frames[0].size, self.spec)
        if decode:
            decoded_(at_camera, [self.model.decoding(self.shot(frame)) for frame in frames])
        return at_camera

    def _copied_out(self, there: Tensor) -> Tensor:
        return host_memory(there.shape, there.dtype, self._device).copy_(there, non_blocking=True)

    def _decoded_here(self, number: int, output: Floats, frame: Frame, ticket: Ticket) -> DepthMap:
        scalars = {name: float(said[number]) for name, said in ticket.scalars.items()}
        return self._depth_map(self.decode(output, frame, scalars), frame)

    def _with_device(self, depth: Floats, frame: Frame, there: Tensor, ticket: Ticket) -> DepthMap:
        on_device = DeviceDepth(depth, there, ticket.marks["worked"], self._opened())
        return self._depth_map(depth, frame, on_device)

    def _note_times(self, marks: Mapping[str, Event]) -> None:
        with self._lock:
            for step, (start, end) in STEPS.items():
                self._steps[step].add(round(NS_PER_MS * marks[end].ms_since(marks[start])))
            self._busy.add(round(NS_PER_MS * marks["there"].ms_since(marks["begun"])))

    def _opened(self) -> DeviceStreams:
        with self._lock, device_errors(self.model.name):
            if self._streams is None:
                self._streams = DeviceStreams(self._device)
            return self._streams
