"""Opening a live stream: FFmpeg's options with the reason for each, and the second try that belongs to one opening."""

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
"""Whose time stamps are a camera's clock; the empty one is the path of a session description (SDP)."""
ANALYZE_US = 1_500_000
"""Of the stream's time, before the first image: MPEG-TS repeats what it holds every second or so."""
ANALYZE_RTSP_US = 500_000
"""The session description has said most of it already."""
REORDERED_PACKETS = 2
"""The least with which FFmpeg's RTP reader looks at the order of packets over TCP, and so notices lost ones: cameras
drop packets over TCP, too, when the line is slow."""


def connect(settings: NetworkCamera, url: CameraUrl, said: FfmpegLog) -> InputContainer:
    """An open container. With ``prefer_tcp`` a camera that refuses TCP is asked for UDP.

    Raises AccessDenied or SourceError; at the latest after ``open_s``, twice that for a camera that answers and then
    sends nothing.
    """
    transports = ("tcp", "udp") if settings.transport == "prefer_tcp" else (settings.transport,)
    opened = _try(settings, url, transports[0], said)
    if isinstance(opened, TransportRefused) and len(transports) > 1:
        opened = _try(settings, url, transports[1], said)
    if isinstance(opened, SourceError):
        raise opened  # here, where no exception of FFmpeg is around to become its context: they hold the password
    return opened


def video_stream(container: InputContainer, url: CameraUrl) -> VideoStream:
    """The first stream with images. Raises SourceError where there is none, or no decoder for it."""
    for stream in container.streams.video:
        if stream.codec_context is None:
            raise errors.no_decoder(url)
        return stream
    raise errors.no_video(url, ", ".join(sorted({stream.type for stream in container.streams})))


def _try(settings: NetworkCamera, url: CameraUrl, transport: str, said: FfmpegLog) -> InputContainer | SourceError:
    import av

    started = monotonic()
    try:
        with said.heard():
            return _open(settings, url, transport)
    except (av.error.FFmpegError, OSError) as error:
        return errors.on_opening(error, url, monotonic() - started, settings.open_s)


def _open(settings: NetworkCamera, url: CameraUrl, transport: str) -> InputContainer:
    import av

    if url.scheme == "lavfi":
        return av.open(url.full.removeprefix(LAVFI), format="lavfi")
    return av.open(
        url.full,
        options=_options(settings, url.scheme, transport),
        timeout=(settings.open_s, settings.stall_s),
        hwaccel=_hardware(settings.decode),
    )


def _options(settings: NetworkCamera, scheme: str, transport: str) -> dict[str, str]:
    """FFmpeg ignores an option that it does not know, and one that it knows by another name, without a word."""
    options = {
        "fpsprobesize": "0",  # not 20 images to guess a rate from: they would pile up
        "analyzeduration": str(ANALYZE_RTSP_US if scheme in RTSP_SCHEMES else ANALYZE_US),
        "timeout": str(round(1e6 * max(settings.open_s, settings.stall_s))),  # of the socket; ours are never longer
    }
    if scheme in RTSP_SCHEMES:
        options |= {"rtsp_transport": transport, "allowed_media_types": "video"}
        if transport == "tcp":
            options["reorder_queue_size"] = str(REORDERED_PACKETS)
    elif scheme in RTP_SCHEMES:
        options["protocol_whitelist"] = "file,crypto,data,rtp,srtp,udp"
    return options


def _hardware(decode: str) -> HWAccel | None:
    from av.codec.hwaccel import HWAccel

    if decode == "cpu" or not _has_cuda_decoder():
        return None
    return HWAccel("cuda", is_hw_owned=_torch_sees_cuda())  # images stay on the card only if torch can take them there


def _torch_sees_cuda() -> bool:
    """Only then can images stay on the card: a CPU build of torch may stand on a machine that has one."""
    import torch

    return torch.cuda.is_available()


@lru_cache(maxsize=1)
def _has_cuda_decoder() -> bool:
    """Asked before opening, because PyAV would find out after it, and raise even where it may fall back."""
    import av
    from av.codec.hwaccel import HWAccel

    try:
        HWAccel("cuda").create(av.Codec("h264", "r"))
    except (av.error.FFmpegError, OSError, NotImplementedError) as error:
        log.warning("no video decoder on a GPU here (%s): cameras are decoded on the CPU", type(error).__name__)
        return False
    return True
