"""A segmenter's encoder and decoder on one device. Not yet run on a GPU: only CPU tensors have been tested."""

from __future__ import annotations

import threading
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stream.engines.eager import device_name
from stream.engines.precision import to_precision
from stream.engines.streams import device_errors
from stream.engines.torch_flags import FULL_FLOAT32
from stream.frames import Floats, Size
from stream.models.networks.efficientvit_sam.network import EfficientVitSam
from stream.models.networks.efficientvit_sam.postprocess import resize_masks
from stream.objects import Mask


class SegmenterNetwork:
    """Runs the network eagerly, channels last. No state between calls; several threads may call it at once."""

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
        """Take over ``network`` and move it to ``device``; ``threads`` count on the CPU only.

        Raises EngineError and OutOfDeviceMemory.
        """
        self.name, self.device, self.precision, self.threads = name, device, precision, threads
        self._local = threading.local()
        side = network.image_encoder.side
        with device_errors(name), torch.inference_mode():
            encoder = to_precision(network.eval().image_encoder, precision, torch.zeros(1, 3, side, side))
            decoder = network.decoder(multimask=multimask).eval()
            if precision == "fp16":
                decoder.mask_decoder.half()  # box coordinates stay in float32: half has 11 bits, too few for 1024 px
            encoder = encoder.requires_grad_(False).to(device)
            self._encoder: nn.Module = encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._decoder: nn.Module = decoder.requires_grad_(False).to(device)

    def encode(self, pixels: Floats) -> Tensor:
        """(N, 3, side, side) normalised RGB -> (N, C, 64, 64) float32 on the device."""
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            images = torch.from_numpy(pixels).to(self.device)
            embedded: Tensor = self._encoder(images)
        return embedded

    def decode(self, embeddings: Tensor, boxes: Floats, index: NDArray[np.int64]) -> tuple[Tensor, Floats]:
        """``boxes`` (K, 4) in the frame of 1024 px and ``index`` (K,), the image of each box.

        Returns logits (K, 256, 256) on the device and the estimated IoU (K,); of several guesses for a box, the one
        that the network expects to be best.
        """
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name), FULL_FLOAT32:
            places, images = (torch.from_numpy(values).to(self.device) for values in (boxes, index))
            logits, iou = self._decoder(embeddings, places, images)
            iou, best = iou.max(1)
            every = torch.arange(len(best), device=self.device)
            return logits[every, best], iou.cpu().numpy()

    def masks(self, logits: Tensor, framed: Size, size: Size) -> Mask:
        """Turn the logits (K, 256, 256) of one image into masks (K, H, W) of its ``size``; see ``masks_at``."""
        self._use_threads()
        with torch.inference_mode(), device_errors(self.name):
            masks: Mask = resize_masks(logits, framed, size).cpu().numpy()
        return masks

    def describe(self) -> str:
        where = device_name(self.device)
        if self.device.type == "cpu":
            where += f", {self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.name} by torch {torch.__version__} on {where}, {self.precision}"

    def close(self) -> None:
        """Do nothing: the weights are freed with the last reference to this network.

        Another thread may be decoding with it, and finishes its call.
        """

    def _use_threads(self) -> None:
        # torch keeps one thread count for each calling thread
        if self.device.type == "cpu" and not getattr(self._local, "threads_set", False):
            torch.set_num_threads(self.threads)
            self._local.threads_set = True
