"""Train the network that comes with the package, on rendered scenes only.

    python -m tools.train.train_tiny --minutes 180 --out runs/a          # two cores
    python -m tools.train.train_tiny --minutes 25 --out runs/b           # takes a CUDA GPU if there is one
    python -m tools.train.train_tiny --minutes 180 --out runs/a --resume # go on after Ctrl-C or a power cut

OUT then holds tiny.safetensors (half precision, the running mean of the weights), checkpoint.pt, curves.json and
curves.png. docs/how-to/training.md says what to expect.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from stream.core.machine import probe
from stream.errors import DepthStreamError, UsageError
from stream.frames import Size
from stream.models.checkpoint.reader import read_state
from stream.models.tiny import TINY
from tools.train.checkpoint import CHECKPOINT, WEIGHTS
from tools.train.pool import Pool, Window
from tools.train.schedule import RATE, SMALL_UNTIL, Budget
from tools.train.trainer import Trainer
from tools.train.validate import HeldOut, Validation, held_out
from tools.train.views import Recipe

SMALL_VIEWS = (Size(128, 168),) * 3 + (Size(168, 128), Size(128, 208))
LARGE_VIEWS = (Size(224, 296),) * 3 + (Size(296, 224),)
"""Sizes of the rendered views while images are small, and later. Crops of them are shrunk to at most 192x256."""
CPU_REUSE, CUDA_REUSE = 1.7, 8.0
"""Uses of a view. On a CPU this keeps one core learning and one rendering; a GPU learns faster than it renders."""
CUDA_CHUNK, CUDA_WORKERS = 128, 8
"""Views per chunk, and render processes at most, on a GPU."""
SAVE_EVERY_S = 60.0
"""Seconds between checkpoints."""
SMOOTHING, SHOW_EVERY = 0.9, 10
"""Decay of the mean loss in the progress bar, and steps between its updates."""


class Stop:
    """Records the first Ctrl-C, so that the current step is finished and saved. A second Ctrl-C ends at once."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGINT, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Train until the budget is used up or Ctrl-C. Returns the exit status: 0, or 130 when stopped early."""
    console = Console()
    try:
        return train(_arguments(), console)
    except DepthStreamError as error:
        console.print(f"{type(error).__name__}: {error}", style="red", markup=False, soft_wrap=True)
        return error.exit_status
    except KeyboardInterrupt:  # the second Ctrl-C: the first one saves and ends
        console.print("stopped at once: --resume goes on from the last checkpoint")
        return 130


def train(arguments: argparse.Namespace, console: Console) -> int:
    """Prepare, train and report. Returns the exit status."""
    device, cores = _device(arguments.device), probe().cores
    _claim(arguments.out, arguments.resume)
    stop = Stop()
    workers = arguments.workers if arguments.workers is not None else _workers(device, cores)
    torch.set_num_threads(max(1, cores - workers))  # each render process takes a core of its own
    trainer = _trainer(arguments, device)
    console.print(f"{device}, {cores} cores, {workers} render processes, seed {trainer.progress.seed}")
    with console.status(f"rendering {arguments.validation_views} held-out views"):
        views = held_out(arguments.validation_views, workers)
    if not trainer.progress.steps:
        console.print(summary("before", trainer.validate(views)))
    recipe, later, window = _views(device, trainer.progress.seed, arguments.reuse)
    recipe = recipe if arguments.small else later
    with (
        console.status("rendering the first views"),
        Pool(
            *(recipe, window),
            later=later,
            grown_at=trainer.progress.grown_at,
            used=trainer.progress.views,
            workers=workers,
            device=device,
        ) as pool,
    ):
        stopped = _run(trainer, pool, views, arguments, console, stop)
    done = trainer.progress
    console.print(
        f"{arguments.out / WEIGHTS}: {done.steps} steps, {done.views} views in {done.seconds / 60:.1f} minutes"
    )
    if stopped:
        console.print("stopped before the end: the same command with --resume goes on")
    return 130 if stopped else 0


def _trainer(arguments: argparse.Namespace, device: str) -> Trainer:
    trainer = Trainer(
        arguments.seed,
        Budget(60 * arguments.minutes, arguments.steps),
        TINY.spec,
        device=device,
        rate=arguments.rate,
        small_until=arguments.small,
        init=read_state(arguments.init) if arguments.init else None,
    )
    if arguments.resume:
        trainer.resume(arguments.out)
    return trainer


def _run(
    trainer: Trainer, pool: Pool, views: HeldOut, arguments: argparse.Namespace, console: Console, stop: Stop
) -> bool:
    """Step until the budget is used up (returns False) or Ctrl-C (returns True).

    Saves every minute and at the end.
    """
    clock = _Clock()
    due_save, due_validation = clock.seconds + SAVE_EVERY_S, clock.seconds + 60 * arguments.validate_every
    with _progress(console) as bar:
        task = bar.add_task("training", total=1.0, loss="", rate="", left="")
        first_views, first_used = trainer.progress.views, trainer.used
        loss: float | None = None
        while trainer.used < 1 and not stop.requested:
            result = trainer.step(pool)
            trainer.progress.seconds += clock.tick()  # since the last tick: saving and validating count as well
            if trainer.progress.steps % SHOW_EVERY == 0:
                loss = _smoothed(loss, float(result.total.detach()))
                speed = (trainer.progress.views - first_views) / clock.seconds
                left_s = clock.seconds * (1 - trainer.used) / max(trainer.used - first_used, 1e-9)
                bar.update(task, completed=trainer.used, loss=f"{loss:.3f}", rate=f"{speed:.0f}", left=_minutes(left_s))
            if clock.seconds >= due_validation:
                console.print(summary(f"{trainer.progress.steps} steps", trainer.validate(views)))
                due_validation += 60 * arguments.validate_every
            if clock.seconds >= due_save:
                trainer.save(arguments.out)
                due_save += SAVE_EVERY_S
    console.print(summary(f"after {trainer.progress.steps} steps", trainer.validate(views)))
    trainer.save(arguments.out)
    return trainer.used < 1


class _Clock:
    """Monotonic seconds since its creation and since the last tick."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def tick(self) -> float:
        """Seconds since the last tick."""
        before, self._last = self._last, time.monotonic()
        return self._last - before


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(
            "{task.percentage:5.1f}%  loss {task.fields[loss]}  {task.fields[rate]} views/s  {task.fields[left]} left"
        ),
        console=console,
    )


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _smoothed(before: float | None, now: float) -> float:
    return now if before is None else SMOOTHING * before + (1 - SMOOTHING) * now


def _views(device: str, seed: int, reuse: float | None) -> tuple[Recipe, Recipe, Window]:
    """The recipes of the first and of the later views, and the window of the pool."""
    small = Recipe(seed, SMALL_VIEWS) if device == "cpu" else Recipe(seed, SMALL_VIEWS, CUDA_CHUNK, device=device)
    window = Window(small.views_in_chunk, reuse or (CPU_REUSE if device == "cpu" else CUDA_REUSE))
    return small, replace(small, sizes=LARGE_VIEWS), window


def _device(requested: str) -> str:
    """Choose "cpu" or "cuda". Raises UsageError when a GPU is requested that torch cannot use."""
    usable = torch.cuda.is_available()
    if requested == "cuda" and not usable:
        raise UsageError(
            f"--device cuda: torch {torch.__version__} finds no usable GPU; leave the option out to train on the CPU"
        )
    return "cuda" if usable and requested != "cpu" else "cpu"


def _workers(device: str, cores: int) -> int:
    """Render processes: one core learns and the others render; a GPU gets at most eight."""
    return min(CUDA_WORKERS, max(1, cores - 2)) if device == "cuda" else max(1, cores - 1)


def _claim(out: Path, resume: bool) -> None:
    """Create the output folder. Raises UsageError rather than overwrite an earlier training."""
    if not resume and (out / CHECKPOINT).exists():
        raise UsageError(f"{out} holds a training already: add --resume to go on with it, or choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot make this folder: {error.strerror}") from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=_positive, default=180.0, help="budget, resumed runs together (180)")
    parser.add_argument("--steps", type=int, help="end after so many steps instead; makes a run repeatable bit for bit")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--resume", action="store_true", help="go on with the training in DIR; its seed stays")
    parser.add_argument("--init", type=Path, metavar="FILE", help="begin with these weights (safetensors or torch)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, help="render processes; 0: render between the steps (cores - 1; GPU: 8)")
    parser.add_argument("--reuse", type=_positive, help="times a view is used (CPU 1.7, GPU 8)")
    parser.add_argument("--rate", type=_positive, default=RATE, help=f"highest learning rate ({RATE:g})")
    parser.add_argument("--small", type=_share, default=SMALL_UNTIL, help="share with small images; 0 after --init")
    parser.add_argument("--validate-every", type=_positive, default=10.0, metavar="MINUTES")
    parser.add_argument("--validation-views", type=int, default=120, metavar="N")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a share from 0 up to 1")
    return value


def summary(when: str, result: Validation) -> str:
    """One validation as text."""
    families = ", ".join(f"{name} {value:.2f}" for name, value in result.by_family.items())
    return (
        f"{when}: held-out Spearman {result.spearman:.3f} (median {result.spearman_median:.3f}), "
        f"delta1 {result.delta1:.3f}, AbsRel {result.abs_rel:.3f}; at 128x160 {result.spearman_128:.3f}, "
        f"{result.delta1_128:.3f}, {result.abs_rel_128:.3f}; agreement {result.agreement:.3f}\n  {families}"
    )


if __name__ == "__main__":
    sys.exit(main())
