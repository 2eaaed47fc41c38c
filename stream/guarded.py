"""An estimator whose network may fail while it runs: smaller batches first, then another network on the CPU.

Depth maps say which network made them, so whoever reads them notices; capture and sinks notice nothing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Self

from stream.errors import EngineError, OutOfDeviceMemory
from stream.estimator import EngineOpener, Estimator
from stream.frames import Batch, DepthMap, Frame, Size
from stream.settings import ModelSettings

log = logging.getLogger(__name__)


def estimator_for(settings: ModelSettings) -> Estimator:
    """Guarded where ``model.fallback`` names a network, else as it is. Raises UnknownModel and SettingsError."""
    return GuardedEstimator(settings) if settings.fallback else Estimator(settings)


class GuardedEstimator(Estimator):
    """Takes over from its own network, once and for good, when that raises EngineError.

    The spare network is loaded beside the first one's work, so that a failure costs one batch's time and not a start.
    """

    def __init__(self, settings: ModelSettings, open_engine: EngineOpener | None = None) -> None:
        super().__init__(settings, open_engine)
        assert settings.fallback, "settings.fallback names the spare network"
        alone = {
            "name": settings.fallback,
            "fallback": None,
            "engine": "torchscript",
            "weights": "trained",
            "side": None,
        }
        self.spare = Estimator(settings.model_copy(update=alone))
        self._failure: EngineError | None = None
        self._most = settings.max_batch
        self._switching = threading.Lock()
        self._warming: threading.Thread | None = None

    @property
    def failure(self) -> EngineError | None:
        """What ended the first network; None while it runs."""
        return self._failure

    def load(self, expect: Sequence[Size] = ()) -> Self:
        """Load both; the first one's failure to load is raised, for nothing has been promised yet."""
        super().load(expect)
        if self._warming is None and self._failure is None:
            self._warming = threading.Thread(target=self._warm, args=(tuple(expect),), name="spare network")
            self._warming.start()
        return self

    def close(self) -> None:
        if self._warming is not None:
            self._warming.join()
            self._warming = None
        self.spare.close()
        super().close()

    def describe(self) -> str:
        if self._failure is None:
            return super().describe()
        return f"{self.spare.describe()}; in place of {self.model.name}, which failed: {self._failure}"

    def figures(self) -> Mapping[str, float]:
        return super().figures() if self._failure is None else self.spare.figures()

    def batches(self, frames: Sequence[Frame]) -> list[Batch]:
        return super().batches(frames) if self._failure is None else self.spare.batches(frames)

    def estimate(self, batch: Batch) -> list[DepthMap]:
        """Depth of every frame, by the first network or by the spare one."""
        if self._failure is None and batch.model == self.model.name:
            try:
                return self._in_pieces(batch)
            except EngineError as error:
                self._switch(error)
        return self._by_spare(batch)

    def _in_pieces(self, batch: Batch) -> list[DepthMap]:
        """At most as many pictures at a time as have been found to fit."""
        most, count = self._most, len(batch.frames)
        try:
            return [
                m for i in range(0, count, most) for m in super(GuardedEstimator, self).estimate(_part(batch, i, most))
            ]
        except OutOfDeviceMemory as error:
            smaller = min(most, count) // 2
            if smaller == 0:
                raise
            self._most = smaller
            log.warning("%s: %s; going on with %d at a time", self.model.name, error, smaller)
            return self._in_pieces(batch)

    def _by_spare(self, batch: Batch) -> list[DepthMap]:
        """Batches that were made for the other network are made anew from their frames."""
        batches = [batch] if batch.model == self.spare.model.name else self.spare.batches(batch.frames)
        maps = {id(m.frame): m for each in batches for m in self.spare.estimate(each)}
        return [maps[id(frame)] for frame in batch.frames]

    def _switch(self, error: EngineError) -> None:
        with self._switching:
            if self._failure is not None:
                return
            self._failure = error
        log.error("%s failed (%s): %s on the CPU takes over", self.model.name, error, self.spare.model.name)

    def _warm(self, expect: Sequence[Size]) -> None:
        try:
            self.spare.load(expect)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told again if the spare is ever needed
            log.warning("the spare network %s cannot be loaded: %s", self.spare.model.name, error)


def _part(batch: Batch, start: int, count: int) -> Batch:
    end = start + count
    return (
        batch
        if len(batch.frames) <= count
        else replace(batch, pixels=batch.pixels[start:end], frames=batch.frames[start:end])
    )
