"""`depthstream rtsp` and `depthstream webcam`: depth of live cameras without a config file."""

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
from stream.sources.network.ffmpeg.connection import RTSP_SCHEMES


@dataclass(frozen=True, slots=True)
class CaptureFormat:
    """The format requested from a webcam, which may deliver another one."""

    size: str | None
    """Width x height, such as "640x480"."""
    fps: float | None
    pixel_format: str | None

    def settings(self) -> dict[str, Any]:
        """The same as keys of a config file. Raises UsageError for a malformed size."""
        keys: dict[str, Any] = {"fps": self.fps, "pixel_format": self.pixel_format}
        if self.size is not None:
            width, _, height = self.size.lower().partition("x")
            if not (width.isdigit() and height.isdigit()):
                raise UsageError(f"--size {self.size}: expected width x height, for example --size 640x480")
            keys |= {"width": int(width), "height": int(height)}
        return keys


def run_rtsp(
    urls: Sequence[str],
    *,
    transport: Literal["prefer_tcp", "tcp", "udp"],
    model: str,
    fov_deg: float | None,
    record: Path | None,
    window: bool,
    **options: Any,
) -> int:
    """Run the live pipeline on all ``urls``; ``options`` are those of ``run_pipeline``. Returns the exit status."""
    cameras = [
        {"source": _source_type(url), "name": name, "url": url, "transport": transport}
        for url, name in zip(urls, names_of(urls), strict=True)
    ]
    data = {"pipeline": "rtsp", **_settings(cameras, model, fov_deg, record)}
    settings = parse(rtsp.RtspSettings, data, origin="depthstream rtsp")
    return _run(rtsp.build, settings, "depthstream rtsp", window=window, **options)


def run_webcam(
    devices: Sequence[str],
    requested: CaptureFormat,
    *,
    model: str,
    fov_deg: float | None,
    record: Path | None,
    window: bool,
    **options: Any,
) -> int:
    """Run the live pipeline on webcams; ``options`` are those of ``run_pipeline``. Returns the exit status."""
    cameras = [
        {"source": "webcam", "name": name, "device": device, **requested.settings()}
        for device, name in zip(devices, names_of(devices), strict=True)
    ]
    data = {"pipeline": "webcam", **_settings(cameras, model, fov_deg, record)}
    settings = parse(webcam.WebcamSettings, data, origin="depthstream webcam")
    return _run(webcam.build, settings, "depthstream webcam", window=window, **options)


def _run(
    build: Callable[..., Pipeline],
    settings: LiveSettings,
    title: str,
    *,
    window: bool,
    web_address: str | None = None,
    **options: Any,
) -> int:
    """Run the pipeline with a window, the web page, both or neither; returns the exit status."""
    controls, cameras = ViewControls(settings.render.colormap), [camera.name for camera in settings.cameras]
    preview = Preview(controls) if window else None
    loop = preview.window(title, cameras) if preview else None
    web = web_at(web_address, settings.model, cameras, controls)
    return run_pipeline(build(settings, preview, web=web), window=loop, web=web, **options)


def names_of(addresses: Sequence[str]) -> list[str]:
    """A name for each URL or device: its host or device name, numbered if several would have the same name."""
    hosts = [f"webcam{host}" if host.isdigit() else host or "camera" for host in map(_host, addresses)]
    return [
        host if hosts.count(host) == 1 else f"{host}-{hosts[: number + 1].count(host)}"
        for number, host in enumerate(hosts)
    ]


def _host(address: str) -> str:
    """The host of a URL, the last part of a device's path, or else the text before the first colon."""
    try:
        host = urlsplit(address).hostname
    except ValueError:  # urlsplit takes a "[" in a password for an IPv6 address
        host = None
    return host or address.partition(":")[0].strip("/").rpartition("/")[2]


def _source_type(url: str) -> str:
    return "rtsp" if url.partition("://")[0].lower() in RTSP_SCHEMES else "url"


def _settings(cameras: list[dict[str, Any]], model: str, fov_deg: float | None, record: Path | None) -> dict[str, Any]:
    optics = {"intrinsics": {"fov_deg": fov_deg}} if fov_deg is not None else {}
    return {
        "cameras": [camera | optics for camera in cameras],
        "model": {"name": model},
        **({"record": {"path": str(record)}} if record else {}),
    }
