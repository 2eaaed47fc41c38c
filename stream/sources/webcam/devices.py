"""Lists the cameras of this machine with the pixel formats, sizes and rates that each one offers."""

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
"""Frames per second from which video looks fluent."""
AV_FORMATS = {"darwin": "avfoundation", "win32": "dshow"}
"""FFmpeg's input devices by platform."""


@dataclass(frozen=True, slots=True)
class Mode:
    """An image size and the rates at which the camera offers it."""

    size: Size
    fps: tuple[float, ...]
    """Frames per second, the highest first; empty if the driver does not list them."""

    @property
    def best_fps(self) -> float:
        """Frames per second; 0: unknown."""
        return max(self.fps, default=0.0)

    def __str__(self) -> str:
        return f"{self.size} at {self.best_fps:.3g} fps" if self.fps else str(self.size)


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A pixel format that the camera offers."""

    fourcc: str
    """The driver's code of four letters."""
    name: str
    """The name for ``pixel_format`` in settings; empty: this program cannot read the format."""
    modes: tuple[Mode, ...]
    """Sizes with their rates, the largest first."""
    any_size: bool = False
    """Any size is available between the two in ``modes``, the largest and the smallest."""

    def best_fps(self, size: Size) -> float | None:
        """The highest rate at this size, frames per second, 0 if unknown; None if the size is not offered."""
        for mode in self.modes:
            fits = mode.size.width >= size.width and mode.size.height >= size.height
            if mode.size == size or (self.any_size and fits):
                return mode.best_fps
        return None

    def best(self) -> tuple[Mode, ...]:
        """The largest mode, and the largest fluent one if they differ."""
        fluent = [mode for mode in self.modes if mode.best_fps >= FLUENT_FPS]
        return tuple(dict.fromkeys([*self.modes[:1], *fluent[:1]]))

    def __str__(self) -> str:
        return f"{self.name or self.fourcc.strip()} {', '.join(str(mode) for mode in self.best())}".strip()


@dataclass(frozen=True, slots=True)
class Device:
    """A camera of this machine."""

    path: str
    """The value for ``device`` in settings."""
    name: str
    driver: str = ""
    formats: tuple[PixelFormat, ...] = ()
    """Pixel formats in the driver's order."""
    trouble: str = ""
    """Why its formats could not be listed; empty if they could."""


class DeviceInfo(Protocol):
    """The part of PyAV's device description that is used here."""

    description: str
    media_types: list[str]


def list_devices(platform: str = sys.platform) -> tuple[Device, ...]:
    """The cameras of this machine. Opens each one briefly, which does not disturb a program that uses it.

    On Linux with all formats, sizes and rates; on other systems only the names that FFmpeg can list.
    """
    if platform == "linux":
        nodes = sorted((str(path) for path in Path("/dev").glob("video[0-9]*")), key=_number)
        return tuple(device for path in nodes if (device := probe(path)) is not None)
    return numbered_devices(_ffmpeg_devices(AV_FORMATS.get(platform, "")))


def probe(path: str) -> Device | None:
    """The camera behind a Linux device node; None for a node that captures no images (metadata, output, a codec)."""
    from stream.sources.webcam import v4l2_abi as abi
    from stream.sources.webcam.v4l2_device import VideoNode

    try:
        node = VideoNode(path)
    except OSError as error:
        return Device(path, _kernel_name(path), trouble=_reason(error))
    try:
        capability = node.capability()
        if not capability.node_capabilities & abi.CAP_VIDEO_CAPTURE:
            return None
        name, driver = (text.decode(errors="replace") for text in (capability.card, capability.driver))
        return Device(path, name, driver, formats_of(node))
    except OSError as error:
        return Device(path, _kernel_name(path), trouble=_reason(error))
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


def numbered_devices(infos: Iterable[DeviceInfo]) -> tuple[Device, ...]:
    """Cameras by number, which is what OpenCV opens; screens are left out."""
    cameras = [info for info in infos if "video" in info.media_types and "screen" not in info.description.lower()]
    return tuple(Device(str(number), info.description) for number, info in enumerate(cameras))


def device_names(devices: Sequence[Device]) -> str:
    """``/dev/video0 (Integrated Camera), ...`` for messages."""
    return ", ".join(f"{device.path} ({device.name})" if device.name else device.path for device in devices)


def _ffmpeg_devices(av_format: str) -> Sequence[DeviceInfo]:
    import av
    from av.device import enumerate_input_devices

    try:
        return enumerate_input_devices(av_format)
    except (av.error.FFmpegError, OSError, ValueError):
        return []


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "no permission: sudo usermod -aG video $USER, and log in again"
    return (error.strerror or type(error).__name__).lower()


def _kernel_name(path: str) -> str:
    try:
        # Readable without a right to the device itself.
        return Path("/sys/class/video4linux", Path(path).name, "name").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _number(path: str) -> int:
    return int(re.sub(r"\D", "", path))
