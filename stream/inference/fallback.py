"""An estimator whose network may fail while it runs: smaller batches first, then another network on the CPU.

Depth maps say which network made them, so whoever reads them notices; capture and sinks notice nothing.
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
from stream.models.base import Shot

log = logging.getLogger(__name__)


class FallbackEstimator(Estimator):
    """``first`` until it raises EngineError; from then on, for good, ``spare``.

    The spare network is loaded beside the first one's work, so that a failure costs one batch's time and not a start.
    ``lenient``: take over also where the first one cannot even be loaded.
    """

    def __init__(self, first: Estimator, spare: Estimator, *, lenient: bool = False) -> None:
        self.settings, self.model, self.spec = first.settings, first.model, first.spec
        self.first, self.spare, self._lenient = first, spare, lenient
        self._failure: EngineError | None = None
        self._most = first.settings.max_batch
        self._switching = threading.Lock()
        self._warming: threading.Thread | None = None

    @property
    def failure(self) -> EngineError | None:
        """What ended the first network; None while it runs."""
        return self._failure

    @property
    def lanes(self) -> int:
        """Those of the first network; the spare one is called by as many threads."""
        return self.first.lanes

    def load(self, expect: Sequence[Size] = ()) -> Self:
        """Load both. Raises WeightsError, and EngineError where it may not take over from the start."""
        try:
            if self._failure is None:
                self._load_first(expect)
        except EngineError as error:
            if not self._lenient:
                raise
            self._switch(error)
        if self._failure is not None:
            self.spare.load(expect)
        elif self._warming is None:
            self._warming = threading.Thread(target=self._warm, args=(tuple(expect),), name="spare network")
            self._warming.start()
        return self

    def close(self) -> None:
        if self._warming is not None:
            self._warming.join()
            self._warming = None
        self.spare.close()
        self.first.close()

    def describe(self) -> str:
        if self._failure is None:
            return self.first.describe()
        return f"{self.spare.describe()}; in place of {self.model.name}, which failed: {self._failure}"

    def statistics(self) -> Mapping[str, float]:
        return self._working.statistics()

    def network_size(self, image: Size) -> Size:
        return self._working.network_size(image)

    def prepare(self, frames: Sequence[Frame]) -> Batch:
        """Not guarded: one batch cannot become several, or one of another network (``batches``)."""
        return self._working.prepare(frames)

    def batches(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        """By the network that works now, as many at a time as fit; if preparing fails, too, by the spare one."""
        for together in self._working.grouped(frames):
            yield from self._prepared(together)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Depth of every frame, by the first network or by the spare one."""
        if self._failure is None:  # until then all batches are the first network's
            try:
                return self._in_pieces(batch)
            except EngineError as error:
                self._switch(error)
        return self._by_spare(batch)

    def infer_raw(self, batch: Batch) -> Floats:
        return self._working.infer_raw(batch)

    def shot(self, frame: Frame, scalars: Mapping[str, float] | None = None) -> Shot:
        return self._working.shot(frame, scalars)

    def decode(self, output: Floats, frame: Frame, scalars: Mapping[str, float] | None = None) -> Floats:
        return self._working.decode(output, frame, scalars)

    def shrink(self, max_batch: int) -> None:
        """Of the first network; the spare one is on the CPU."""
        self._most = max_batch
        self.first.shrink(max_batch)

    def _prepared(self, frames: Sequence[Frame]) -> Iterator[Batch]:
        start = 0
        while start < len(frames) and self._failure is None:
            part = frames[start : start + self._most]
            try:
                batch = self.first.prepare(part)
            except EngineError as error:
                self._fit_or_switch(error, len(part))
                continue
            start += len(part)
            yield batch
        if start < len(frames):
            yield from self.spare.batches(frames[start:])

    @property
    def _working(self) -> Estimator:
        return self.first if self._failure is None else self.spare

    # All try again outside of the handler, and log the error's words only: an error that somebody keeps holds by its
    # traceback what filled the memory.

    def _load_first(self, expect: Sequence[Size]) -> None:
        """For batches that fit."""
        while True:
            try:
                self.first.load(expect)
            except OutOfDeviceMemory as error:
                if not self._halved(error, self._most):
                    raise
            else:
                return
            self.shrink(self._most)

    def _in_pieces(self, batch: Batch) -> list[DepthMap]:
        """At most as many images at a time as have been found to fit."""
        count = len(batch.frames)
        while True:
            most = self._most
            try:
                return [m for start in range(0, count, most) for m in self.first.estimate(_part(batch, start, most))]
            except OutOfDeviceMemory as error:
                if not self._halved(error, min(most, count)):
                    raise

    def _fit_or_switch(self, error: EngineError, count: int) -> None:
        if not (isinstance(error, OutOfDeviceMemory) and self._halved(error, count)):
            self._switch(error)

    def _halved(self, error: OutOfDeviceMemory, count: int) -> bool:
        """``count`` images at once are too many; False: one is."""
        if count < 2:
            return False
        self._most = min(self._most, count // 2)  # two threads may find out at once
        log.warning("%s: %s; going on with %d at a time", self.model.name, str(error), self._most)
        return True

    def _by_spare(self, batch: Batch) -> list[DepthMap]:
        """Batches that were made for the other network are made anew from their frames, and keep their order."""
        batches = [batch] if batch.made_by is self.spare else self.spare.batches(batch.frames)
        maps = {id(m.frame): m for each in batches for m in self.spare.estimate(each)}
        return [maps[id(frame)] for frame in batch.frames]

    def _switch(self, error: EngineError) -> None:
        with self._switching:
            if self._failure is not None:
                return
            self._failure = type(error)(str(error))
        log.error("%s failed (%s): %s on the CPU takes over", self.model.name, str(error), self.spare.model.name)

    def _warm(self, expect: Sequence[Size]) -> None:
        try:
            self.spare.load(expect)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told again if the spare is ever needed
            log.warning("the spare network %s cannot be loaded: %s", self.spare.model.name, error)


def _part(batch: Batch, start: int, count: int) -> Batch:
    end = start + count
    if len(batch.frames) <= count:
        return batch
    return replace(batch, pixels=batch.pixels[start:end], frames=batch.frames[start:end])
