"""Opens a live stream: FFmpeg's options with the reason for each, and the second try over UDP."""

from __future__ import annotations

import logging
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING

from stream.errors import SourceError
from stream.settings import NetworkCamera
from stream.sources.network import errors
from stream.sources.network.errors import TransportRefused
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.url import LAVFI, CameraUrl

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

RTSP_SCHEMES = ("rtsp", "rtsps")
RTP_SCHEMES = (*RTSP_SCHEMES, "rtp", "srtp", "")
"""Schemes whose time stamps are a camera's clock; the empty one is the path of a session description (SDP)."""
ANALYZE_US = 1_500_000
"""Media time that FFmpeg analyses before the first image: MPEG-TS lists its streams only every second or so."""
ANALYZE_RTSP_US = 500_000
"""RTSP needs less, because the session description has most of the information."""
REORDERED_PACKETS = 2
"""The smallest queue with which FFmpeg checks the order of RTP packets over TCP, and so notices lost ones: cameras drop
packets over TCP, too, when the network is slow."""


def connect(settings: NetworkCamera, url: CameraUrl, ffmpeg_log: FfmpegLog) -> InputContainer:
    """Open the stream as a container. With ``prefer_tcp``, UDP is tried if the camera refuses TCP.

    Raises AccessDenied or SourceError, after ``open_s`` at the latest, or twice that if a camera answers and then sends
    nothing.
    """
    transports = ("tcp", "udp") if settings.transport == "prefer_tcp" else (settings.transport,)
    opened = _try(settings, url, transports[0], ffmpeg_log)
    if isinstance(opened, TransportRefused) and len(transports) > 1:
        opened = _try(settings, url, transports[1], ffmpeg_log)
    if isinstance(opened, SourceError):
        try:
            raise opened  # outside of any handler: an exception of FFmpeg as its context would hold the password
        finally:
            del opened  # its traceback refers to this frame: a cycle
    return opened


def video_stream(container: InputContainer, url: CameraUrl) -> VideoStream:
    """The first video stream. Raises SourceError if the container has none, or FFmpeg has no decoder for it."""
    for stream in container.streams.video:
        if stream.codec_context is None:
            raise errors.no_decoder(url)
        return stream
    raise errors.no_video(url, ", ".join(sorted({stream.type for stream in container.streams})))


def _try(
    settings: NetworkCamera, url: CameraUrl, transport: str, ffmpeg_log: FfmpegLog
) -> InputContainer | SourceError:
    import av

    started = monotonic()
    try:
        with ffmpeg_log.capture():
            return _open(settings, url, transport)
    # PyAV's ExitError, for a time-out of ``av.open``, is neither an OSError nor a TimeoutError.
    except (av.error.FFmpegError, OSError) as error:
        return errors.on_opening(error, url, monotonic() - started, settings.open_s)


def _open(settings: NetworkCamera, url: CameraUrl, transport: str) -> InputContainer:
    import av

    if url.scheme == "lavfi":
        return av.open(url.full.removeprefix(LAVFI), format="lavfi")
    # With no time-out FFmpeg waits: a server that accepted and never answered still held av.open after 40 s.
    return av.open(
        url.full,
        options=_options(settings, url.scheme, transport),
        timeout=(settings.open_s, settings.stall_s),
        hwaccel=hardware(settings.decode),
    )


def _options(settings: NetworkCamera, scheme: str, transport: str) -> dict[str, str]:
    """FFmpeg's options for ``scheme``. It silently ignores unknown options and misspelt names."""
    # No fflags=nobuffer: it lost every image up to the next key frame.
    options = {
        "fpsprobesize": "0",  # by default FFmpeg buffers 20 images to guess the rate: 1.25 s to open instead of 0.42
        "analyzeduration": str(ANALYZE_RTSP_US if scheme in RTSP_SCHEMES else ANALYZE_US),
        # The socket's, in microseconds; our own time-outs are never longer. RTSP ignores stimeout and rw_timeout.
        "timeout": str(round(1e6 * max(settings.open_s, settings.stall_s))),
    }
    if scheme in RTSP_SCHEMES:
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
        if transport == "tcp":
            options["reorder_queue_size"] = str(REORDERED_PACKETS)
    elif scheme in RTP_SCHEMES:
        # A description that is read from a file may otherwise open only more files.
        options["protocol_whitelist"] = "file,crypto,data,rtp,srtp,udp"
    return options


def hardware(decode: str) -> HWAccel | None:
    """The GPU's video decoder if ``decode`` allows it and this machine has one; None: decode on the CPU."""
    from av.codec.hwaccel import HWAccel

    if decode == "cpu" or not _has_cuda_decoder():
        return None
    # Decoded images may stay on the GPU only if torch can read them from GPU memory.
    return HWAccel("cuda", is_hw_owned=_torch_sees_cuda())


def _torch_sees_cuda() -> bool:
    import torch  # may be a CPU build, on a machine with a GPU

    return torch.cuda.is_available()


@lru_cache(maxsize=1)
def _has_cuda_decoder() -> bool:
    import av
    from av.codec.hwaccel import HWAccel

    # Checked before opening: PyAV would find out later, and raise even where it could fall back to the CPU.
    try:
        HWAccel("cuda").create(av.Codec("h264", "r"))
    except (av.error.FFmpegError, OSError, NotImplementedError) as error:
        log.warning("no video decoder on a GPU here (%s): cameras are decoded on the CPU", type(error).__name__)
        return False
    return True
