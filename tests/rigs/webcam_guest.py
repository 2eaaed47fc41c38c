"""Runs in the virtual machine of tests/rigs/vivid.py, beside a camera: does things to it, and writes what was seen.

    python -m tests.rigs.webcam_guest RESULTS.json

Judges nothing: that is the business of test_webcam_rig.py. Must not import torch, which takes 20 s in there.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic, monotonic_ns, time_ns

from pipelines.cli.devices import print_devices
from stream.core.clock import NS_PER_S
from stream.frames import Frame
from stream.sources.health import Health
from stream.sources.reconnect import Reconnecting
from stream.sources.webcam.devices import list_devices, probe
from stream.sources.webcam.opencv_reader import Cv2Webcam
from tests.rigs.webcam_hands import (
    BREAK_AT,
    DEVICE,
    Facts,
    broken,
    camera,
    control,
    losing,
    read,
    refused,
    steps_s,
    warnings,
    works,
)

NOBODY = 65534
END_OF_FRAME, START_OF_EXPOSURE = 0, 1
BARS = (slice(340, 341), slice(40, None, 80))
"""Rows and columns in an image of 640x360: the middle of each of the eight bars, near the lower edge."""
CHECKS: dict[str, Callable[[], Facts]] = {}


def check(function: Callable[[], Facts]) -> Callable[[], Facts]:
    CHECKS[function.__name__] = function
    return function


def reading(width: int, height: int, count: int) -> Facts:
    ages_s: list[float] = []
    with camera(width=width, height=height) as source:
        frames = read(source, count, lambda frame: ages_s.append(frame.stamp.age_s()))
        about = source.describe()
    wall_ns = time_ns() - monotonic_ns()
    return {
        "about": about,
        "seqs": [frame.seq for frame in frames],
        "sizes": sorted({str(frame.size) for frame in frames}),
        "integrity": sorted({frame.integrity for frame in frames}),
        "stamps": [frame.stamp.source for frame in frames],
        "ages_s": ages_s,
        "steps_s": steps_s(frames),
        "wall_off_s": max(abs(f.stamp.unix_ns - f.stamp.mono_ns - wall_ns) / NS_PER_S for f in frames),
        "levels": [float(frame.image.mean()) for frame in frames],  # after closing: a copy, or the process dies here
        "whole": all(f.image.flags.c_contiguous and not f.image.flags.writeable for f in frames),
    }


@check
def small() -> Facts:
    control("timestamp_source", START_OF_EXPOSURE)
    try:
        return reading(640, 360, 60)
    finally:
        control("timestamp_source", END_OF_FRAME)


@check
def ahead() -> Facts:
    """vivid is set to report the end of a frame 0.9 frames ahead."""
    return reading(640, 360, 10)


@check
def large() -> Facts:
    return reading(1920, 1080, 8)


@check
def colours() -> Facts:
    """The eight bars in every readable pixel format."""
    device = probe(DEVICE)
    assert device is not None
    seen: Facts = {}
    for name in dict.fromkeys(offered.name for offered in device.formats if offered.name):
        with camera(width=640, height=360, pixel_format=name) as source:
            image = read(source, 2)[-1].image
            seen[name] = {"about": source.describe(), "bars": image[BARS][0].tolist()}
    return {"formats": seen}


@check
def slower_than_asked() -> Facts:
    with warnings() as logged, camera(width=1280, height=720, fps=30) as source:
        frames = read(source, 25)
        return {"about": source.describe(), "warnings": logged, "step_s": median(steps_s(frames))}


@check
def as_asked() -> Facts:
    with warnings() as logged, camera(width=640, height=360, fps=15, pixel_format="nv12") as source:
        frames = read(source, 10)
        return {"about": source.describe(), "warnings": logged, "step_s": median(steps_s(frames))}


@check
def fresh_after_a_pause() -> Facts:
    with camera(width=640, height=360) as source:
        time.sleep(2.0)  # the driver fills its buffers meanwhile
        ages_s: list[float] = []
        read(source, 1, lambda frame: ages_s.append(frame.stamp.age_s()))
    return {"age_s": ages_s[0]}


@check
def not_offered() -> Facts:
    return {"mjpeg": refused(camera(pixel_format="mjpeg")), "nonsense": refused(camera(pixel_format="blue"))}


@check
def busy() -> Facts:
    with camera() as source:
        facts = {"first": len(read(source, 2)), "second": refused(camera())}
    return facts | {"works_again": works()}


@check
def not_a_camera() -> Facts:
    cameras = {device.path for device in list_devices()}
    others = sorted(str(path) for path in Path("/dev").glob("video*") if str(path) not in cameras)
    return {"cameras": sorted(cameras), "others": {path: refused(camera(device=path)) for path in others}}


@check
def not_there() -> Facts:
    return {"error": refused(camera(device="9"))}


@check
def no_permission() -> Facts:
    os.seteuid(NOBODY)
    try:
        return {"error": refused(camera()), "listed": [device.trouble for device in list_devices()]}
    finally:
        os.seteuid(0)


@check
def unplugged() -> Facts:
    return broken(camera(), lambda: control("disconnect")) | {"works_again": works()}


@check
def driver_gives_up() -> Facts:
    return broken(camera(), lambda: control("inject_fatal_streaming_error")) | {"works_again": works()}


@check
def hangs() -> Facts:
    with contextlib.ExitStack() as hung:
        facts = broken(camera(stall_s=1.5), lambda: hung.enter_context(losing(100)))
    return facts | {"works_again": works()}


@check
def stops_while_it_hangs() -> Facts:
    stopping, stopped_at = threading.Event(), []

    def stop() -> None:
        stopped_at.append(monotonic())
        stopping.set()

    with camera() as source:
        read(source, 3)
        with losing(100):
            timer = threading.Timer(2.0, stop)
            timer.start()
            last = list(source.frames(stopping))
            took_s = monotonic() - stopped_at[0]
            timer.join()
    return {"took_s_to_stop": took_s, "frames": len(last), "works_again": works()}


@check
def half_of_the_images_lost() -> Facts:
    with losing(50), camera(width=640, height=360) as source:
        frames = read(source, 30)
        return {"about": source.describe(), "steps_s": steps_s(frames)}


@check
def bad_image() -> Facts:
    with camera(width=640, height=360) as source:
        seen: list[int] = []

        def break_one(frame: Frame) -> None:
            seen.append(frame.seq)
            if len(seen) == BREAK_AT:
                control("inject_v4l2_buf_flag_error")

        frames = read(source, 40, break_one)
        return {"integrity": [frame.integrity for frame in frames], "log": source.log_lines}


@check
def does_not_start() -> Facts:
    control("inject_vidioc_streamon_error")
    return {"error": refused(camera()), "works_again": works()}


@check
def no_buffers() -> Facts:
    control("inject_vidioc_reqbufs_error")
    return {"error": refused(camera()), "works_again": works()}


@check
def reconnects() -> Facts:
    """Run as in a pipeline; the camera is unplugged after the fifth frame and plugged in again."""
    health, stopping = Health("rig"), threading.Event()
    seqs: list[int] = []
    with Reconnecting(camera, health) as source:
        for item in source.frames(stopping):
            seqs += [frame.seq for frame in item.frames]
            if len(seqs) == BREAK_AT:
                control("disconnect")
            if len(seqs) == 21:
                stopping.set()
        seen = health.snapshot()
    return {"seqs": seqs, "reconnects": seen.reconnects, "about": seen.about}


@check
def by_opencv() -> Facts:
    with camera(Cv2Webcam, width=640, height=360) as source:
        frames = read(source, 10)
        bars = frames[-1].image[BARS][0].tolist()
        return {"about": source.describe(), "sizes": sorted({str(frame.size) for frame in frames}), "bars": bars}


@check
def listed() -> Facts:
    texts = []
    for as_json in (False, True):
        with contextlib.redirect_stdout(io.StringIO()) as output:
            print_devices(as_json)
        texts.append(output.getvalue())
    return {"table": texts[0], "json": json.loads(texts[1])}


@check
def left_behind() -> Facts:
    """The last check: open files and mappings of the camera after everything was closed."""
    files = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {
        "files": [name for name in files if "video" in name],
        "maps": [line for line in maps if "/dev/video" in line],
        "torch": "torch" in sys.modules,
        "threads": [thread.name for thread in threading.enumerate()],
    }


def run(function: Callable[[], Facts]) -> Facts:
    started = monotonic()
    try:
        facts = function()
    except Exception:  # noqa: BLE001  # one check that fails must not hide what the others saw
        facts = {"failed": traceback.format_exc()}
    return facts | {"took_s": round(monotonic() - started, 2)}


def main(results: Path) -> None:
    """Run every check; the results are written after each one, in case of a crash."""
    faulthandler.enable()
    seen: Facts = {}
    for name, function in CHECKS.items():
        sys.stdout.write(f"rig: {name}\n")
        sys.stdout.flush()
        seen[name] = run(function)
        results.write_text(json.dumps(seen, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
