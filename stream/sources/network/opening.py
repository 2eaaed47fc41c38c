"""Chooses the reader for a camera's address: our own for RTSP and MJPEG over HTTP, FFmpeg's for everything else."""

from __future__ import annotations

import logging

from stream.settings import NetworkCamera
from stream.sources.network.access_unit import Reader
from stream.sources.network.ffmpeg.connection import RTSP_SCHEMES
from stream.sources.network.ffmpeg.reader import FfmpegReader
from stream.sources.network.ffmpeg_log import FfmpegLog
from stream.sources.network.http.opening import open_http
from stream.sources.network.rtsp import RtspReader, UnsupportedCodec
from stream.sources.network.url import CameraUrl

log = logging.getLogger(__name__)

HTTP_SCHEMES = ("http", "https")


def open_reader(settings: NetworkCamera, url: CameraUrl, ffmpeg_log: FfmpegLog) -> Reader:
    """Connect to the camera. Raises AccessDenied or SourceError, after about ``open_s`` at the latest."""
    if url.scheme in RTSP_SCHEMES:
        try:
            return RtspReader(settings, url)
        except UnsupportedCodec as error:
            log.info("%s; FFmpeg reads it", error)
    elif url.scheme in HTTP_SCHEMES:
        reader = open_http(settings, url)
        if reader is not None:
            return reader
    return FfmpegReader(settings, url, ffmpeg_log)
