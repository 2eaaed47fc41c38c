"""An estimator whose network may fail while it runs: smaller batches first, then another network on the CPU.

Depth maps name the network that made them, so readers see the change; capture and sinks go on as before.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Self

from stream.errors import EngineError, OutOfDeviceMemory
from stream.frames import Batch, DepthMap, Floats, Frame, Size
from stream.inference.estimator import Estimator
from stream.models.base import ImageContext

log = logging.getLogger(__name__)


class FallbackEstimator(Estimator):
    """Runs ``first`` until it raises EngineError; from then on, for good, ``fallback``.

    The fallback is loaded by a thread while the first network already works, so that a failure costs the time of one
    batch and not of a start. ``lenient``: it also takes over where the first one cannot even be loaded.
    """

    def __init__(self, first: Estimator, fallback: Estimator, *, lenient: bool = False) -> None:
        self.settings, self.model, self.spec = first.settings, first.model, first.spec
        self.first, self.fallback, self._lenient = first, fallback, lenient
        self._failure: EngineError | None = None
        self._max_batch = first.settings.max_batch
        self._switching = threading.Lock()
        self._warming: threading.Thread | None = None

    @property
    def failure(self) -> EngineError | None:
        """The error that ended the first network; None while it runs."""
        return self._failure

    @property
    def lanes(self) -> int:
        """Those of the first network; as many threads call the fallback."""
        return self.first.lanes

    def load(self, expect: Sequence[Size] = ()) -> Self:
        """Load both. Raises WeightsError, and EngineError where the fallback may not take over from the start."""
        try:
            if self._failure is None:
                self._load_first(expect)
        except EngineError as error:
            if not self._lenient:
                raise
            self._switch(error)
        if self._failure is not None:
            self.fallback.load(expect)
        elif self._warming is None:
            self._warming = threading.Thread(target=self._warm, args=(tuple(expect),), name="fallback network")
            self._warming.start()
        return self

    def close(self) -> None:
        if self._warming is not None:
            self._warming.join()  # first, or it would load the fallback after that was closed
            self._warming = None
        self.fallback.close()
        self.first.close()

    def describe(self) -> str:
        if self._failure is None:
            return self.first.describe()
        return f"{self.fallback.describe()}; in place of {self.model.name}, which failed: {self._failure}"

    def statistics(self) -> Mapping[str, float]:
        return self._working.statistics()

    def network_size(self, image: Size) -> Size:
        return self._working.network_size(image)

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Without a fallback: one batch cannot become several, or one of another network. ``batches`` has one."""
        return self._working.prepare(frames)

    def batches(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        """Preprocess with the working network, as many frames as fit at a time; if that fails, with the fallback."""
        for together in self._working.grouped(frames):
            yield from self._prepared(together)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Depth of every frame, by the first network or by the fallback."""
        if self._failure is None:  # until it fails, the first network made all batches
            try:
                return self._in_pieces(batch)
            except EngineError as error:
                self._switch(error)
        return self._by_fallback(batch)

    def infer_raw(self, batch: Batch) -> Floats:
        return self._working.infer_raw(batch)

    def image_context(self, frame: Frame, scalars: Mapping[str, float] | None = None) -> ImageContext:
        return self._working.image_context(frame, scalars)

    def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
        return self._working.decode(output, frame, scalars)

    def shrink(self, max_batch: int) -> None:
        """Shrink the first network; the fallback is on the CPU and has room."""
        self._max_batch = max_batch
        self.first.shrink(max_batch)

    def _prepared(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        start = 0
        while start < len(frames) and self._failure is None:
            part = frames[start : start + self._max_batch]
            try:
                batch = self.first.prepare(part)
            except EngineError as error:
                self._fit_or_switch(error, len(part))
                continue
            start += len(part)
            yield batch
        if start < len(frames):
            yield from self.fallback.batches(frames[start:])

    @property
    def _working(self) -> Estimator:
        return self.first if self._failure is None else self.fallback

    # These methods try again outside of the exception handler, and log only the error's words: an exception that is
    # kept alive holds, by its traceback, the tensors that filled the memory.

    def _load_first(self, expect: Sequence[Size]) -> None:
        """Load it for the largest batch that fits into the device's memory."""
        while True:
            try:
                self.first.load(expect)
            except OutOfDeviceMemory as error:
                if not self._halved(error, self._max_batch):
                    raise
            else:
                return
            self.shrink(self._max_batch)

    def _in_pieces(self, batch: Batch) -> list[DepthMap]:
        """Run the batch in parts that are known to fit."""
        count = len(batch.frames)
        while True:
            step = self._max_batch
            try:
                return [m for start in range(0, count, step) for m in self.first.estimate(_part(batch, start, step))]
            except OutOfDeviceMemory as error:
                if not self._halved(error, min(step, count)):
                    raise

    def _fit_or_switch(self, error: EngineError, count: int) -> None:
        if not (isinstance(error, OutOfDeviceMemory) and self._halved(error, count)):
            self._switch(error)

    def _halved(self, error: OutOfDeviceMemory, count: int) -> bool:
        """Halve the batch size, since ``count`` images did not fit; False: a single image does not fit."""
        if count < 2:
            return False
        self._max_batch = min(self._max_batch, count // 2)  # two threads may find out at the same time
        log.warning("%s: %s; going on with %d at a time", self.model.name, str(error), self._max_batch)
        return True

    def _by_fallback(self, batch: Batch) -> list[DepthMap]:
        """Run the fallback; a batch that was prepared for the first network is prepared anew from its frames."""
        batches = [batch] if batch.made_by is self.fallback else self.fallback.batches(batch.frames)
        # By frame, because ``batches`` groups by network size and may change the order.
        maps = {id(m.frame): m for each in batches for m in self.fallback.estimate(each)}
        return [maps[id(frame)] for frame in batch.frames]

    def _switch(self, error: EngineError) -> None:
        with self._switching:
            if self._failure is not None:
                return
            self._failure = type(error)(str(error))  # a copy, without the traceback
        log.error("%s failed (%s): %s on the CPU takes over", self.model.name, str(error), self.fallback.model.name)

    def _warm(self, expect: Sequence[Size]) -> None:
        try:
            self.fallback.load(expect)
        except Exception as error:  # noqa: BLE001 - it is raised again if the fallback is ever needed
            log.warning("the fallback network %s cannot be loaded: %s", self.fallback.model.name, error)


def _part(batch: Batch, start: int, count: int) -> Batch:
    end = start + count
    if len(batch.frames) <= count:
        return batch
    return replace(batch, pixels=batch.pixels[start:end], frames=batch.frames[start:end])
