"""The cameras at this machine, and what each of them offers."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from stream.frames import Size

if TYPE_CHECKING:
    from stream.sources.webcam.v4l2_device import VideoNode

FLUENT_FPS = 24.0
AV_FORMATS = {"darwin": "avfoundation", "win32": "dshow"}


@dataclass(frozen=True, slots=True)
class Mode:
    """An image size, and the rates at which it may be had."""

    size: Size
    fps: tuple[float, ...]
    """The highest first; empty where the driver does not say."""

    @property
    def best_fps(self) -> float:
        """0: unknown."""
        return max(self.fps, default=0.0)

    def __str__(self) -> str:
        return f"{self.size} at {self.best_fps:.3g} fps" if self.fps else str(self.size)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """One way in which the camera sends images."""

    fourcc: str
    """The driver's four letters."""
    name: str
    """As ``pixel_format`` in settings; empty: we cannot read it."""
    modes: tuple[Mode, ...]
    """The largest first."""
    any_size: bool = False
    """The modes are the largest and the smallest, and any size between them may be had."""

    def best_fps(self, size: Size) -> float | None:
        """The highest rate at this size, 0 if unknown; None if the size is not offered."""
        for mode in self.modes:
            fits = mode.size.width >= size.width and mode.size.height >= size.height
            if mode.size == size or (self.any_size and fits):
                return mode.best_fps
        return None

    def best(self) -> tuple[Mode, ...]:
        """The largest mode, and the largest fluent one if that is another."""
        fluent = [mode for mode in self.modes if mode.best_fps >= FLUENT_FPS]
        return tuple(dict.fromkeys([*self.modes[:1], *fluent[:1]]))

    def __str__(self) -> str:
        return f"{self.name or self.fourcc.strip()} {', '.join(str(mode) for mode in self.best())}".strip()


@dataclass(frozen=True, slots=True)
class Device:
    """A camera."""

    path: str
    """For ``device`` in settings."""
    name: str
    driver: str = ""
    formats: tuple[PixelFormat, ...] = ()
    """In the driver's order."""
    trouble: str = ""
    """Why nothing more is known of it."""


class DeviceInfo(Protocol):
    """What PyAV tells of a device."""

    description: str
    media_types: list[str]


def list_devices(platform: str = sys.platform) -> tuple[Device, ...]:
    """The cameras of this machine. Opens each for a moment, which disturbs no program that uses it.

    On Linux with all formats, sizes and rates; on other systems, names only, as far as FFmpeg can tell.
    """
    if platform == "linux":
        nodes = sorted((str(path) for path in Path("/dev").glob("video[0-9]*")), key=_number)
        return tuple(device for path in nodes if (device := look(path)) is not None)
    return numbered(_ask_ffmpeg(AV_FORMATS.get(platform, "")))


def look(path: str) -> Device | None:
    """The camera behind a Linux device node; None for a node that gives no images (metadata, output, a codec)."""
    from stream.sources.webcam import v4l2_abi as abi
    from stream.sources.webcam.v4l2_device import VideoNode

    try:
        node = VideoNode(path)
    except OSError as error:
        return Device(path, _kernel_name(path), trouble=_trouble(error))
    try:
        capability = node.capability()
        if not capability.of_node & abi.CAP_VIDEO_CAPTURE:
            return None
        name, driver = (text.decode(errors="replace") for text in (capability.card, capability.driver))
        return Device(path, name, driver, formats_of(node))
    except OSError as error:
        return Device(path, _kernel_name(path), trouble=_trouble(error))
    finally:
        node.close()


def formats_of(node: VideoNode) -> tuple[PixelFormat, ...]:
    """Every pixel format of an open camera with its sizes and rates. Raises OSError."""
    from stream.sources.webcam import v4l2_abi as abi
    from stream.sources.webcam.pixel_formats import NAMES

    formats = []
    for code in node.fourccs():
        sizes, any_size = node.sizes(code)
        modes = [Mode(size, tuple(sorted(node.rates(code, size), reverse=True))) for size in sizes]
        modes.sort(key=lambda mode: mode.size.width * mode.size.height, reverse=True)
        letters = abi.fourcc(code)
        formats.append(PixelFormat(letters, NAMES.get(letters, ""), tuple(modes), any_size))
    return tuple(formats)


def numbered(infos: Iterable[DeviceInfo]) -> tuple[Device, ...]:
    """Cameras by their number, which is what OpenCV opens."""
    cameras = [info for info in infos if "video" in info.media_types and "screen" not in info.description.lower()]
    return tuple(Device(str(number), info.description) for number, info in enumerate(cameras))


def names_of(devices: Sequence[Device]) -> str:
    """``/dev/video0 (Integrated Camera), ...`` for messages."""
    return ", ".join(f"{device.path} ({device.name})" if device.name else device.path for device in devices)


def _ask_ffmpeg(av_format: str) -> Sequence[DeviceInfo]:
    import av
    from av.device import enumerate_input_devices

    try:
        return enumerate_input_devices(av_format)
    except (av.error.FFmpegError, OSError, ValueError):
        return []


def _trouble(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission: sudo usermod -aG video $USER, and log in again"
    return (error.strerror or type(error).__name__).lower()


def _kernel_name(path: str) -> str:
    try:
        return Path("/sys/class/video4linux", Path(path).name, "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: str) -> int:
    return int(re.sub(r"\D", "", path))
