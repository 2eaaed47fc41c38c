"""Frozen and black images are found and counted, and each policy does what it says."""

from __future__ import annotations

import itertools
from functools import cache

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.clock import NS_PER_S, Stamp
from stream.frames import Dropped, Frame, Intrinsics, Size
from stream.settings import IntegritySettings
from stream.sources.health import Health
from stream.sources.integrity import FreezeDetector, check_integrity, is_black

H, W = 180, 320
FPS = 10


@cache
def noise(seed: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """Images with sensor noise: no two are alike."""
    return np.random.default_rng(seed).integers(60, 200, (*size, 3), np.uint8)


def frame(image: np.ndarray, seq: int, integrity: str = "clean", **more: object) -> Frame:
    stamp = Stamp(1_000 * NS_PER_S + seq * NS_PER_S // FPS, 0)
    return Frame(image, "front", seq, stamp, integrity=integrity, **more)


def run(frames: list[Frame | Dropped], **policies: object) -> list[Frame | Dropped]:
    return list(check_integrity(iter(frames), IntegritySettings(**policies), Health("front")))


def verdicts(images: list[np.ndarray], **policies: object) -> list[str]:
    return [item.integrity for item in run([frame(image, seq) for seq, image in enumerate(images)], **policies)]


def test_an_image_is_frozen_once_it_stayed_for_longer_than_the_set_time() -> None:
    """At 10 images a second and 3 s, images 1 to 30 repeat number 0 and are clean; from 31 on they are frozen."""
    assert verdicts([noise(0).copy() for _ in range(36)]) == ["clean"] * 31 + ["frozen"] * 5


def test_a_new_image_ends_the_freeze() -> None:
    """The freeze ends at once, and the time starts again with the new image."""
    seen = verdicts([noise(0)] * 8 + [noise(1)] * 8, frozen_after_s=0.5)
    assert seen == (["clean"] * 6 + ["frozen"] * 2) * 2


def test_a_tainted_image_in_between_ends_the_freeze_as_well() -> None:
    """Another image ends the freeze, damaged or not."""
    frames = [frame(noise(int(seq == 4)), seq, "tainted" if seq == 4 else "clean") for seq in range(10)]
    assert [item.integrity for item in run(frames, frozen_after_s=0.55)] == ["clean"] * 4 + ["tainted"] + ["clean"] * 5


def test_the_frozen_time_is_the_stamps_not_the_count() -> None:
    """With an image a minute the second equal one is frozen; at a high rate many may repeat."""
    images = [noise(0), noise(0)]
    slow = [Frame(image, "front", i, Stamp(i * 60 * NS_PER_S, 0)) for i, image in enumerate(images)]
    fast = [Frame(images[0], "front", i, Stamp(i * NS_PER_S // 1000, 0)) for i in range(1000)]
    assert [item.integrity for item in run(slow)] == ["clean", "frozen"]
    assert {item.integrity for item in run(fast)} == {"clean"}


@settings(deadline=None)
@given(y=st.integers(0, H - 1), x=st.integers(0, W - 1), channel=st.integers(0, 2))
def test_one_changed_value_anywhere_is_a_new_image(y: int, x: int, channel: int) -> None:
    """The sampled grid is only the first check."""
    still, stillness = noise(0), FreezeDetector(1.0)
    other = still.copy()
    other[y, x, channel] ^= 1
    assert not stillness.is_frozen(frame(still, 0))
    assert not stillness.is_frozen(frame(other, 20))
    assert stillness.is_frozen(frame(other.copy(), 40))


def test_images_of_another_size_are_compared_with_nothing() -> None:
    """A change of size starts anew, even if all images have one colour."""
    sizes = [(H, W), (H - 1, W), (W, H), (H // 2, W), (1, 1), (1, 7), (2, 2)]
    gray = [np.full((*size, 3), 90, np.uint8) for size in sizes]
    assert verdicts(gray, frozen_after_s=0.01) == ["clean"] * len(sizes)


@pytest.mark.parametrize("level", [0, 1, 16, 20])
def test_one_dark_level_is_black(level: int) -> None:
    """Both 0 and 16 are black: some cameras confuse limited and full range."""
    assert is_black(np.full((H, W, 3), level, np.uint8))


def test_a_lid_with_a_trace_of_noise_and_the_cameras_own_text_is_black() -> None:
    """Two lines of text take 0.2 % of the image."""
    image = np.random.default_rng(0).integers(0, 3, (H, W, 3)).astype(np.uint8)
    image[10:16, 20:40] = 255
    assert is_black(image)


def night(spread: float) -> np.ndarray:
    image = np.random.default_rng(0).normal(8, spread, (H, W, 3))
    return image.clip(0, 255).astype(np.uint8)


def lamps() -> np.ndarray:
    image = np.zeros((H, W, 3), np.uint8)
    image[50:70, 100:130] = 240
    return image


@pytest.mark.parametrize("image", [night(2.0), night(4.0), lamps(), np.full((H, W, 3), 21, np.uint8), noise(0)])
def test_an_image_with_any_content_is_not_black(image: np.ndarray) -> None:
    """Examples are sensor noise at night, a lamp on 1 % of the image, and an even dark gray."""
    assert not is_black(image)


def test_black_goes_before_frozen_and_tainted_before_both() -> None:
    """A dead camera's black never changes, and black after a lost packet may be damage."""
    black = np.zeros((H, W, 3), np.uint8)
    frames = [frame(black, seq, "tainted" if seq % 2 else "clean") for seq in range(60)]
    assert [item.integrity for item in run(frames)] == ["black", "tainted"] * 30


@pytest.mark.parametrize("fault", ["tainted", "black", "frozen"])
def test_pass_flags_drop_leaves_out_and_hold_shows_the_last_good_one(fault: str) -> None:
    """The held image keeps its stamp, ground truth and intrinsics, and takes the number and integrity of the other."""
    spoiled = np.zeros((H, W, 3), np.uint8) if fault == "black" else noise(0)
    ground_truth, lens = np.ones((H, W), np.float32), Intrinsics(300, 300, 160, 90, Size(H, W))
    good = frame(noise(0), 0, ground_truth=ground_truth, intrinsics=lens)
    bad = frame(spoiled, 20, "tainted" if fault == "tainted" else "clean")

    def policy(name: str) -> Frame | Dropped:
        first, second = run([good, bad], frozen_after_s=1.0, **{fault: name})
        assert first is good
        return second

    passed, dropped, held = policy("pass"), policy("drop"), policy("hold")
    assert passed.image is bad.image
    assert (passed.seq, passed.stamp, passed.integrity) == (20, bad.stamp, fault)
    assert isinstance(dropped, Dropped)
    assert dropped.reason == fault
    assert [f.seq for f in dropped.frames] == [20]
    assert held.image is good.image
    assert held.ground_truth is ground_truth
    assert held.intrinsics is lens
    assert (held.seq, held.stamp, held.integrity) == (20, good.stamp, fault)


def test_while_there_is_no_good_image_yet_hold_drops() -> None:
    """No image is ever invented."""
    items = run([frame(noise(0), 0, "tainted"), frame(np.zeros((H, W, 3), np.uint8), 1)], tainted="hold", black="hold")
    assert [(type(item), item.reason) for item in items] == [(Dropped, "tainted"), (Dropped, "black")]


def test_an_image_of_another_size_is_not_held() -> None:
    """It is not held after the size has changed back either: it is too old by then."""
    other = (W, H)
    frames = [frame(noise(0), 0), frame(noise(1, other), 1, "tainted"), frame(noise(2), 2, "tainted")]
    frames += [frame(noise(3), 3), frame(noise(4), 4, "tainted")]
    kinds = [(type(item).__name__, item.frames[0].seq) for item in run(frames, tainted="hold")]
    assert kinds == [("Frame", 0), ("Dropped", 1), ("Dropped", 2), ("Frame", 3), ("Frame", 4)]


def test_each_image_is_counted_once_whatever_becomes_of_it() -> None:
    """Dropped and replaced images count; frames that the source dropped itself pass uncounted."""
    health = Health("front")
    lost = Dropped((frame(noise(9), 9),), "late")
    frames = [frame(noise(0), 0), frame(noise(1), 1, "tainted"), frame(np.zeros((H, W, 3), np.uint8), 2), lost]
    items = list(check_integrity(iter(frames), IntegritySettings(tainted="drop", black="hold"), health))
    assert items[-1] is lost
    assert health.snapshot().integrity == {"clean": 1, "tainted": 1, "frozen": 0, "black": 1}


POLICIES = st.sampled_from(["pass", "drop", "hold"])
KINDS = st.sampled_from(["new", "same", "black", "tainted", "other size"])


@settings(deadline=None)
@given(st.lists(KINDS, max_size=40), POLICIES, POLICIES, POLICIES)
def test_one_frame_in_one_out_in_order(kinds: list[str], tainted: str, frozen: str, black: str) -> None:
    """No frame is lost, doubled or renumbered, and no bad image is passed under hold or drop."""
    images = {"same": noise(0), "black": np.zeros((H, W, 3), np.uint8), "other size": noise(1, (W, H))}
    frames = [
        frame(images[kind] if kind in images else noise(seq + 2), seq, "tainted" if kind == "tainted" else "clean")
        for seq, kind in enumerate(kinds)
    ]
    items = run(frames, tainted=tainted, frozen=frozen, black=black, frozen_after_s=0.15)
    policies = {"tainted": tainted, "frozen": frozen, "black": black, "clean": "pass"}
    assert [f.seq for item in items for f in item.frames] == list(range(len(kinds)))
    for item, came in zip(items, frames, strict=True):
        if isinstance(item, Dropped):
            assert policies[item.reason] in ("drop", "hold")
        elif policies[item.integrity] == "pass":
            assert item.image is came.image
        else:
            assert policies[item.integrity] == "hold"
            assert item.size == came.size
            assert item.stamp.mono_ns < came.stamp.mono_ns


def test_closing_the_check_closes_the_source() -> None:
    """It happens at once, in the same thread: an abandoned generator must not keep a camera open."""
    closed = []

    def endless() -> object:
        try:
            seq = 0
            while True:
                yield frame(noise(seq), seq)
                seq += 1
        finally:
            closed.append(True)

    camera = endless()
    items = check_integrity(camera, IntegritySettings(), Health("front"))
    next(items)
    items.close()
    assert closed == [True]


def encoded(originals: list[np.ndarray], **options: str) -> list[np.ndarray]:
    """Images after x264 and back, as a network camera delivers them."""
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt, coder.framerate = W, H, "yuv420p", FPS
    coder.options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", **options}
    decoder, images = av.CodecContext.create("h264", "r"), []
    for pts, image in enumerate([*originals, None]):
        raw = av.VideoFrame.from_ndarray(image, format="bgr24") if image is not None else None
        if raw is not None:
            raw.pts = pts
        for packet in coder.encode(raw):
            images += [decoded.to_ndarray(format="bgr24") for decoded in decoder.decode(packet)]
    images += [decoded.to_ndarray(format="bgr24") for decoded in decoder.decode(None)]
    assert len(images) == len(originals)
    return images


def grain(base: np.ndarray, count: int, spread: float) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(base + rng.normal(0, spread, base.shape)).clip(0, 255).astype(np.uint8) for _ in range(count)]


def soft_scene() -> np.ndarray:
    y, x = np.mgrid[:H, :W]
    return np.stack([110 + 60 * np.sin(x / 23) * np.cos(y / 17)] * 3, axis=-1)


def test_a_still_scene_behind_a_coarse_encoder_is_not_frozen() -> None:
    """At crf 38 x264 repeats whole images despite the noise, but never beyond the next key frame (here 2 s)."""
    images = encoded(grain(soft_scene(), 60, 2.0), crf="38", g="20")
    repeats = sum(np.array_equal(a, b) for a, b in itertools.pairwise(images))
    assert repeats > 30
    assert set(verdicts(images)) == {"clean"}


def test_one_image_sent_again_and_again_is_frozen_behind_the_encoder() -> None:
    """This is what a stuck server does: each packet says "as before"."""
    images = encoded([soft_scene().astype(np.uint8)] * 60, qp="30", g="600")
    assert verdicts(images)[-20:] == ["frozen"] * 20


def test_black_with_sensor_noise_is_black_behind_the_encoder_and_a_dim_wall_is_not() -> None:
    """The limited range's 16 decodes to 0, and noise below it is clipped."""
    lid, wall = np.zeros((H, W, 3)), np.full((H, W, 3), 8.0)
    assert all(is_black(image) for image in encoded(grain(lid, 5, 3.0), crf="23"))
    assert not any(is_black(image) for image in encoded(grain(wall, 5, 4.0), crf="23"))
