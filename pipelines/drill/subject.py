"""The camera of a drill, behind the fault proxy: our own test camera, or the user's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import ExitStack
from functools import lru_cache
from typing import NamedTuple, Protocol, Self

from pipelines.drill.camera.camera import RtspCamera
from pipelines.drill.camera.clip import Clip
from pipelines.drill.keyframes import KeyFrames
from pipelines.drill.proxy import HOST, FaultProxy, resolved
from pipelines.drill.scenarios import Need
from pipelines.drill.wire import Piece
from pipelines.drill.witness import FirstOf, JpegImages, PaintedNumbers, RtpTimes, Witness, digests
from stream.errors import SourceError, UsageError
from stream.settings import NetworkCamera
from stream.sources.network.url import CameraUrl

FPS, KEYFRAME_EVERY = 25.0, 25
CLIP_S = 20.0
"""The painted numbers repeat after it, so an image that is older than this would seem younger."""
PATH, BYSTANDER_PATH = "/cam", "/other"
BYSTANDER = "bystander"
SIZE, OTHER_SIZE = (320, 240), (352, 288)
SHORT_CLIP_S = 8.0
PORTS = {"rtsp": 554, "http": 80}
"""What the proxy can be in front of. TLS is sealed against it."""
ASSUMED_KEY_S = 4.0
"""Interval of key frames where it was not seen."""
H264_FU_A, H264_TYPE = 28, 0x1F


class Rates(NamedTuple):
    """How much a camera sends."""

    fps: float
    bytes_per_s: float


class Subject(Protocol):
    """A camera to drill with, open inside its ``with`` block."""

    name: str
    label: str
    """The address for people, without a password."""
    offers: frozenset[Need]
    witness: Witness
    proxy: FaultProxy | None
    clean_digests: frozenset[int] | None
    """CRC-32 of every undamaged image; None: unknown."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    @property
    def settings(self) -> NetworkCamera:
        """The camera as the product reads it, through the proxy."""
        ...

    @property
    def damaged_ticks(self) -> frozenset[int]:
        """RTP times of the access units that the proxy has damaged."""
        ...

    @property
    def key_interval_s(self) -> float: ...

    @property
    def stated_rates(self) -> Rates | None:
        """Exact rates of the stream; None: to be measured."""
        ...

    def refresh(self) -> None:
        """Keep the witness up to date; called every few seconds."""
        ...

    def change_size(self, smaller: bool) -> None: ...


class Bystander:
    """A second, healthy camera that no fault may disturb."""

    def __init__(self) -> None:
        self.clip = Clip.test_pattern("h264", *SIZE, FPS, SHORT_CLIP_S, KEYFRAME_EVERY)
        self._camera = RtspCamera({BYSTANDER_PATH: self.clip})

    def __enter__(self) -> Self:
        self._camera.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._camera.__exit__(*exc_info)

    @property
    def settings(self) -> NetworkCamera:
        return NetworkCamera(source="rtsp", name=BYSTANDER, url=self._camera.url(BYSTANDER_PATH), transport="tcp")


class TestCamera:
    """Our RTSP camera, which paints numbers into its images."""

    __test__ = False  # pytest takes every class called Test... for one of its own
    name = "camera"
    label = "the test camera, H.264, 320x240 at 25 fps"
    offers: frozenset[Need] = frozenset({"proxy", "rtp", "test camera"})
    key_interval_s = KEYFRAME_EVERY / FPS

    def __init__(self) -> None:
        self._clip = Clip.test_pattern("h264", *SIZE, FPS, CLIP_S, KEYFRAME_EVERY)
        self._other = Clip.test_pattern("h264", *OTHER_SIZE, FPS, SHORT_CLIP_S, KEYFRAME_EVERY)
        numbered = _digests_of(self._clip)
        self.clean_digests: frozenset[int] | None = numbered | _digests_of(self._other)
        self._camera = RtspCamera({PATH: self._clip})
        # Both clips have the same numbers: those of the other size are known by their RTP times alone.
        self._numbers, self._times = PaintedNumbers(numbered), RtpTimes()
        self.witness: Witness = FirstOf(self._numbers, self._times)
        self.proxy: FaultProxy | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        camera = self._stack.enter_context(self._camera)
        proxy = FaultProxy((HOST, camera.port), is_rtsp=True, seen=self._times.see, hit=self._times.damaged.add)
        self.proxy = self._stack.enter_context(proxy)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def settings(self) -> NetworkCamera:
        assert self.proxy is not None
        url = through(self._camera.url(PATH), self.proxy.port)
        return NetworkCamera(source="rtsp", name=self.name, url=url, transport="tcp")

    @property
    def damaged_ticks(self) -> frozenset[int]:
        return frozenset(self._times.damaged)

    @property
    def stated_rates(self) -> Rates | None:
        # RTP's header of 12 bytes and 4 bytes in front of it
        size = sum(len(payload) + 16 for unit in self._clip.units for payload in unit.payloads)
        return Rates(FPS, size / CLIP_S)

    def refresh(self) -> None:
        self._numbers.add(self._camera.log(PATH))

    def change_size(self, smaller: bool) -> None:
        self._camera.switch(PATH, self._other if smaller else self._clip)


class UserCamera:
    """A camera of the user's config."""

    clean_digests: frozenset[int] | None = None

    def __init__(self, settings: NetworkCamera, *, direct: bool = False) -> None:
        """``direct``: without the proxy, and with the transport of the settings."""
        url = CameraUrl(settings.url)
        self.name, self.label = settings.name, url.label
        self._scheme, self._given = url.scheme, settings
        is_proxied = self._scheme in PORTS and not direct
        is_rtsp = is_proxied and self._scheme == "rtsp"
        self._settings = settings.model_copy(update={"transport": "tcp"}) if is_rtsp else settings
        needs: Iterable[Need] = ("proxy", "rtp") if is_rtsp else ("proxy",) if is_proxied else ()
        self.offers: frozenset[Need] = frozenset(needs)
        self._times, self._jpegs, self._keys = RtpTimes(), JpegImages(), KeyFrames()
        self.witness: Witness = self._times if self._scheme == "rtsp" else self._jpegs
        self.proxy: FaultProxy | None = None
        self._target = _target(url) if is_proxied else None

    def __enter__(self) -> Self:
        if self._target is not None:
            is_rtsp = self._scheme == "rtsp"
            seen = self._see_packet if is_rtsp else self._see_bytes
            proxy = FaultProxy(self._target, is_rtsp=is_rtsp, seen=seen, hit=self._times.damaged.add)
            self.proxy = proxy.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.proxy is not None:
            self.proxy.__exit__(*exc_info)

    @property
    def may_need_udp(self) -> bool:
        """Whether it is read over TCP only because of the proxy."""
        return self._settings.transport != self._given.transport

    def directly(self) -> UserCamera:
        """The same camera without the proxy."""
        return UserCamera(self._given, direct=True)

    @property
    def settings(self) -> NetworkCamera:
        if self.proxy is None:
            return self._settings
        return self._settings.model_copy(update={"url": through(self._settings.url, self.proxy.port)})

    @property
    def damaged_ticks(self) -> frozenset[int]:
        return frozenset(self._times.damaged)

    @property
    def key_interval_s(self) -> float:
        """The longest that was seen; 0 for MJPEG."""
        if self._scheme == "http":
            return 0.0
        return self._keys.longest_s or ASSUMED_KEY_S

    stated_rates: Rates | None = None

    def refresh(self) -> None:
        return

    def change_size(self, smaller: bool) -> None:
        raise UsageError("only the test camera changes its size: depthstream drill --test-camera")

    def _see_packet(self, piece: Piece, sent: list[Piece], at_ns: int) -> None:
        if piece.channel is None:
            self._keys.describe(piece.data)
        elif piece.is_rtp:
            self._times.see(piece, sent, at_ns)
            self._keys.packet(piece.data)

    def _see_bytes(self, piece: Piece, _sent: list[Piece], at_ns: int) -> None:
        self._jpegs.feed(piece.data, at_ns)


def through(url: str, port: int) -> str:
    """``url`` with our proxy in place of its host; user, password, path and query stay."""
    return re.sub(r"^([a-z]+://)([^/?#]*@)?[^/?#@]*", rf"\g<1>\g<2>{HOST}:{port}", url, count=1, flags=re.I)


def _target(url: CameraUrl) -> tuple[str, int]:
    host, port = url.host_and_port()
    try:
        return resolved(host, int(port or PORTS[url.scheme]))
    except (OSError, ValueError) as error:
        raise SourceError(f"{url.label}: its host cannot be found: {error}; check the name and the port") from error


@lru_cache
def _digests_of(clip: Clip) -> frozenset[int]:
    return frozenset(digests("h264", (_annex_b(unit.payloads) for unit in clip.units)))


def _annex_b(payloads: Iterable[bytes]) -> bytes:
    """An access unit with start codes, from its RTP payloads: single NAL units and fragments (RFC 6184, 5.6, 5.8)."""
    data = bytearray()
    for payload in payloads:
        if payload[0] & H264_TYPE != H264_FU_A:
            data += b"\0\0\0\1" + payload
            continue
        if payload[1] & 0x80:
            data += b"\0\0\0\1" + bytes([payload[0] & 0xE0 | payload[1] & H264_TYPE])
        data += payload[2:]
    return bytes(data)
