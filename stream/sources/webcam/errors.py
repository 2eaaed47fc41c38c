"""Translates the driver's error numbers into SourceErrors: one line each, with what to do next."""

from __future__ import annotations

import errno
from collections.abc import Sequence

from stream.errors import SourceError, SourceStalled
from stream.sources.webcam.devices import Device, PixelFormat, device_names, list_devices

_NO_DEVICE = (errno.ENOENT, errno.ENODEV, errno.ENXIO)
_OPENING = {
    errno.EBUSY: "another program uses it; close that (fuser -v {path} names it)",
    errno.EACCES: "no permission; sudo usermod -aG video $USER, and log in again",
    errno.EPERM: "no permission; pass the device into the container: --device {path}",
    errno.ENOTTY: "it is no camera; depthstream devices lists those that are",
    errno.ENOSPC: 'the USB bus has no room for it; take a smaller size, pixel_format = "mjpeg" or another port',
    errno.ENOMEM: "the driver has no memory for it; take a smaller size",
}
REPLUG = "unplug it and plug it in again"
_READING = {
    errno.ENODEV: "it was unplugged",
    errno.ENXIO: "it was unplugged",
    errno.EIO: f"the driver gave up; {REPLUG}",
}


def on_opening(error: OSError, path: str) -> SourceError:
    """The error for an exception from opening the device or starting its stream."""
    if error.errno in _NO_DEVICE:
        return SourceError(f"webcam {path}: no such camera; {available_cameras(list_devices())}")
    advice = _OPENING.get(error.errno or 0)
    reason = advice.format(path=path) if advice else f"it does not start ({_system_text(error)}); {REPLUG}"
    return SourceError(f"webcam {path}: cannot be opened: {reason}")


def on_reading(error: OSError, path: str) -> SourceError:
    """The error for an exception from reading the next image."""
    reason = _READING.get(error.errno or 0) or f"reading broke ({_system_text(error)}); {REPLUG}"
    return SourceError(f"webcam {path}: {reason}")


def stalled(path: str, limit_s: float, setting: str) -> SourceStalled:
    """The error for no image within ``limit_s``; ``setting`` is the name of that limit, ``stall_s`` or ``open_s``."""
    advice = f"check its cable and port, or raise {setting} if it is slow by nature"
    return SourceStalled(f"webcam {path}: no image for {limit_s:g} s; {advice}")


def unsupported_format(path: str, requested: str | None, formats: Sequence[PixelFormat]) -> SourceError:
    """The error for a pixel format that the camera does not offer or that cannot be read.

    ``requested``: None if no format was set and the camera offers none that can be read.
    """
    if requested is None:
        letters = ", ".join(offered.fourcc.strip() for offered in formats)
        return SourceError(f"webcam {path}: none of its pixel formats can be read here ({letters or 'it names none'})")
    names = ", ".join(dict.fromkeys(offered.name for offered in formats if offered.name))
    return SourceError(
        f'webcam {path}: does not offer pixel_format = "{requested}"; it offers {names or "none that can be read here"}'
    )


def available_cameras(devices: Sequence[Device]) -> str:
    """The cameras of this machine, for the end of a message."""
    if not devices:
        return "there is none at this machine; plug one in, or pass it into the container (--device /dev/video0)"
    return f"cameras here: {device_names(devices)}"


def _system_text(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
