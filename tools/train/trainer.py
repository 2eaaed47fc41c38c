"""One training: a network, its running mean, its optimiser, and the steps they take."""

from __future__ import annotations

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
from tools.train.average import average_of, follow
from tools.train.checkpoint import Progress
from tools.train.curves import Curves
from tools.train.losses import Loss, depth_loss
from tools.train.pool import Pool
from tools.train.schedule import HEAD_START, RATE, SMALL_UNTIL, Budget, batch_size, image_size, learning_rate
from tools.train.validate import HeldOut, Validation, validate

WEIGHT_DECAY, BETAS, CLIP_NORM = 0.02, (0.9, 0.99), 2.0
LOG_EVERY = 20
"""Steps between two points of the loss curves, each the mean of what lies between."""
STEP_STREAM = 3
"""The stream of random numbers that steps draw from (views have their own: views.VIEW_STREAM)."""
CPU_PIXELS, CUDA_PIXELS = 20 * 128 * 160, 96 * 192 * 256
"""In a batch."""


class Trainer:
    """Steps of training; ``save`` and ``resume`` make one training of many runs."""

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
        """``init``: weights to begin with; else torch's initial values for ``seed``. ``pixels``: in a batch.

        ``small_until``: share of the budget in which images are small.
        """
        torch.manual_seed(seed)
        network = build("tiny")
        if init is not None:
            load_into(network, init)
        self._device, self._budget, self._spec, self._rate = torch.device(device), budget, spec, rate
        self._small_until = small_until
        self._pixels = pixels or (CUDA_PIXELS if device == "cuda" else CPU_PIXELS)
        self.network: nn.Module = _channels_last(network.to(self._device)).train()
        self.average, self.progress, self.curves = average_of(self.network), Progress(seed), Curves()
        self._optimizer = _optimizer(self.network, rate)
        self._recent: list[Loss] = []

    @property
    def used(self) -> float:
        """Share of the budget."""
        return self._budget.used(self.progress.seconds, self.progress.steps)

    def step(self, pool: Pool) -> Loss:
        """Learn from one batch. Raises EngineError when the loss is no number any more (looked at every 20 steps)."""
        number = self.progress.steps
        rng = np.random.default_rng((self.progress.seed, STEP_STREAM, number))
        if self.progress.grown_at is None and self.used > self._small_until - HEAD_START:
            self.progress.grown_at = pool.grow()
        size = image_size(rng, self.used, self._small_until)
        pixels, inverse = batch_of(*pool.pick(rng, batch_size(size, self._pixels), size), size, rng, self._spec)
        generator = torch.Generator(self._device).manual_seed(int(rng.integers(1 << 62)))
        rate = learning_rate(number, self.used, self._rate)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast("cuda", torch.bfloat16, enabled=self._device.type == "cuda"):
            prediction, again = self.network(pixels), self.network(second_look(pixels, rng))
        loss = depth_loss(prediction.float(), inverse, generator, again.float())
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.total)
        nn.utils.clip_grad_norm_(self.network.parameters(), CLIP_NORM)
        self._optimizer.step()
        follow(self.average, self.network, number)
        self.progress.steps, self.progress.views = number + 1, pool.used
        self._log(loss, rate)
        return loss

    def validate(self, views: HeldOut) -> Validation:
        """Score the running mean and note it in the curves."""
        result = validate(self.average, views, self._spec, self._device)
        statistics = asdict(result)
        families = statistics.pop("by_family")
        self.curves.validation.append(
            {**self._counters(), **statistics, **{f"spearman_{name}": value for name, value in families.items()}}
        )
        return result

    def save(self, folder: Path) -> None:
        """Checkpoint, weights and curves."""
        checkpoint.save(folder, self.progress, self.network, self.average, self._optimizer)
        checkpoint.save_weights(folder / checkpoint.WEIGHTS, self.average)
        self.curves.save(folder)

    def resume(self, folder: Path) -> None:
        """Go on where ``save`` left off. Raises WeightsError when there is nothing to go on from."""
        self.progress = checkpoint.load(folder, self.network, self.average, self._optimizer)
        self.curves = Curves.load(folder, self.progress.steps)

    def _log(self, loss: Loss, rate: float) -> None:
        self._recent.append(loss)
        if self.progress.steps % LOG_EVERY:
            return
        parts = ("total", "direct", "fit", "gradients", "ranking", "agreement")
        means = {name: _mean(self._recent, name) for name in parts}
        if not np.isfinite(means["total"]):
            raise EngineError(
                f"after {self.progress.steps} steps the loss is {means['total']}: resume with --rate below {rate:g}"
            )
        self.curves.train.append({**self._counters(), **means, "rate": rate})
        self._recent.clear()

    def _counters(self) -> dict[str, float]:
        return {"steps": self.progress.steps, "seconds": self.progress.seconds, "views": self.progress.views}


def _channels_last(network: nn.Module) -> nn.Module:
    """Convolutions' weights laid out as their input is: depthwise ones are faster so."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def _mean(losses: list[Loss], name: str) -> float:
    return float(torch.stack([getattr(loss, name).detach() for loss in losses]).mean())


def _optimizer(network: nn.Module, rate: float) -> torch.optim.Optimizer:
    """Weights decay, biases and normalisation do not."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=BETAS, fused=True)
