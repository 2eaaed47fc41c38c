"""The training program's parts, at sizes that take seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from stream.errors import WeightsError
from stream.frames import Size
from stream.models.checkpoint.reader import read_state
from stream.models.networks import build
from stream.models.tiny import TINY
from stream.models.weights import load_into, load_state, random_state
from stream.preprocess.cpu import to_network
from tools.train.augment import _crop_size, batch_of, normalised, shrunk
from tools.train.checkpoint import CHECKPOINT, WEIGHTS, write_atomically
from tools.train.curves import Curves
from tools.train.losses import depth_loss, standardised
from tools.train.pool import Pool, Window
from tools.train.schedule import LARGE, RATE, SMALL, Budget, image_size, learning_rate
from tools.train.train_tiny import Stop
from tools.train.trainer import LOG_EVERY, Trainer
from tools.train.validate import HeldOut, held_out, validate
from tools.train.views import Recipe, render_chunk, render_chunks

pytestmark = pytest.mark.usefixtures("one_thread")

ROOT = Path(__file__).parents[2]
RECIPE = Recipe(3, (Size(48, 64),), views_in_chunk=4, textures=8)
LATER = Recipe(3, (Size(64, 96),), views_in_chunk=4, textures=8)
WINDOW = Window(views_in_chunk=4, reuse=1.5, first=2, capacity=3)


@pytest.fixture(scope="module")
def views() -> HeldOut:
    """One view of each family."""
    return held_out(1)


@pytest.fixture
def inverse() -> Tensor:
    """(2, 64, 96): rendered-looking inverse depth, a ramp with a near and a far box."""
    depth = torch.linspace(0.1, 0.6, 64)[:, None].repeat(2, 1, 96).view(2, 64, 96)
    depth[:, 10:40, 20:50], depth[1, 30:50, 60:90] = 0.9, 0.02
    return depth


def loss_of(prediction: Tensor, inverse: Tensor) -> float:
    return float(depth_loss(prediction, inverse, torch.Generator().manual_seed(0)).total)


def test_a_perfect_answer_costs_little_but_its_rank_margin(inverse: Tensor) -> None:
    """No direct error, no error after the fit, no edge in the wrong place."""
    loss = depth_loss(standardised(inverse), inverse, torch.Generator().manual_seed(0))
    assert [float(part) for part in (loss.direct, loss.fit, loss.gradients)] == pytest.approx([0, 0, 0], abs=1e-5)
    assert float(loss.ranking) < 0.2


def test_scale_and_shift_of_the_truth_do_not_matter(inverse: Tensor) -> None:
    """Depth in feet, or with another zero, is the same target."""
    prediction = torch.randn(inverse.shape, generator=torch.Generator().manual_seed(1))
    assert loss_of(prediction, 3.28 * inverse + 7) == pytest.approx(loss_of(prediction, inverse), rel=1e-3)


def test_an_inverted_answer_is_worse_than_none(inverse: Tensor) -> None:
    """In every part: the fit must not turn it round."""
    target = standardised(inverse)
    generator = [torch.Generator().manual_seed(0) for _ in range(3)]
    right, flat, wrong = (depth_loss(k * target, inverse, g) for k, g in zip((1, 0, -1), generator, strict=True))
    for part in ("direct", "fit", "gradients", "ranking"):
        assert getattr(right, part) < getattr(flat, part) < getattr(wrong, part), part


def test_soft_edges_cost(inverse: Tensor) -> None:
    """A blurred answer is worse than a sharp one, by its gradients most."""
    target = standardised(inverse)
    soft = torch.nn.functional.avg_pool2d(target[:, None], 7, 1, 3, count_include_pad=False)[:, 0]
    assert loss_of(soft, inverse) > loss_of(target, inverse) + 0.1


def test_every_pixel_gets_a_gradient(inverse: Tensor) -> None:
    """Finite and not zero, and a step against it lowers the loss."""
    prediction = torch.zeros_like(inverse).requires_grad_()
    loss = depth_loss(prediction, inverse, torch.Generator().manual_seed(0)).total
    loss.backward()
    assert prediction.grad is not None
    assert bool(prediction.grad.isfinite().all())
    assert float((prediction.grad != 0).float().mean()) > 0.95
    assert loss_of(prediction.detach() - 50 * prediction.grad, inverse) < loss.item()


@pytest.mark.parametrize("size", [Size(192, 256), Size(96, 128), Size(64, 160)])
def test_images_are_shrunk_and_normalised_as_the_product_does_it(size: Size) -> None:
    """Against OpenCV's INTER_AREA, and against the product's whole preprocessing where the sizes are its own."""
    bgr = np.random.default_rng(0).integers(0, 256, (288, 384, 3), dtype=np.uint8)
    rgb = torch.from_numpy(bgr[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
    ours = shrunk(rgb, size)[0].permute(1, 2, 0).numpy()
    theirs = cv2.resize(bgr.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)[..., ::-1] / 255
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    if size == Size(192, 256):
        product = to_network([bgr], TINY.spec)
        np.testing.assert_allclose(normalised(shrunk(rgb, size), TINY.spec).numpy(), product, atol=1e-4)


@pytest.mark.slow
def test_a_chunk_is_a_function_of_its_number() -> None:
    """Drawn here or in another process; other numbers give other views."""
    first, other = render_chunk(RECIPE, 0), render_chunk(RECIPE, 1)
    (elsewhere,) = render_chunks([RECIPE], workers=1)
    np.testing.assert_array_equal(first.rgb, elsewhere.rgb)
    np.testing.assert_array_equal(first.inverse, elsewhere.inverse)
    assert first.rgb.shape == (4, 3, 48, 64)
    assert not np.array_equal(first.inverse, other.inverse)


def test_batches_are_what_the_network_takes() -> None:
    """Image and depth stay together through cutting and mirroring."""
    depth = torch.linspace(0, 1, 64).expand(6, 48, 64).contiguous()
    images = (depth * 255).round().to(torch.uint8)[:, None].repeat(1, 3, 1, 1)
    for seed in range(5):
        pixels, target = batch_of(images, depth.half(), Size(32, 64), np.random.default_rng(seed), TINY.spec)
        assert pixels.shape == (6, 3, 32, 64)
        assert target.shape == (6, 32, 64)
        for image, truth in zip(pixels[:, 0], target, strict=True):
            assert float(torch.corrcoef(torch.stack([image.flatten(), truth.flatten()]))[0, 1]) > 0.98


def test_the_pool_slides_with_use() -> None:
    """It renders as many chunks as are due, and never holds more than its capacity."""
    with Pool(RECIPE, WINDOW) as pool:
        assert pool.rendered == 2 * 4
        images, inverse = pool.pick(np.random.default_rng(0), 12, Size(32, 32))
        assert images.shape == (12, 3, 48, 64)
        assert inverse.shape == (12, 48, 64)
        assert pool.rendered == 4 * 4


@pytest.mark.slow
def test_views_become_larger_on_request() -> None:
    """Views grow from the first chunk that is not requested yet; a pool opened later switches at the same chunk."""
    with Pool(RECIPE, WINDOW, later=LATER) as pool:
        assert pool.grow() == 2
        images, _ = pool.pick(np.random.default_rng(0), 12, Size(64, 96))
        used = pool.used
    assert images.shape == (12, 3, 64, 96)
    with Pool(RECIPE, WINDOW, later=LATER, grown_at=2, used=used) as pool:
        assert pool.pick(np.random.default_rng(0), 1, Size(64, 96))[0].shape == (1, 3, 64, 96)


def test_small_images_come_first_or_not_at_all() -> None:
    """Nearly half of the budget by default; a training that goes on from trained weights begins with large ones."""
    rng = np.random.default_rng(0)
    assert {image_size(rng, used) for used in np.linspace(0, 0.44, 200)} <= set(SMALL)
    assert {image_size(rng, used) for used in np.linspace(0.46, 1, 200)} <= set(LARGE)
    assert {image_size(rng, used, 0.0) for used in np.linspace(0, 1, 200)} <= set(LARGE)


def test_cuts_are_enlarged_by_little_only() -> None:
    """The smallest cut of an image that is hardly larger than wanted, of a large one, and of a smaller one."""
    want = Size(96, 128)
    assert _crop_size(Size(112, 150), want, 0) == Size(87, 116)
    assert _crop_size(Size(384, 512), want, 0) == Size(230, 307)
    assert _crop_size(Size(48, 64), want, 0) == _crop_size(Size(48, 64), want, 1) == Size(48, 64)


def test_the_rate_warms_up_and_cools_down() -> None:
    """Nearly nothing at both ends; sizes are multiples of 32, the product's 192x256 among them."""
    rates = [learning_rate(step, step / 3000) for step in range(3000)]
    assert max(rates) == pytest.approx(RATE, rel=0.02)
    assert rates[0] < RATE / 50
    assert rates[-1] < RATE / 50
    assert Size(192, 256) in LARGE
    assert all(side % 32 == 0 for size in SMALL + LARGE for side in size)


def trained(steps: int, folder: Path | None = None, budget: int = 2 * LOG_EVERY) -> Trainer:
    """A few steps of a ``budget`` on tiny batches; resumed from ``folder``."""
    trainer = Trainer(5, Budget(1.0, budget), TINY.spec, pixels=2 * 64 * 96)
    if folder:
        trainer.resume(folder)
    done = trainer.progress
    with Pool(RECIPE, WINDOW, later=LATER, grown_at=done.grown_at, used=done.views) as pool:
        for _ in range(steps):
            trainer.step(pool)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize("first", [2, 3])
def test_a_resumed_training_is_the_same_bit_for_bit(first: int, tmp_path: Path) -> None:
    """Network, running mean, counters: at once or in two parts, before and after views have become larger."""
    whole, part = trained(4, budget=4), trained(first, budget=4)
    assert (part.progress.grown_at is None) == (first == 2)
    part.save(tmp_path)
    rest = trained(4 - first, tmp_path, budget=4)
    assert rest.progress == whole.progress
    for name in ("network", "average"):
        at_once, resumed = getattr(whole, name).state_dict(), getattr(rest, name).state_dict()
        assert all(torch.equal(at_once[key], resumed[key]) for key in at_once), name


@pytest.mark.slow
def test_what_is_written_is_what_the_product_loads(views: HeldOut, tmp_path: Path) -> None:
    """Half precision under the product's names, taken strictly; the curves hold points and an image."""
    trainer = trained(LOG_EVERY)
    trainer.validate(views)
    trainer.save(tmp_path)
    load_into(build("tiny"), read_state(tmp_path / WEIGHTS))
    assert (tmp_path / WEIGHTS).stat().st_size < 2_000_000
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert [point["steps"] for point in curves["train"]] == [LOG_EVERY]
    assert -1 <= curves["validation"][0]["spearman"] <= 1
    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image.std() > 5
    assert Curves.load(tmp_path, 5).train == [], "points after the checkpoint are drawn again"


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    """No temporary file stays behind."""
    path = tmp_path / "file"
    write_atomically(path, lambda new: new.write_text("old") and None)

    def fail(new: Path) -> None:
        new.write_text("half")
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and then nothing"])
def test_a_checkpoint_that_cannot_be_read_is_named(content: bytes | None, tmp_path: Path) -> None:
    """Missing, empty or cut short."""
    if content is not None:
        (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(WeightsError, match=CHECKPOINT):
        Trainer(0, Budget(1.0), TINY.spec).resume(tmp_path)


@pytest.mark.slow
def test_validation_separates_trained_weights_from_random_ones(views: HeldOut) -> None:
    """Every metric separates them on a few views."""
    network = build("tiny")
    load_into(network, random_state(TINY))
    random = validate(network, views, TINY.spec)
    load_into(network, load_state(TINY))
    shipped = validate(network, views, TINY.spec)
    assert shipped.spearman > random.spearman + 0.2
    assert shipped.delta1 > random.delta1
    assert shipped.abs_rel < random.abs_rel
    assert set(shipped.by_family) == set(views.families)


@pytest.mark.slow
def test_the_program_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    """Nothing to resume, and a folder with a training in it: one line, no traceback."""
    program = [sys.executable, "-m", "tools.train.train_tiny", "--device", "cpu", "--workers", "0", "--out"]
    (tmp_path / CHECKPOINT).write_bytes(b"something")
    answer = subprocess.run([*program, str(tmp_path)], capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 2
    assert "--resume" in answer.stdout
    assert "Traceback" not in answer.stdout + answer.stderr
    answer = subprocess.run([*program, "x", "--small", "1"], capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 2
    assert "1 is not a share from 0 up to 1" in answer.stderr


def test_ctrl_c_is_remembered_once() -> None:
    """The first one lets the step in progress finish; a second one interrupts at once."""
    before = signal.getsignal(signal.SIGINT)
    try:
        stop = Stop()
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
