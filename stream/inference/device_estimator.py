"""Preprocessing, network and resize on one GPU: image bytes are copied in, depth is copied out.

Copy in, preprocessing, network and copy out have CUDA streams of their own, so that in the layout for throughput the
next batch is prepared while the last one is copied out. No call waits for the whole device.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from stream.core.clock import NS_PER_MS
from stream.engines.select import Choice
from stream.engines.streams import DeviceStreams, Event, device_errors
from stream.frames import Batch, DepthMap, Floats, Frame, Size, check_image
from stream.inference.device_depth import DeviceDepth, host_memory
from stream.inference.engine_estimator import EngineEstimator, EngineOpener
from stream.inference.staging import Prepared, StagingBuffers, StagingRing, by_size, fill, runs
from stream.preprocess.gpu import decoded_, to_camera, to_network
from stream.runtime.meters import Durations
from stream.settings import ModelSettings

SLOTS = 4
"""Batches of images that may be on their way to the device at the same time; the next one waits."""
STEPS = {"preprocess": ("begun", "ready"), "network": ("started", "worked"), "copy out": ("worked", "copied")}
"""Steps timed by the device's clock: from which event to which."""


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """Depth that is being copied back to the host."""

    frames: tuple[Frame, ...]
    depth: tuple[Tensor, ...]
    """(H, W) float32 of each of ``frames``, in page-locked memory that only this ticket holds."""
    on_device: tuple[Tensor, ...]
    """(H, W) float32 of each of ``frames`` on the device."""
    scalars: Mapping[str, Tensor]
    """The network's other outputs, (N,) float32 in page-locked memory, by name. If there are any, depth is not decoded
    yet, because the decoder may need them."""
    events: Mapping[str, Event]
    held: tuple[Tensor, ...]
    """Tensors kept alive until the copy stream has finished reading them."""


class DeviceEstimator(EngineEstimator):
    """An estimator whose engine takes and returns tensors of ``device``; "cpu" as device runs anywhere, for tests."""

    def __init__(
        self,
        settings: ModelSettings,
        open_engine: EngineOpener,
        device: str = "cuda",
        choice: Choice | None = None,
    ) -> None:
        """``choice`` defaults to plain torch with one lane. Raises UnknownModel and SettingsError."""
        super().__init__(settings, open_engine, choice or Choice("cuda", 1, 1, f"torch on {device}"))
        self._device = torch.device(device)
        self._streams: DeviceStreams | None = None
        self._order = threading.Lock()
        self._ring = StagingRing(SLOTS)
        self._steps = {step: Durations() for step in STEPS}

    @property
    def lanes(self) -> int:
        """In the layout for throughput one batch is in the network while the depth of another is copied out."""
        return 2 if self.settings.layout == "throughput" else 1

    def load(self, expect: Sequence[Size] = ()) -> Self:
        streams = self._device_streams()
        with device_errors(self.model.name):
            with streams.on("compute"):  # torch's allocator keeps freed memory for the stream that used it
                super().load(expect)
            streams.record("compute").wait()
        return self

    def close(self) -> None:
        super().close()
        self._ring = StagingRing(SLOTS)

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Copy images to the device and preprocess them there, without waiting for either."""
        for frame in frames:
            check_image(frame.image)
        together = by_size(tuple(frames))
        staging, streams = self._ring.next(), self._device_streams()
        with staging.lock, device_errors(self.model.name):
            staging.wait()  # returns at once unless the device is slower than all the rest
            begun = streams.record("copy in")
            pixels = self._uploaded(staging, together, streams)
            # Preprocessing is the last to read the staging memory.
            staging.used = ready = streams.record("preprocess")
        return Batch(Prepared(pixels, tuple(frame.size for frame in together), begun, ready), together, self)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        return self.collect(self.submit(batch))

    def submit(self, batch: Batch) -> Ticket:
        """Enqueue the network, the resize and the copy to the host; waits for none of them."""
        prepared, streams = batch.pixels, self._device_streams()
        assert isinstance(prepared, Prepared), "this batch was made for another device"
        with self._order, device_errors(self.model.name):  # the engine's output is valid until its next call
            streams.wait_event("compute", prepared.ready)
            events = {"begun": prepared.begun, "ready": prepared.ready, "started": streams.record("compute")}
            on_device, other = self._run(prepared, batch.frames, streams)
            events["worked"] = streams.record("compute")
            streams.wait_event("copy out", events["worked"])
            with streams.on("copy out"):
                depth = tuple(self._copied_out(image) for image in on_device)
                scalars = {name: self._copied_out(values) for name, values in other.items()}
            events["copied"] = streams.record("copy out")
        return Ticket(batch.frames, depth, on_device, scalars, events, (prepared.pixels, *other.values()))

    def collect(self, ticket: Ticket) -> list[DepthMap]:
        """Wait for the depth, by its own event and not for the whole device."""
        with device_errors(self.model.name):
            ticket.events["copied"].wait()
            # After the wait, because only events that are complete have times; all others precede "copied".
            self._note_times(ticket.events)
        depth = [image.numpy() for image in ticket.depth]
        if ticket.scalars:
            return [
                self._decoded_on_host(i, *pair, ticket) for i, pair in enumerate(zip(depth, ticket.frames, strict=True))
            ]
        return [self._with_device(*each, ticket) for each in zip(depth, ticket.frames, ticket.on_device, strict=True)]

    def infer_raw(self, batch: Batch) -> Floats:
        """Run the network and return its output, (N, h, w) float32; the batch may also hold a NumPy array."""
        streams = self._device_streams()
        with self._order, device_errors(self.model.name), streams.on("compute"), torch.inference_mode():
            if isinstance(batch.pixels, Prepared):
                streams.wait_event("compute", batch.pixels.ready)
                pixels = batch.pixels.pixels
            else:
                pixels = torch.from_numpy(batch.pixels).to(self._device, memory_format=torch.channels_last)
            raw: Floats = self._engine().infer(pixels=pixels)["depth"].cpu().numpy()
        return raw

    def statistics(self) -> Mapping[str, float]:
        """Also the time of each step by the device's own clock, p50 in milliseconds."""
        summaries = {step: times.summary() for step, times in self._steps.items()}
        steps = {f"{step} p50 ms": 1e3 * summary.p50_s for step, summary in summaries.items()}
        return {**super().statistics(), **steps}

    def _uploaded(self, staging: StagingBuffers, frames: tuple[Frame, ...], streams: DeviceStreams) -> Tensor:
        """Network input (N, 3, h, w): the images of each size are copied at once and preprocessed together."""
        parts = []
        for size, part in runs(tuple(frame.size for frame in frames)):
            count = part.stop - part.start
            with streams.on("copy in"):
                buffers = staging.buffers(size, count, self._device)
                fill(buffers.host, [frame.image for frame in frames[part]])
                buffers.images[:count].copy_(buffers.host[:count], non_blocking=True)
            streams.wait_event("preprocess", streams.record("copy in"))
            with streams.on("preprocess"), torch.inference_mode():
                parts.append(to_network(buffers.images[:count], self.spec))
        if len(parts) == 1:
            return parts[0]
        with streams.on("preprocess"), torch.inference_mode():
            return torch.cat(parts).contiguous(memory_format=torch.channels_last)

    def _run(
        self, prepared: Prepared, frames: Sequence[Frame], streams: DeviceStreams
    ) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
        """Depth (H, W) of each image and the other outputs (N,), by name; none of it is the engine's own memory."""
        with streams.on("compute"), torch.inference_mode():
            outputs = dict(self._engine().infer(pixels=prepared.pixels))
            depth = outputs.pop("depth")
            parts = [part for _, part in runs(prepared.sizes)]
            at_camera = [self._at_camera(depth[part], frames[part], decode=not outputs) for part in parts]
            # cloned, because the engine writes its outputs anew on its next call
            other = {name: values.float().clone() for name, values in outputs.items()}
            return tuple(image for run in at_camera for image in run), other

    def _at_camera(self, output: Tensor, frames: Sequence[Frame], *, decode: bool) -> Tensor:
        at_camera = to_camera(output, frames[0].size, self.spec)
        if decode:
            decoded_(at_camera, [self.model.decoding(self.image_context(frame)) for frame in frames])
        return at_camera

    def _copied_out(self, tensor: Tensor) -> Tensor:
        return host_memory(tensor.shape, tensor.dtype, self._device).copy_(tensor, non_blocking=True)

    def _decoded_on_host(self, index: int, output: Floats, frame: Frame, ticket: Ticket) -> DepthMap:
        scalars = {name: float(values[index]) for name, values in ticket.scalars.items()}
        return self._depth_map(self.decode(output, frame, scalars), frame)

    def _with_device(self, depth: Floats, frame: Frame, tensor: Tensor, ticket: Ticket) -> DepthMap:
        on_device = DeviceDepth(depth, tensor, ticket.events["worked"], self._device_streams())
        return self._depth_map(depth, frame, on_device)

    def _note_times(self, events: Mapping[str, Event]) -> None:
        with self._lock:
            for step, (start, end) in STEPS.items():
                self._steps[step].add(round(NS_PER_MS * events[end].ms_since(events[start])))
            self._busy.add(round(NS_PER_MS * events["copied"].ms_since(events["begun"])))

    def _device_streams(self) -> DeviceStreams:
        with self._lock, device_errors(self.model.name):
            if self._streams is None:
                self._streams = DeviceStreams(self._device)
            return self._streams
