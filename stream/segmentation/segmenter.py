"""Boxes in, masks out: which pixels of an image belong to what is in a box.

An image is encoded once; any number of its boxes is decoded, together with those of all other images.

with Segmenter(SegmenterSettings()) as segmenter:
    encoded = segmenter.encode([left, right])
    of_left, of_right = segmenter.decode(encoded, [[Box(10, 20, 200, 180)], []])
    print(of_left[0].mask.sum(), "pixels")
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from stream.core.machine import Machine, probe
from stream.engines.cpu_setup import keep_freed_memory, wait_without_spinning
from stream.engines.select import default_threads, usable_gpu
from stream.errors import BoxError, EngineError, ImageError, SettingsError
from stream.frames import Floats, Image, Size, check_image
from stream.models.base import SegmenterModel
from stream.models.catalog import find_segmenter
from stream.models.networks import build
from stream.models.weights import load_into, load_state, random_state
from stream.objects import Box, Mask
from stream.preprocess.cpu import to_network
from stream.segmentation.prompts import framed, in_frame
from stream.segmentation.settings import SegmenterSettings

if TYPE_CHECKING:
    from torch import Tensor

    from stream.models.networks.efficientvit_sam.network import EfficientVitSam
    from stream.segmentation.network import SegmenterNetwork

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Images that a segmenter has seen: what it needs to know of them for any box."""

    embeddings: Tensor
    """(N, 256, 64, 64) float32, on the segmenter's device."""
    sizes: tuple[Size, ...]
    """Of the N images."""

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedBox:
    """What belongs to the thing in a box."""

    mask: Mask
    """(H, W) bool, the image's size."""
    score: float
    """The overlap with the truth (IoU) that the network expects; trained to lie in 0..1, but not bound to."""


class Segmenter:
    """EfficientViT-SAM on this machine's GPU or CPU.

    Knows the network from the start and loads it on ``load`` or first use, from whichever thread comes first.
    Raises UnknownModel and SettingsError when made, WeightsError and EngineError when loaded. Several threads may call
    it at once.
    """

    def __init__(
        self,
        settings: SegmenterSettings,
        network: Callable[[], EfficientVitSam] | None = None,
        machine: Machine | None = None,
    ) -> None:
        """``network``: makes another one of the same input than ``settings`` name; its weights are its own."""
        self.settings, self.model = settings, find_segmenter(settings.name)
        self._make = network or (lambda: _network(self.model, settings.weights))
        self._machine = machine or probe()
        self._device = _device(settings, self._machine)
        self._network: SegmenterNetwork | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def load(self) -> Self:
        """Load the weights and bring them to the device."""
        self._ready()
        return self

    def close(self) -> None:
        """Let go of the network's memory; the next use loads it again."""
        with self._lock:
            self._network = None

    def describe(self) -> str:
        """Network, device and weights in one line."""
        network = self._network
        what = network.describe() if network else f"{self.model.name}, not loaded yet"
        return f"{what}; RANDOM WEIGHTS: speed only" if self.settings.weights == "random" else what

    def encode(self, images: Sequence[Image]) -> Encoded:
        """Images (H, W, 3) uint8 BGR of any sizes, at least one; the answer stays valid.

        Raises ImageError for an image that no network takes.
        """
        if not images:
            raise ImageError("no image was given to the segmenter: it needs at least one")
        for image in images:
            check_image(image)
        network, step = self._ready(), self.settings.max_images_at_once
        parts = [
            network.encode(to_network(images[start : start + step], self.model.spec))
            for start in range(0, len(images), step)
        ]
        sizes = tuple(Size(*image.shape[:2]) for image in images)
        return Encoded(parts[0] if len(parts) == 1 else _joined(parts), sizes)

    def decode(self, encoded: Encoded, boxes: Sequence[Sequence[Box]]) -> list[list[SegmentedBox]]:
        """The boxes of each of the encoded images, in their order; an image may have none.

        Boxes of all images run together, ``max_boxes_at_once`` at a time. They may reach out of the image. Raises
        BoxError for one that is not finite, empty, or outside of the image altogether.
        """
        if len(boxes) != len(encoded):
            raise BoxError(f"boxes of {len(boxes)} images were given, but {len(encoded)} are encoded: one list each")
        places = [in_frame(own, size, self.model.box_frame) for own, size in zip(boxes, encoded.sizes, strict=True)]
        index = np.repeat(np.arange(len(boxes)), [len(own) for own in boxes])
        found = self._found(encoded, np.concatenate([np.empty((0, 4), np.float32), *places]), index)
        return [[next(found) for _ in own] for own in boxes]

    def _found(self, encoded: Encoded, places: Floats, index: NDArray[np.int64]) -> Iterator[SegmentedBox]:
        """One after the other, so that no more than one run's logits are in memory."""
        network, step = self._ready(), self.settings.max_boxes_at_once
        for start in range(0, len(index), step):
            of = index[start : start + step]
            logits, scores = network.decode(encoded.embeddings, places[start : start + step], of)
            for image in np.unique(of):  # in their order: ``index`` never falls
                own, size = np.flatnonzero(of == image), encoded.sizes[image]
                run = slice(int(own[0]), int(own[-1]) + 1)
                masks = network.masks(logits[run], framed(size, self.model.box_frame), size)
                yield from map(SegmentedBox, masks, scores[run].tolist())

    def _ready(self) -> SegmenterNetwork:
        with self._lock:
            if self._network is None:
                self._network = self._open()
                log.info("%s", self._network.describe())
            return self._network

    def _open(self) -> SegmenterNetwork:
        """torch is loaded here."""
        wait_without_spinning()
        keep_freed_memory()
        if self.settings.weights == "random":
            log.warning("%s runs with random weights: its masks mean nothing, only its speed does", self.model.name)
        if self._device == "cuda" and self.settings.device == "auto":
            try:
                return self._on("cuda")
            except EngineError as error:  # the driver shows a card, and torch cannot use it or has no room there
                log.warning("%s runs on the CPU: %s", self.model.name, error)
                return self._on("cpu")
        return self._on(self._device)

    def _on(self, device: Literal["cpu", "cuda"]) -> SegmenterNetwork:
        import torch

        from stream.segmentation.network import SegmenterNetwork

        settings, on_cpu = self.settings, device == "cpu"
        if not on_cpu and not torch.cuda.is_available():
            raise EngineError(
                f"{self.model.name} cannot use {usable_gpu(self._machine)}: torch {torch.__version__} finds no CUDA "
                "device (an old driver? CUDA_VISIBLE_DEVICES?)"
            )
        if on_cpu and settings.precision == "fp16":
            log.warning("%s runs in fp32: fp16 is for GPUs", self.model.name)
        return SegmenterNetwork(
            self.model.name,
            self._make(),
            device=torch.device(device),
            precision="fp32" if on_cpu else settings.precision,
            multimask=settings.multimask,
            threads=settings.threads or default_threads(self._machine.cores, self.model.parameters),
        )


def _network(model: SegmenterModel, weights: Literal["trained", "random"]) -> EfficientVitSam:
    from stream.models.networks.efficientvit_sam.network import EfficientVitSam

    network = build(model.name)
    assert isinstance(network, EfficientVitSam)
    load_into(network, random_state(model) if weights == "random" else load_state(model))
    return network


def _device(settings: SegmenterSettings, machine: Machine) -> Literal["cpu", "cuda"]:
    gpu = usable_gpu(machine)
    if settings.device == "cuda" and gpu is None:
        raise SettingsError('segmenter device = "cuda": torch can use no GPU here; "auto" takes what there is')
    return "cuda" if gpu and settings.device != "cpu" else "cpu"


def _joined(parts: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(parts))
