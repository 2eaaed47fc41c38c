"""The segmenter: images are encoded once, boxes of all of them decoded together, masks come out at their size."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from stream.core.machine import Machine
from stream.errors import (
    BoxError,
    EngineError,
    ImageError,
    OutOfDeviceMemory,
    SettingsError,
    UnknownModel,
    WeightsError,
)
from stream.frames import Image, Size
from stream.models.networks.efficientvit_sam.network import Config, EfficientVitSam
from stream.objects import Box
from stream.preprocess.cpu import to_network
from stream.segmentation.network import SegmenterNetwork
from stream.segmentation.segmenter import SegmentedBox, Segmenter
from stream.segmentation.settings import SegmenterSettings

NARROW = Config((8, 8, 32, 32, 32), (1, 1, 1, 1, 1), neck=1, neck_expansion=1, side=512, channels=64)
"""L0's input and operations with few channels, so that an image takes a tenth of a second."""
SIZES = [(96, 128), (180, 101), (75, 75)]
NO_GPU = Machine(2, (), False, False, "2.13.0+cpu")


def narrow() -> EfficientVitSam:
    """Always the same; its normalisation has measured noise, so that masks have structure."""
    torch.manual_seed(0)
    network = EfficientVitSam(NARROW)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    with torch.inference_mode():
        network.train()(torch.randn(1, 3, 512, 512))
    return network.eval()


def segmenter_of(network: EfficientVitSam, **settings: object) -> Segmenter:
    chosen = SegmenterSettings(device="cpu", threads=1, **settings)
    return Segmenter(chosen, network=lambda: network, machine=NO_GPU)


@pytest.fixture(scope="module")
def network() -> EfficientVitSam:
    return narrow()


@pytest.fixture
def segmenter(network: EfficientVitSam) -> Iterator[Segmenter]:
    before = torch.get_num_threads()
    with segmenter_of(network) as segmenter:
        yield segmenter
    torch.set_num_threads(before)


def sample_images() -> list[Image]:
    """Blobs, one image for each of ``SIZES``."""
    rng = np.random.default_rng(0)
    coarse = [rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8) for height, width in SIZES]
    return [c.repeat(8, 0).repeat(8, 1)[:h, :w] for c, (h, w) in zip(coarse, SIZES, strict=True)]


BOXES = [
    [Box(10, 10, 60, 50), Box(3.5, 20.25, 120, 90), Box(-20, -5, 400, 97)],
    [],
    [Box(30, 30, 70, 74), Box(0, 0, 75, 75)],
]


def same(found: SegmentedBox, wanted: SegmentedBox) -> None:
    """Masks may differ where a logit is zero to rounding, which no pixel of these is."""
    assert np.array_equal(found.mask, wanted.mask)
    assert found.score == pytest.approx(wanted.score, abs=2e-6)


def test_every_box_gets_a_mask_of_its_images_size(segmenter: Segmenter) -> None:
    """In the order of the boxes; an image without boxes gets an empty list."""
    found = segmenter.decode(segmenter.encode(sample_images()), BOXES)
    assert [len(of_one) for of_one in found] == [3, 0, 2]
    for of_one, size in zip(found, SIZES, strict=True):
        assert all(box.mask.shape == size and box.mask.dtype == np.bool_ for box in of_one)
    masks = [box.mask for of_one in found for box in of_one]
    assert all(0.02 < mask.mean() < 0.98 for mask in masks)
    assert not np.array_equal(masks[0], masks[1])


@pytest.mark.slow
def test_a_batch_of_mixed_sizes_is_its_single_images(segmenter: Segmenter) -> None:
    """Nothing of one camera's image is in another's masks."""
    images = sample_images()
    together = segmenter.decode(segmenter.encode(images), BOXES)
    for image, boxes, of_one in zip(images, BOXES, together, strict=True):
        (alone,) = segmenter.decode(segmenter.encode([image]), [boxes])
        for found, wanted in zip(of_one, alone, strict=True):
            same(found, wanted)


@pytest.mark.slow
def test_chunks_change_nothing_but_memory(network: EfficientVitSam, segmenter: Segmenter) -> None:
    """Two boxes and one image at a time: as many runs as that takes, none larger, the same masks."""
    seen: list[int] = []
    hook = network.mask_decoder.register_forward_pre_hook(lambda _module, inputs: seen.append(len(inputs[0])))
    chunked = segmenter_of(network, max_boxes_at_once=2, max_images_at_once=1)
    found = chunked.decode(chunked.encode(sample_images()), BOXES)
    hook.remove()
    assert seen == [2, 2, 1]
    wanted = segmenter.decode(segmenter.encode(sample_images()), BOXES)
    for ours, theirs in zip(chain(*found), chain(*wanted), strict=True):
        same(ours, theirs)


@pytest.mark.parametrize("multimask", [False, True])
def test_masks_are_those_of_the_official_steps(network: EfficientVitSam, multimask: bool) -> None:
    """One image and one box at a time, every step written out: scale, decode, resize, cut, resize, above zero."""
    segmenter, image, box = segmenter_of(network, multimask=multimask), sample_images()[0], BOXES[0][1]
    ((found,),) = segmenter.decode(segmenter.encode([image]), [[box]])
    height, width = image.shape[:2]
    scale = 1024 / max(height, width)
    framed = (int(height * scale + 0.5), int(width * scale + 0.5))
    x, y = framed[1] / width, framed[0] / height
    with torch.inference_mode():
        embedded = network(torch.from_numpy(to_network([image], segmenter.model.spec)))
        corners = torch.tensor([[box.x0 * x, box.y0 * y, box.x1 * x, box.y1 * y]])
        logits, iou = network.decoder(multimask=multimask)(embedded, corners, torch.tensor([0]))
        best = int(iou[0].argmax())
        whole = interpolate(logits[:, best : best + 1], (1024, 1024), mode="bilinear", align_corners=False)
        cut = whole[..., : framed[0], : framed[1]]
        mask = interpolate(cut, (height, width), mode="bilinear", align_corners=False)[0, 0] > 0
    assert iou.shape == (1, 3 if multimask else 1)
    assert np.array_equal(found.mask, mask.numpy())
    assert found.score == pytest.approx(float(iou[0, best]), abs=1e-6)


def test_images_without_any_box_cost_no_decoding(segmenter: Segmenter) -> None:
    """Lists of nothing."""
    assert segmenter.decode(segmenter.encode(sample_images()), [[], [], []]) == [[], [], []]


@pytest.mark.parametrize(
    ("box", "why"),
    [
        (Box(math.nan, 0, 10, 10), "not finite"),
        (Box(0, 0, math.inf, 10), "not finite"),
        (Box(10, 5, 10, 20), "empty"),
        (Box(20, 5, 10, 20), "empty"),
        (Box(0, 20, 10, 20), "empty"),
        (Box(128, 0, 140, 10), "outside"),
        (Box(-9, 0, 0, 10), "outside"),
    ],
)
def test_boxes_that_mean_nothing_are_refused(segmenter: Segmenter, box: Box, why: str) -> None:
    """One line with the numbers and the image's size; nothing is decoded."""
    encoded = segmenter.encode(sample_images()[:1])
    with pytest.raises(BoxError, match=rf"in an image of 128x96 px: .*{why}"):
        segmenter.decode(encoded, [[Box(0, 0, 5, 5), box]])


def test_each_image_needs_its_list_of_boxes(segmenter: Segmenter) -> None:
    """Else boxes could go to the wrong image."""
    with pytest.raises(BoxError, match="boxes of 2 images were given, but 3 are encoded"):
        segmenter.decode(segmenter.encode(sample_images()), BOXES[:2])


def test_images_that_no_network_takes_are_refused(segmenter: Segmenter) -> None:
    """Before anything is computed."""
    with pytest.raises(ImageError, match="uint8"):
        segmenter.encode([sample_images()[0].astype(np.float32)])
    with pytest.raises(ImageError, match="at least one"):
        segmenter.encode([])


@pytest.mark.slow
def test_several_threads_may_call_at_once(segmenter: Segmenter) -> None:
    """Each gets its own answer."""
    images, answers = sample_images(), {}

    def work(number: int) -> None:
        answers[number] = segmenter.decode(segmenter.encode([images[number]]), [BOXES[number]])[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wanted = segmenter.decode(segmenter.encode(images), BOXES)
    for number in (0, 2):
        for ours, theirs in zip(answers[number], wanted[number], strict=True):
            same(ours, theirs)


def test_a_closed_segmenter_loads_again_when_it_is_used(network: EfficientVitSam) -> None:
    """Masks are the same; between the two it holds no network."""
    loads = []
    segmenter = Segmenter(
        SegmenterSettings(device="cpu", threads=1), network=lambda: loads.append(1) or network, machine=NO_GPU
    )
    encoded = segmenter.load().encode(sample_images()[:1])
    ((before,),) = segmenter.decode(encoded, [BOXES[0][:1]])
    segmenter.close()
    assert segmenter.describe() == "efficientvit_sam_l0, not loaded yet"
    ((after,),) = segmenter.decode(encoded, [BOXES[0][:1]])
    same(after, before)
    assert len(loads) == 2
    assert "on the CPU, 1 thread, fp32" in segmenter.describe()


def test_closing_does_not_disturb_a_call_that_is_running(network: EfficientVitSam) -> None:
    """Another thread closes the segmenter during the first run of boxes: the second run gives its masks, too."""
    settings = SegmenterSettings(device="cpu", threads=1, max_boxes_at_once=1)
    with Segmenter(settings, network=lambda: network, machine=NO_GPU) as segmenter:
        encoded, boxes = segmenter.encode(sample_images()[:1]), [BOXES[0][:2]]
        assert len(boxes[0]) == 2
        (expected,) = segmenter.decode(encoded, boxes)
        runs: list[int] = []

        def close_meanwhile(*_: object) -> None:
            runs.append(1)
            if len(runs) == 1:
                other = threading.Thread(target=segmenter.close)
                other.start()
                other.join()

        hook = network.mask_decoder.register_forward_pre_hook(close_meanwhile)
        try:
            (found,) = segmenter.decode(encoded, boxes)
        finally:
            hook.remove()
    assert len(runs) == 2
    for ours, theirs in zip(found, expected, strict=True):
        same(ours, theirs)


def test_settings_that_cannot_be_met_are_refused_at_once() -> None:
    """A name that does not exist, and a GPU that is not there."""
    with pytest.raises(UnknownModel, match='no segmenter "tiny"'):
        Segmenter(SegmenterSettings(name="tiny"))
    with pytest.raises(SettingsError, match='device = "cuda": torch can use no GPU here'):
        Segmenter(SegmenterSettings(device="cuda"), machine=NO_GPU)
    with pytest.raises(SettingsError, match="no GPU"):  # a driver alone does not help
        Segmenter(SegmenterSettings(device="cuda"), machine=replace(NO_GPU, cuda_devices=("NVIDIA H100",)))


SHOWN = replace(NO_GPU, cuda_devices=("NVIDIA H100",), torch_version="2.13.0+cu130")
"""The driver shows a card, and torch was built for one."""


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where torch can use no GPU, and here it can")
def test_a_card_that_torch_cannot_use_costs_one_line(
    network: EfficientVitSam, caplog: pytest.LogCaptureFixture
) -> None:
    """An old driver, or CUDA_VISIBLE_DEVICES: "auto" takes the CPU, "cuda" is an error that says why."""
    wanted = segmenter_of(network).load()
    with Segmenter(SegmenterSettings(threads=1), network=lambda: network, machine=SHOWN) as segmenter:
        assert "on the CPU, 1 thread" in segmenter.describe()
        found = segmenter.decode(segmenter.encode(sample_images()[:1]), BOXES[:1])
    for ours, theirs in zip(found[0], wanted.decode(wanted.encode(sample_images()[:1]), BOXES[:1])[0], strict=True):
        same(ours, theirs)
    warned = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warned) == 1
    assert "runs on the CPU: efficientvit_sam_l0 cannot use NVIDIA H100: torch" in warned[0]
    with pytest.raises(EngineError, match=r"cannot use NVIDIA H100.*finds no CUDA device"):
        Segmenter(SegmenterSettings(device="cuda"), network=lambda: network, machine=SHOWN).load()


def test_a_card_without_room_costs_one_line(network: EfficientVitSam, caplog: pytest.LogCaptureFixture) -> None:
    """The network is made anew for the CPU: the first may have been changed already."""
    made: list[EfficientVitSam] = []

    class Small(Segmenter):
        def _on(self, device: Literal["cpu", "cuda"]) -> SegmenterNetwork:
            if device == "cuda":
                made.append(self._make_network())
                raise OutOfDeviceMemory("no room")
            return super()._on(device)

    with Small(SegmenterSettings(threads=1), lambda: made.append(network) or network, SHOWN) as segmenter:
        assert "on the CPU" in segmenter.describe()
    assert "runs on the CPU: no room" in caplog.text
    assert len(made) == 3


@pytest.mark.skipif(not hasattr(torch.backends.cudnn, "conv"), reason="torch before 2.9 cannot be asked")
def test_float32_is_float32_in_both_halves() -> None:
    """cuDNN's own default is TF32, which halves the digits."""
    found: list[str] = []
    asking, black = narrow(), np.zeros((1, 3, 512, 512), np.float32)
    for part in (asking.image_encoder, asking.mask_decoder):
        part.register_forward_pre_hook(lambda *_: found.append(torch.backends.cudnn.conv.fp32_precision))
    halves = SegmenterNetwork("narrow", asking, device=torch.device("cpu"))
    halves.decode(halves.encode(black), np.array([[100, 100, 600, 500]], np.float32), np.array([0]))
    assert found == ["ieee", "ieee"]


def test_half_precision_on_a_cpu_is_not_used(network: EfficientVitSam, caplog: pytest.LogCaptureFixture) -> None:
    """It would be slower and worse; the log says so."""
    with segmenter_of(network, precision="fp16") as segmenter:
        assert segmenter.describe().endswith("fp32")
    assert "fp16 is for GPUs" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_way_of_half_precision_gives_nearly_the_same_masks(network: EfficientVitSam) -> None:
    """What a GPU is asked to do, on the CPU: encoder and mask decoder in half, positions in float32."""
    pixels = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(3)).numpy()
    boxes, index = np.array([[100, 100, 600, 500], [400, 30, 1000, 760]], np.float32), np.array([0, 0])
    logits = []
    for precision in ("fp32", "fp16"):
        halves = SegmenterNetwork("narrow", narrow(), device=torch.device("cpu"), precision=precision)
        found, scores = halves.decode(halves.encode(pixels), boxes, index)
        assert found.dtype == torch.float32
        assert scores.dtype == np.float32
        assert halves.describe().endswith(precision)
        logits.append(found)
    assert float((logits[1] - logits[0]).abs().mean()) < 0.03 * float(logits[0].std())


def test_missing_weights_are_an_error_that_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When they are loaded, not when the segmenter is made."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path))
    segmenter = Segmenter(SegmenterSettings(device="cpu"), machine=NO_GPU)
    with pytest.raises(WeightsError, match="depthstream models pull efficientvit_sam_l0"):
        segmenter.load()


def test_importing_the_segmenter_does_not_load_torch() -> None:
    """Nor does making one."""
    code = (
        "import sys; from stream.segmentation.segmenter import Segmenter;"
        "from stream.segmentation.settings import SegmenterSettings;"
        "Segmenter(SegmenterSettings()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_real_l0_runs_with_random_weights(caplog: pytest.LogCaptureFixture) -> None:
    """Speed is all that they are for, and everybody is told; masks still depend on the box and are finite."""
    settings = SegmenterSettings(weights="random", device="cpu", threads=1)
    with Segmenter(settings, machine=NO_GPU) as segmenter:
        encoded = segmenter.encode(sample_images()[:1])
        assert encoded.embeddings.shape == (1, 256, 64, 64)
        ((first, second),) = segmenter.decode(encoded, [[Box(0, 0, 40, 40), Box(60, 40, 128, 96)]])
        assert "RANDOM WEIGHTS" in segmenter.describe()
    assert math.isfinite(first.score)
    assert first.mask.shape == tuple(Size(*SIZES[0]))
    assert first.score != second.score
    assert "random weights" in caplog.text
