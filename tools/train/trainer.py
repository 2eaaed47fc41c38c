"""One training: a network, the running mean of its weights, its optimiser, and the steps they take."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stream.errors import EngineError
from stream.models.networks import build
from stream.models.spec import InputSpec
from stream.models.weights import load_into
from tools.train import checkpoint
from tools.train.augment import batch_of, second_look
from tools.train.checkpoint import Progress
from tools.train.curves import Curves
from tools.train.losses import Loss, depth_loss
from tools.train.pool import Pool
from tools.train.schedule import HEAD_START, RATE, SMALL_UNTIL, Budget, batch_size, image_size, learning_rate
from tools.train.validate import HeldOut, Validation, validate

AVERAGE_DECAY = 0.998
"""Decay of the running mean of the weights per step."""
WEIGHT_DECAY, BETAS, CLIP_NORM = 0.02, (0.9, 0.99), 2.0
"""AdamW's weight decay and betas, and the largest norm of the gradients."""
LOG_EVERY = 20
"""Steps per point of the loss curves; a point is the mean over them."""
STEP_STREAM = 3
"""Stream of random numbers for steps; views have their own (``views.VIEW_STREAM``)."""
CPU_PIXELS, CUDA_PIXELS = 20 * 128 * 160, 96 * 192 * 256
"""Pixels per batch."""


class Trainer:
    """Takes training steps. ``save`` and ``resume`` continue one training over several runs."""

    def __init__(
        self,
        seed: int,
        budget: Budget,
        spec: InputSpec,
        *,
        device: str = "cpu",
        rate: float = RATE,
        pixels: int | None = None,
        small_until: float = SMALL_UNTIL,
        init: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Start from the weights ``init``, or from torch's initial values for ``seed``.

        ``pixels`` is the size of a batch; ``small_until`` is the share of the budget in which images are small.
        """
        torch.manual_seed(seed)  # only the first weights depend on torch's global generator
        network = build("tiny")
        if init is not None:
            load_into(network, init)
        self._device, self._budget, self._spec, self._rate = torch.device(device), budget, spec, rate
        self._small_until = small_until
        self._pixels = pixels or (CUDA_PIXELS if device == "cuda" else CPU_PIXELS)
        self.network: nn.Module = _channels_last(network.to(self._device)).train()
        self.average, self.progress, self.curves = frozen_copy(self.network), Progress(seed), Curves()
        self._optimizer = _optimizer(self.network, rate)
        self._unlogged: list[Loss] = []

    @property
    def used(self) -> float:
        """Share of the budget used so far, 0..1."""
        return self._budget.used(self.progress.seconds, self.progress.steps)

    def step(self, pool: Pool) -> Loss:
        """Learn from one batch. Raises EngineError when the loss is not finite, which is checked every 20 steps."""
        number = self.progress.steps
        # By the step's number, so that a resumed training draws what it would have drawn.
        rng = np.random.default_rng((self.progress.seed, STEP_STREAM, number))
        if self.progress.grown_at is None and self.used > self._small_until - HEAD_START:
            self.progress.grown_at = pool.grow()
        size = image_size(rng, self.used, self._small_until)
        pixels, inverse = batch_of(*pool.pick(rng, batch_size(size, self._pixels), size), size, rng, self._spec)
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(1 << 62)))
        rate = learning_rate(number, self.used, self._rate)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        # bfloat16 has the range of float32, so that gradients do not underflow and need no loss scaling.
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
            prediction, second_prediction = self.network(pixels), self.network(second_look(pixels, rng))
        loss = depth_loss(prediction.float(), inverse, generator, second_prediction.float())
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total)
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self._optimizer.step()
        update_average(self.average, self.network, number)
        self.progress.steps, self.progress.views = number + 1, pool.used
        self._log(loss, rate)
        return loss

    def validate(self, views: HeldOut) -> Validation:
        """Score the running mean of the weights and add the result to the curves."""
        result = validate(self.average, views, self._spec, self._device)
        statistics = asdict(result)
        families = statistics.pop("by_family")
        self.curves.validation.append(
            {**self._counters(), **statistics, **{f"spearman_{name}": value for name, value in families.items()}}
        )
        return result

    def save(self, folder: Path) -> None:
        """Write checkpoint, weights and curves."""
        checkpoint.save(folder, self.progress, self.network, self.average, self._optimizer)
        checkpoint.save_weights(folder / checkpoint.WEIGHTS, self.average)
        self.curves.save(folder)

    def resume(self, folder: Path) -> None:
        """Continue from what ``save`` wrote. Raises WeightsError when that is missing or damaged."""
        self.progress = checkpoint.load(folder, self.network, self.average, self._optimizer)
        self.curves = Curves.load(folder, self.progress.steps)

    def _log(self, loss: Loss, rate: float) -> None:
        # The loss is read once in a while only, because each reading waits for the GPU.
        self._unlogged.append(loss)
        if self.progress.steps % LOG_EVERY:
            return
        parts = ("total", "direct", "fit", "gradients", "ranking", "agreement")
        means = {name: _mean(self._unlogged, name) for name in parts}
        if not np.isfinite(means["total"]):
            raise EngineError(
                f"after {self.progress.steps} steps the loss is {means['total']}: resume with --rate below {rate:g}"
            )
        self.curves.train.append({**self._counters(), **means, "rate": rate})
        self._unlogged.clear()

    def _counters(self) -> dict[str, float]:
        return {"steps": self.progress.steps, "seconds": self.progress.seconds, "views": self.progress.views}


def update_average(average: nn.Module, network: nn.Module, steps: int) -> None:
    """Move ``average`` towards ``network``, faster in the first steps so that it forgets the initial weights."""
    share = 1 - min(AVERAGE_DECAY, (steps + 1) / (steps + 20))
    with torch.no_grad():
        averaged, current = average.state_dict(), network.state_dict()
        for name, tensor in averaged.items():
            if tensor.is_floating_point():
                tensor.lerp_(current[name], share)
            else:
                tensor.copy_(current[name])  # counters of batch normalisation are integers


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy in eval mode whose weights need no gradients."""
    return copy.deepcopy(network).eval().requires_grad_(False)


def _channels_last(network: nn.Module) -> nn.Module:
    """Store the weights of convolutions channels-last, like their input, which makes depthwise ones faster."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _mean(losses: list[Loss], name: str) -> float:
    return float(torch.stack([getattr(loss, name).detach() for loss in losses]).mean())


def _optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW that decays weights, but not biases and normalisation parameters."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=BETAS, fused=True)
