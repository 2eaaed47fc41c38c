"""`depthstream rtsp` and `depthstream webcam`: live cameras without a config file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pipelines import rtsp, webcam
from pipelines.cli.page import web_at
from pipelines.cli.run import run_pipeline
from pipelines.components.window import Preview
from pipelines.live import LiveSettings
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.errors import UsageError
from stream.runtime.pipeline import Pipeline
from stream.sources.network.connection import RTSP_SCHEMES


@dataclass(frozen=True, slots=True)
class Asked:
    """What a webcam is asked for; it may give something else."""

    size: str | None
    """"640x480", width first."""
    fps: float | None
    pixel_format: str | None

    def settings(self) -> dict[str, Any]:
        """As in a config file. Raises UsageError for a size that is none."""
        asked: dict[str, Any] = {"fps": self.fps, "pixel_format": self.pixel_format}
        if self.size is not None:
            width, _, height = self.size.lower().partition("x")
            if not (width.isdigit() and height.isdigit()):
                raise UsageError(f"--size {self.size}: expected width x height, for example --size 640x480")
            asked |= {"width": int(width), "height": int(height)}
        return asked


def run_rtsp(
    urls: Sequence[str],
    *,
    transport: Literal["prefer_tcp", "tcp", "udp"],
    model: str,
    fov_deg: float | None,
    record: Path | None,
    window: bool,
    **how: Any,
) -> int:
    """Depth of all ``urls`` until Ctrl-C; ``how``: as for ``run_pipeline``; the exit status."""
    cameras = [
        {"source": _kind(url), "name": name, "url": url, "transport": transport}
        for url, name in zip(urls, names_of(urls), strict=True)
    ]
    data = {"pipeline": "rtsp", **_settings(cameras, model, fov_deg, record)}
    settings = parse(rtsp.RtspSettings, data, origin="depthstream rtsp")
    return _run(rtsp.build, settings, "depthstream rtsp", window=window, **how)


def run_webcam(
    devices: Sequence[str],
    asked: Asked,
    *,
    model: str,
    fov_deg: float | None,
    record: Path | None,
    window: bool,
    **how: Any,
) -> int:
    """Depth of the cameras at this machine until Ctrl-C; the exit status."""
    cameras = [
        {"source": "webcam", "name": name, "device": device, **asked.settings()}
        for device, name in zip(devices, names_of(devices), strict=True)
    ]
    data = {"pipeline": "webcam", **_settings(cameras, model, fov_deg, record)}
    settings = parse(webcam.WebcamSettings, data, origin="depthstream webcam")
    return _run(webcam.build, settings, "depthstream webcam", window=window, **how)


def _run(
    build: Callable[..., Pipeline],
    settings: LiveSettings,
    title: str,
    *,
    window: bool,
    web_address: str | None = None,
    **how: Any,
) -> int:
    """With a window or a page for the images, both, or neither; the exit status."""
    controls, cameras = ViewControls(settings.render.colormap), [camera.name for camera in settings.cameras]
    preview = Preview(controls) if window else None
    loop = preview.window(title, cameras) if preview else None
    web = web_at(web_address, settings.model, cameras, controls)
    return run_pipeline(build(settings, preview, web=web), window=loop, web=web, **how)


def names_of(places: Sequence[str]) -> list[str]:
    """A name for each camera: its host or device, numbered where several would have the same."""
    hosts = [f"webcam{host}" if host.isdigit() else host or "camera" for host in map(_host, places)]
    return [
        host if hosts.count(host) == 1 else f"{host}-{hosts[: number + 1].count(host)}"
        for number, host in enumerate(hosts)
    ]


def _host(place: str) -> str:
    """Of a URL the host, of a device's path its last part, else what stands before the first colon."""
    try:
        host = urlsplit(place).hostname
    except ValueError:  # a "[" in a password is taken for an IPv6 address
        host = None
    return host or place.partition(":")[0].strip("/").rpartition("/")[2]


def _kind(url: str) -> str:
    return "rtsp" if url.partition("://")[0].lower() in RTSP_SCHEMES else "url"


def _settings(cameras: list[dict[str, Any]], model: str, fov_deg: float | None, record: Path | None) -> dict[str, Any]:
    optics = {"intrinsics": {"fov_deg": fov_deg}} if fov_deg is not None else {}
    return {
        "cameras": [camera | optics for camera in cameras],
        "model": {"name": model},
        **({"record": {"path": str(record)}} if record else {}),
    }
