"""Config tables that several pipelines share: frozen pydantic models with a description for every key.

Each pipeline composes them into a model of its own (see ``pipelines``); ``stream.core.config_file`` reads the files and
``depthstream schema`` prints the descriptions.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """Base of every table: immutable; unknown keys, infinite numbers and NaN are errors."""

    # forbid: a mistyped key must not pass unnoticed (decision 2).
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("must have a letter that can be seen, and no line breaks or the like")
    return name


Name = Annotated[str, AfterValidator(_printable)]
"""A camera's name; printable, because it appears in tables, file names and the log."""


class IntrinsicsSettings(Settings):
    """A camera's lens: numbers measured at a stated image size, or a field of view from a data sheet.

    Metric networks need it for true metres. Images of another size with the same aspect ratio are taken as the same
    camera's images, resized.
    """

    fov_deg: float | None = Field(
        default=None, gt=1, lt=179, description="horizontal field of view, degrees; replaces all other keys"
    )
    fx: float | None = Field(
        default=None, gt=0, description="focal length, pixels; fx, fy, cx, cy are OpenCV's camera matrix"
    )
    fy: float | None = Field(default=None, gt=0, description="focal length, pixels; unset: equal to fx")
    cx: float | None = Field(default=None, description="column of the optical axis, pixels; unset: the image's middle")
    cy: float | None = Field(default=None, description="row of the optical axis, pixels; unset: the image's middle")
    width: int | None = Field(default=None, ge=1, description="width of the images that were measured, pixels")
    height: int | None = Field(default=None, ge=1, description="height of the images that were measured, pixels")

    @model_validator(mode="after")
    def _measured_or_fov(self) -> IntrinsicsSettings:
        measured = (self.fx, self.fy, self.cx, self.cy, self.width, self.height)
        if self.fov_deg is not None and any(number is not None for number in measured):
            raise ValueError("give fov_deg alone, or fx with width and height")
        if self.fov_deg is None and (self.fx is None or self.width is None or self.height is None):
            raise ValueError("give fov_deg, or fx with the width and height of the images it was measured in")
        return self


class CameraWithIntrinsics(Settings):
    """Keys of every camera but the rendered one, which knows its own lens."""

    intrinsics: IntrinsicsSettings | None = Field(
        default=None, description="the lens; unset: unknown, and the metres of a metric network are a guess"
    )


class VideoCamera(CameraWithIntrinsics):
    """A video file."""

    source: Literal["video"]
    name: Name = Field(default="video", description="the camera's name in output, file names and topics")
    path: str = Field(description="the video file")
    pace: Literal["fast", "file"] = Field(
        default="fast", description="fast: as fast as possible; file: at the file's own frame rate"
    )
    loop: bool = Field(default=False, description="start again at the end")


class ImagesCamera(CameraWithIntrinsics):
    """A folder of images, read in the order of their names, or one image."""

    source: Literal["images"]
    name: Name = Field(default="images", description="the camera's name in output, file names and topics")
    path: str = Field(description="the folder, or one image file")
    fps: float | None = Field(default=None, gt=0, le=1000, description="images per second; unset: as fast as possible")
    loop: bool = Field(default=False, description="start again at the end")


class SyntheticCamera(Settings):
    """A moving rendered scene whose depth is known exactly."""

    source: Literal["synthetic"]
    name: Name = Field(default="synthetic", description="the camera's name in output, file names and topics")
    seed: int = Field(default=0, ge=0, description="number of the scene; even: a town square, odd: a living room")
    width: int = Field(default=320, ge=32, le=1920, description="image width, pixels")
    height: int = Field(default=240, ge=32, le=1080, description="image height, pixels")
    fps: float = Field(default=12.0, gt=0, le=240, description="images per second")
    seconds: float | None = Field(default=None, gt=0, description="length, seconds; unset: endless")
    still: bool = Field(default=False, description="true: the camera does not sway; people and things still move")
    pace: Literal["fast", "live"] = Field(
        default="live", description="live: like a camera, at fps; fast: as fast as it renders"
    )


FaultPolicy = Literal["pass", "drop", "hold"]
"""pass: deliver the image, flagged. drop: leave it out and count it. hold: deliver the last good image in its place,
with that image's own time stamp."""


class IntegritySettings(Settings):
    """Treatment of images that do not show what the camera sees.

    pass: deliver the image, flagged. drop: leave it out and count it. hold: deliver the last good image in its place.
    """

    tainted: FaultPolicy = Field(
        default="pass", description="images damaged by packet loss, until the next key frame: pass, drop or hold"
    )
    frozen: FaultPolicy = Field(default="pass", description="the same image repeated: pass, drop or hold")
    black: FaultPolicy = Field(default="pass", description="images that are entirely black: pass, drop or hold")
    frozen_after_s: float = Field(
        default=3.0,
        gt=0,
        description="seconds of the same image that count as frozen; set it above the camera's key frame interval",
    )


class LiveCamera(CameraWithIntrinsics):
    """Keys of every live camera."""

    stall_s: float = Field(default=1.8, ge=0.3, le=60, description="reconnect after so many seconds without an image")
    open_s: float = Field(
        default=5.0, ge=0.5, le=120, description="give up opening after so many seconds, and try again later"
    )
    max_fps: float | None = Field(
        default=None, gt=0, le=1000, description="drop images above this rate; unset: keep all"
    )
    integrity: IntegritySettings = IntegritySettings()


NON_RTSP_SCHEMES = ("http", "https", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
"""URL schemes that need source = "url"."""


def _as_text(device: object) -> object:
    """Accept the number 0 for "0"; a boolean stays one and is refused, although Python counts it as an integer."""
    return str(device) if isinstance(device, int) and not isinstance(device, bool) else device


TRACKS = r"^(first|largest|smallest|\d{1,2}|\d{2,5}x\d{2,5})$"
"""Values of ``track``."""


class NetworkCamera(LiveCamera):
    """An IP camera, or any other live stream that FFmpeg reads: http MJPEG, HLS, UDP, MPEG-TS, ``lavfi:`` patterns."""

    source: Literal["rtsp", "url"]
    name: Name = Field(default="camera", description="the camera's name in output, file names and topics")
    url: str = Field(description="for example rtsp://user:password@host/path; the password appears in no log")
    transport: Literal["prefer_tcp", "tcp", "udp"] = Field(
        default="prefer_tcp", description="transport of RTSP; prefer_tcp: UDP only if the camera refuses TCP"
    )
    behind_s: float = Field(
        default=1.0,
        ge=0.2,
        le=60,
        description="connect again when images have been older than this on arrival for a second, seconds; for robots "
        "less than publish.max_age_ms",
    )
    decode: Literal["cpu", "cuda", "auto"] = Field(
        default="cpu", description="video decoder; cuda, auto: the GPU's where there is one, else the CPU's"
    )
    track: Annotated[str, BeforeValidator(_as_text)] = Field(
        default="first",
        description="video track of an RTSP camera with several: first, largest, smallest, its number from 0 on, or "
        'its size, such as "1920x1080"',
    )
    tls: Literal["verify", "insecure"] = Field(
        default="verify",
        description="rtsps and https: verify the camera's certificate, or accept any, also an attacker's",
    )
    tls_ca: str | None = Field(
        default=None, description="file with the certificates (PEM) to verify against; unset: the system's"
    )
    fps: float = Field(default=5.0, gt=0, le=60, description="rate at which the address of a single JPEG is polled")

    @field_validator("track")
    @classmethod
    def _is_a_track(cls, track: str) -> str:
        if not re.match(TRACKS, track):
            raise ValueError("say first, largest, smallest, a number from 0 on, or a size such as 1920x1080")
        return track

    @model_validator(mode="after")
    def _rtsp_is_rtsp(self) -> NetworkCamera:
        scheme, slashes, _ = self.url.partition("://")
        if self.source == "rtsp" and slashes and scheme.lower() in NON_RTSP_SCHEMES:
            raise ValueError(f'source = "rtsp" with an address that begins with {scheme}://; for it say source = "url"')
        return self


class WebcamCamera(LiveCamera):
    """A camera at this machine. The device chooses what is unset, and may deliver another format than requested."""

    source: Literal["webcam"]
    name: Name = Field(default="webcam", description="the camera's name in output, file names and topics")
    device: Annotated[str, BeforeValidator(_as_text)] = Field(
        default="0", description="a number, or a path such as /dev/video0"
    )
    width: int | None = Field(default=None, ge=16, le=16384, description="requested image width, pixels")
    height: int | None = Field(default=None, ge=16, le=16384, description="requested image height, pixels")
    fps: float | None = Field(default=None, gt=0, le=1000, description="requested images per second")
    pixel_format: str | None = Field(
        default=None, description='requested format, by FFmpeg\'s name: "mjpeg", "yuyv422", "nv12"'
    )

    @model_validator(mode="after")
    def _both_sides_are_given(self) -> WebcamCamera:
        if (self.width is None) != (self.height is None):
            raise ValueError("give both width and height, or neither")
        return self


class GstreamerCamera(LiveCamera):
    """A camera read by a GStreamer pipeline: CSI cameras of Jetson and Raspberry Pi, SRT, hardware decoders."""

    source: Literal["gstreamer"]
    name: Name = Field(default="gstreamer", description="the camera's name in output, file names and topics")
    pipeline: str = Field(
        min_length=1,
        description="what gst-launch-1.0 takes, without a sink at the end, which is added: "
        '"libcamerasrc ! video/x-raw,width=1280,height=720"; passwords appear in no log',
    )


Camera = Annotated[
    VideoCamera | ImagesCamera | SyntheticCamera | NetworkCamera | WebcamCamera | GstreamerCamera,
    Field(discriminator="source"),
]


class ModelSettings(Settings):
    """The depth network and how it is run."""

    name: str = Field(default="tiny", description="the network; depthstream models list shows all")
    weights: Literal["trained", "random"] = Field(
        default="trained", description="random: for speed tests only; every output is marked"
    )
    engine: Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"] = Field(
        default="auto",
        description="auto: the fastest engine of this machine, TorchScript on the CPU at the least; cuda, cuda_graph: "
        "this engine or an error; tensorrt: this engine or an error, and missing engines are built",
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        default="auto",
        description="auto: fp32, and half precision with TensorRT; fp16: on a GPU; bf16: on a CPU that multiplies "
        "bfloat16; anything but fp32 is used only if the engine gate accepts it",
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads of the network; unset: chosen for this machine"
    )
    side: int | None = Field(
        default=None, ge=32, le=2048, description="side of the network's input, pixels; unset: the network's own"
    )
    keep_aspect: bool = Field(default=True, description="false: a square input of side x side for every image")
    max_batch: int = Field(
        default=1, ge=1, le=256, description="largest number of images in one run; more than 1 saves nothing on a CPU"
    )
    grace_ms: float = Field(
        default=3.0, ge=0, le=1000, description="milliseconds an image waits for others to fill a batch above 1"
    )
    fallback: str | None = Field(
        default=None,
        description="network that takes over on the CPU when this one fails; unset: on a GPU the same network, "
        "or tiny if it is too large for a CPU; on the CPU none",
    )
    layout: Literal["latency", "throughput"] = Field(
        default="latency",
        description="latency: preprocessing and network in one thread; throughput: in two threads with a channel of "
        "one batch between them",
    )


class SteadySettings(Settings):
    """Temporal stabilisation: relative depth keeps its scale and shift between images (docs/how-to/steady-depth.md)."""

    half_life_s: float = Field(
        default=2.0, gt=0, description="seconds after which half of a lasting change of scale or shift is let through"
    )


class RenderSettings(Settings):
    """Colours of depth."""

    colormap: Literal["inferno", "turbo", "magma", "viridis", "gray"] = Field(
        default="inferno", description="colour map; viewers may choose another one while the pipeline runs"
    )
    range: Literal["smooth", "fixed"] = Field(
        default="smooth", description="smooth: follows the scene slowly; fixed: low to high"
    )
    low: float | None = Field(
        default=None, description="fixed range: depth of the first colour, in the depth map's own unit"
    )
    high: float | None = Field(
        default=None, description="fixed range: depth of the last colour, in the depth map's own unit"
    )
    low_percentile: float = Field(
        default=2.0, ge=0, lt=50, description="smooth range: percentile of depth that has the first colour"
    )
    high_percentile: float = Field(
        default=98.0, gt=50, le=100, description="smooth range: percentile of depth that has the last colour"
    )
    half_life_s: float = Field(
        default=0.5, gt=0, description="smooth range: seconds after which half of a change has been followed"
    )

    @model_validator(mode="after")
    def _fixed_range_is_given(self) -> RenderSettings:
        if self.range == "fixed" and (self.low is None or self.high is None or self.low == self.high):
            raise ValueError('range = "fixed" needs two different numbers, low and high')
        return self


class RecordSettings(Settings):
    """Recording as an H.264 video file."""

    path: str = Field(description='file to write; must end in .mp4; "{camera}" stands for the camera\'s name')
    crf: int = Field(
        default=20, ge=0, le=51, description="x264's constant rate factor; lower is better quality and a larger file"
    )
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = Field(
        default="veryfast", description="x264's preset; slower ones make smaller files"
    )
    time_stamps: Literal["source", "constant"] = Field(
        default="source",
        description="source: each frame at the time of its capture; constant: evenly spaced at fps",
    )
    fps: float = Field(
        default=25.0, gt=0, le=240, description="rate of constant time stamps; nominal rate with source time stamps"
    )

    @model_validator(mode="after")
    def _is_an_mp4(self) -> RecordSettings:
        if not self.path.lower().endswith(".mp4"):
            raise ValueError(f'path = "{self.path}" must end in .mp4')
        return self


class PublishSettings(Settings):
    """Depth frames over ZeroMQ, for robots and other programs (docs/reference/wire.md)."""

    endpoints: tuple[str, ...] = Field(
        default=("tcp://127.0.0.1:5560",),
        min_length=1,
        description="where readers connect: tcp://ADDRESS:PORT (127.0.0.1: this machine only; *: every network card), ipc://PATH",
    )
    encoding: Literal["f32", "f16", "u16"] = Field(
        default="f32",
        description="number format of a pixel; u16: millimetres for metric depth, else 65,534 steps of the depth range",
    )
    compression: Literal["raw", "zstd", "delta+zstd", "png16"] = Field(
        default="raw", description="delta+zstd and png16: with u16 only; raw is best on one machine"
    )
    checksum: bool = Field(default=False, description="add a CRC-32 of every payload")
    max_age_ms: float = Field(
        default=500.0, gt=0, le=60_000, description="depth older than this is not sent but dropped and counted"
    )
    promised_fps: float | None = Field(
        default=None,
        gt=0,
        le=1000,
        description="readers get a warning when a stream falls below nine tenths of this rate",
    )
    preview_quality: int = Field(default=80, ge=1, le=100, description="JPEG quality of preview/<camera>")
    keys: str | None = Field(
        default=None, description="folder of CURVE keys (depthstream keys new): only clients with a key there may read"
    )
    allow_anyone: bool = Field(
        default=False, description="true: listen without keys on addresses that other machines can reach"
    )
    high_water_mark: int = Field(
        default=2, ge=1, le=1000, description="messages kept for a slow reader; it misses further ones"
    )

    @model_validator(mode="after")
    def _compression_fits(self) -> PublishSettings:
        if self.compression in ("delta+zstd", "png16") and self.encoding != "u16":
            raise ValueError(f'compression = "{self.compression}" is for encoding = "u16"; "zstd" takes any')
        return self


class WebSettings(Settings):
    """A web page that shows every camera, and an HTTP service for images (docs/how-to/browser.md)."""

    address: str = Field(
        default="127.0.0.1:8080", description="HOST:PORT; 127.0.0.1: this machine only; 0.0.0.0: every network card"
    )
    token: str | None = Field(
        default=None,
        min_length=16,
        description="token for addresses that other machines can reach; unset: a new one at each start",
    )
    open: bool = Field(default=False, description="true: admit everyone without a token, on any address")
    hosts: tuple[str, ...] = Field(
        default=(), description="further host names under which browsers reach the page, for example behind a proxy"
    )
    jpeg_quality: int = Field(default=75, ge=1, le=100, description="JPEG quality of the page's images")
    images: bool = Field(default=True, description="accept images (POST /api/depth)")
    models: tuple[str, ...] = Field(
        default=(), description="networks offered for images; unset: the pipeline's own network"
    )
    max_upload_mb: float = Field(default=20.0, gt=0, le=1000, description="largest upload, MB")
    max_megapixels: float = Field(default=40.0, gt=0, le=1000, description="largest uploaded image, megapixels")
    cache_mb: float = Field(default=256.0, ge=0, le=100_000, description="memory for cached results, MB; 0: no cache")
    image_workers: int = Field(default=1, ge=1, le=64, description="images processed at the same time")
    image_queue: int = Field(
        default=8,
        ge=0,
        le=1000,
        description="images that may wait; further requests get status 429 with Retry-After",
    )


class McapSettings(Settings):
    """Recording for ROS 2 tools and Foxglove: sensor_msgs/Image and CameraInfo of metric depth."""

    path: str = Field(description='file to write; must end in .mcap; "{camera}" stands for the camera\'s name')
    encoding: Literal["32FC1", "16UC1"] = Field(
        default="32FC1", description="32FC1: metres as float32; 16UC1: millimetres as 16-bit integers (REP 118)"
    )
    compression: Literal["none", "lz4", "zstd"] = Field(default="zstd", description="compression of the file's chunks")

    @model_validator(mode="after")
    def _is_mcap(self) -> McapSettings:
        if not self.path.lower().endswith(".mcap"):
            raise ValueError(f'path = "{self.path}" must end in .mcap')
        return self
