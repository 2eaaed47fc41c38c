"""Boxes in, masks out: the pixels of an image that belong to the object in a box.

An image is encoded once; then any number of its boxes is decoded, together with those of all other images.

with Segmenter(SegmenterSettings()) as segmenter:
    encoded = segmenter.encode([left, right])
    of_left, of_right = segmenter.decode(encoded, [[Box(10, 20, 200, 180)], []])
    print(of_left[0].mask.sum(), "pixels")
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from numpy.typing import NDArray

from stream.core.machine import Machine, probe
from stream.engines.cpu_setup import keep_freed_memory, wait_without_spinning
from stream.engines.select import default_threads, usable_gpu
from stream.engines.wrappers import Lazy, first_that_opens
from stream.errors import BoxError, EngineError, ImageError, SettingsError
from stream.frames import Floats, Image, Size, check_image
from stream.models.base import SegmenterModel
from stream.models.catalog import find_segmenter
from stream.models.loading import load_network, warn_of_random_weights, with_weights_note
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
    """Embeddings of images, from which any box of theirs can be decoded."""

    embeddings: Tensor
    """(N, 256, 64, 64) float32, on the segmenter's device."""
    sizes: tuple[Size, ...]
    """Sizes of the N images."""

    def __len__(self) -> int:
        return len(self.sizes)


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedBox:
    """The mask of the object in a box."""

    mask: Mask
    """(H, W) bool, the image's size."""
    score: float
    """The overlap with the ground truth (IoU) that the network predicts; trained to lie in 0..1, but not clamped."""


class Segmenter:
    """EfficientViT-SAM on this machine's GPU or CPU.

    It knows its network from the start and loads it on ``load`` or on first use, from whichever thread comes first.
    Making one raises UnknownModel and SettingsError, loading it WeightsError and EngineError. Several threads may call
    it at once.
    """

    def __init__(
        self,
        settings: SegmenterSettings,
        network: Callable[[], EfficientVitSam] | None = None,
        machine: Machine | None = None,
    ) -> None:
        """``network`` makes another network with the same input than the settings name, with weights of its own."""
        self.settings, self.model = settings, find_segmenter(settings.name)
        self._make_network = network or (lambda: _network(self.model, settings.weights))
        self._machine = machine or probe()
        self._device = _device(settings, self._machine)
        self._network: Lazy[SegmenterNetwork] = Lazy(self._open)

    def __enter__(self) -> Self:
        return self.load()

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def load(self) -> Self:
        """Load the weights and copy them to the device."""
        self._network()
        return self

    def close(self) -> None:
        """Free the network's memory; the next use loads it again."""
        self._network.close()

    def describe(self) -> str:
        """Network, device and weights in one line."""
        network = self._network.resource
        words = network.describe() if network else f"{self.model.name}, not loaded yet"
        return with_weights_note(words, self.settings.weights)

    def encode(self, images: Sequence[Image]) -> Encoded:
        """Encode images (H, W, 3) uint8 BGR of any sizes, at least one; the result stays valid.

        Raises ImageError for an image that no network takes.
        """
        if not images:
            raise ImageError("no image was given to the segmenter: it needs at least one")
        for image in images:
            check_image(image)
        network, step = self._network(), self.settings.max_images_at_once
        parts = [
            network.encode(to_network(images[start : start + step], self.model.spec))
            for start in range(0, len(images), step)
        ]
        sizes = tuple(Size(*image.shape[:2]) for image in images)
        return Encoded(parts[0] if len(parts) == 1 else _joined(parts), sizes)

    def decode(self, encoded: Encoded, boxes: Sequence[Sequence[Box]]) -> list[list[SegmentedBox]]:
        """Decode the boxes of each encoded image, in their order; an image may have none.

        Boxes of all images run together, ``max_boxes_at_once`` at a time. They may reach out of the image. Raises
        BoxError for a box that is not finite, empty, or entirely outside the image.
        """
        if len(boxes) != len(encoded):
            raise BoxError(f"boxes of {len(boxes)} images were given, but {len(encoded)} are encoded: one list each")
        places = [in_frame(own, size, self.model.box_frame) for own, size in zip(boxes, encoded.sizes, strict=True)]
        index = np.repeat(np.arange(len(boxes)), [len(own) for own in boxes])
        found = self._found(encoded, np.concatenate([np.empty((0, 4), np.float32), *places]), index)
        return [[next(found) for _ in own] for own in boxes]

    def _found(self, encoded: Encoded, places: Floats, index: NDArray[np.int64]) -> Iterator[SegmentedBox]:
        """Decode run by run, so that the logits of one run only are in memory."""
        network, step = self._network(), self.settings.max_boxes_at_once
        for start in range(0, len(index), step):
            image_of_box = index[start : start + step]
            logits, scores = network.decode(encoded.embeddings, places[start : start + step], image_of_box)
            for image in np.unique(image_of_box):  # in their order: ``index`` never falls
                boxes, size = np.flatnonzero(image_of_box == image), encoded.sizes[image]
                # A slice, because an array of indices would copy the logits.
                run = slice(int(boxes[0]), int(boxes[-1]) + 1)
                masks = network.masks(logits[run], framed(size, self.model.box_frame), size)
                yield from map(SegmentedBox, masks, scores[run].tolist())

    def _open(self) -> SegmenterNetwork:
        """Open the network on its device; torch is imported here. "auto" takes the CPU where the GPU cannot be used."""
        # Before torch is loaded, because its OpenMP reads the policy only then.
        wait_without_spinning()
        keep_freed_memory()
        warn_of_random_weights(self.model, self.settings.weights, "masks")
        places = [("GPU", partial(self._on, "cuda")), ("CPU", partial(self._on, "cpu"))]
        if self._device == "cpu":
            places = places[1:]
        elif self.settings.device == "cuda":
            places = places[:1]
        network = first_that_opens(self.model.name, places)
        log.info("%s", network.describe())
        return network

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
            self._make_network(),
            device=torch.device(device),
            precision="fp32" if on_cpu else settings.precision,
            multimask=settings.multimask,
            threads=settings.threads or default_threads(self._machine.cores, self.model.parameters),
        )


def _network(model: SegmenterModel, weights: Literal["trained", "random"]) -> EfficientVitSam:
    from stream.models.networks.efficientvit_sam.network import EfficientVitSam

    network = load_network(model, weights)
    assert isinstance(network, EfficientVitSam)
    return network


def _device(settings: SegmenterSettings, machine: Machine) -> Literal["cpu", "cuda"]:
    gpu = usable_gpu(machine)
    if settings.device == "cuda" and gpu is None:
        raise SettingsError('segmenter device = "cuda": torch can use no GPU here; "auto" takes what there is')
    return "cuda" if gpu and settings.device != "cpu" else "cpu"


def _joined(parts: Sequence[Tensor]) -> Tensor:
    import torch

    return torch.cat(list(parts))
