"""A segmenter's two halves on a device: images are encoded, boxes are decoded. On a GPU it has not run yet."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stream.engines.eager import device_name
from stream.engines.precision import in_precision
from stream.engines.streams import device_errors
from stream.engines.torch_flags import FULL_FLOAT32
from stream.frames import Floats, Size
from stream.models.networks.efficientvit_sam.network import EfficientVitSam
from stream.models.networks.efficientvit_sam.postprocess import masks_at
from stream.objects import Mask


class SegmenterNetwork:
    """As torch runs it by itself, channels last. Nothing is kept between calls; several threads may call at once."""

    def __init__(
        self,
        name: str,
        network: EfficientVitSam,
        *,
        device: torch.device,
        precision: Literal["fp32", "fp16"] = "fp32",
        multimask: bool = False,
        threads: int = 1,
    ) -> None:
        """``network`` is changed. ``threads``: on the CPU. Raises EngineError, OutOfDeviceMemory."""
        self.name, self.device, self.precision, self.threads = name, device, precision, threads
        self._local = threading.local()
        side = network.image_encoder.side
        with device_errors(name), torch.inference_mode():
            encoder = in_precision(network.eval().image_encoder, precision, torch.zeros(1, 3, side, side))
            decoder = network.decoder(multimask=multimask).eval()
            if precision == "fp16":
                decoder.mask_decoder.half()  # where a box is stays in float32
            encoder = encoder.requires_grad_(False).to(device)
            self._encoder: nn.Module = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._decoder = decoder.requires_grad_(False).to(device)

    def encode(self, pixels: Floats) -> Tensor:
        """(N, 3, side, side) normalised RGB -> (N, C, 64, 64) float32 on the device."""
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            images = torch.from_numpy(pixels).to(self.device)
            embedded: Tensor = self._encoder(images)
        return embedded

    def decode(self, embeddings: Tensor, boxes: Floats, index: NDArray[np.int64]) -> tuple[Tensor, Floats]:
        """``boxes`` (K, 4) in the frame of 1024, ``index`` (K,): which image each is of -> logits (K, 256, 256) on
        the device, estimated IoU (K,). Of several guesses the one that the network thinks best."""
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            places, images = (torch.from_numpy(values).to(self.device) for values in (boxes, index))
            logits, iou = self._decoder(embeddings, places, images)
            iou, best = iou.max(1)
            every = torch.arange(len(best), device=self.device)
            return logits[every, best], iou.cpu().numpy()

    def masks(self, logits: Tensor, framed: Size, size: Size) -> Mask:
        """(K, 256, 256) logits of one image -> (K, H, W), at its ``size``; see ``masks_at``."""
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name):
            masks: Mask = masks_at(logits, framed, size).cpu().numpy()
        return masks

    def describe(self) -> str:
        where = device_name(self.device)
        if self.device.type == "cpu":
            where += f", {self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.name} by torch {torch.__version__} on {where}, {self.precision}"

    def _use_threads(self) -> None:
        """torch keeps the number of threads for each calling thread apart."""
        if self.device.type == "cpu" and not getattr(self._local, "told", False):
            torch.set_num_threads(self.threads)
            self._local.told = True
