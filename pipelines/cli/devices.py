"""`depthstream devices`: list the cameras attached to this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream.sources.webcam.devices import Device, PixelFormat, list_devices

MAX_FORMATS = 4
"""Pixel formats shown for each camera in the table; --json has all of them."""
NO_CAMERA = (
    "no camera at this machine: plug one in (lsusb shows whether the system sees it), or pass it into the container "
    "(--device /dev/video0); network cameras are not listed, their address goes into the settings"
)


def print_devices(as_json: bool) -> int:
    """Print every camera in a table, or as JSON with all formats, sizes and rates. Returns 0 even without a camera."""
    devices = list_devices()
    if as_json:
        print(json.dumps([_device_json(device) for device in devices], indent=2))
    elif devices:
        Console().print(_table(devices))
    else:
        print(NO_CAMERA)
    return 0


def _table(devices: Sequence[Device]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("device", "name", "images"):
        table.add_column(heading)
    for device in devices:
        images = device.trouble or "\n".join(_lines(device))
        table.add_row(*(Text(cell) for cell in (device.path, device.name, images)))  # Text: "[" in a name is no markup
    table.caption = 'in settings: source = "webcam", device = "..."    every size and rate: --json'
    table.caption_justify = "left"
    return table


def _lines(device: Device) -> list[str]:
    by_name: dict[str, PixelFormat] = {}
    for offered in device.formats:
        if offered.name:
            by_name.setdefault(offered.name, offered)
    lines = [str(offered) for offered in by_name.values()]
    more = [f"and {len(lines) - MAX_FORMATS} more"] if len(lines) > MAX_FORMATS else []
    return [*lines[:MAX_FORMATS], *more] or ["none that can be read here" if device.formats else ""]


def _device_json(device: Device) -> dict[str, object]:
    return {
        "device": device.path,
        "name": device.name,
        "driver": device.driver,
        "trouble": device.trouble,
        "formats": [_format_json(offered) for offered in device.formats],
    }


def _format_json(offered: PixelFormat) -> dict[str, object]:
    return {
        "pixel_format": offered.name or None,
        "fourcc": offered.fourcc,
        "any_size_between": offered.any_size,
        "modes": [
            {"width": mode.size.width, "height": mode.size.height, "fps": list(mode.fps)} for mode in offered.modes
        ],
    }
