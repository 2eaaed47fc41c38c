"""The tables of a config file that several pipelines share: frozen pydantic models, a description on every setting.

Each pipeline composes them into its own model (see ``pipelines``); ``stream.core.config_file`` reads them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator


class Settings(BaseModel):
    """Base of every table: immutable, no key passes unread, and no number is infinite or none."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _printable(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise ValueError("must have a letter that can be seen, and no line breaks or the like")
    return name


Name = Annotated[str, AfterValidator(_printable)]
"""Of a camera: it stands in tables, in file names and in the log."""


class IntrinsicsSettings(Settings):
    """What a camera's lens does: measured numbers at a stated image size, or a field of view from a data sheet.

    Metric networks need it for metres. Images of another size and the same shape are the same camera's, resized.
    """

    fov_deg: float | None = Field(
        default=None, gt=1, lt=179, description="horizontal field of view, degrees; instead of all the others"
    )
    fx: float | None = Field(default=None, gt=0, description="pixels; fx, fy, cx, cy are OpenCV's camera matrix")
    fy: float | None = Field(default=None, gt=0, description="unset: as fx")
    cx: float | None = Field(default=None, description="unset: the middle of the image")
    cy: float | None = Field(default=None, description="unset: the middle of the image")
    width: int | None = Field(default=None, ge=1, description="of the images that were measured, pixels")
    height: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _one_of_two_ways(self) -> IntrinsicsSettings:
        measured = (self.fx, self.fy, self.cx, self.cy, self.width, self.height)
        if self.fov_deg is not None and any(number is not None for number in measured):
            raise ValueError("give fov_deg alone, or fx with width and height")
        if self.fov_deg is None and (self.fx is None or self.width is None or self.height is None):
            raise ValueError("give fov_deg, or fx with the width and height of the images it was measured in")
        return self


class KnownCamera(Settings):
    """What all cameras share whose lens is not known from themselves."""

    intrinsics: IntrinsicsSettings | None = Field(
        default=None, description="unset: unknown, and the metres of a metric network are a guess"
    )


class VideoCamera(KnownCamera):
    """A video file."""

    source: Literal["video"]
    name: Name = "video"
    path: str
    pace: Literal["fast", "file"] = Field(
        default="fast", description="fast: as fast as possible; file: at the file's own frame rate"
    )
    loop: bool = Field(default=False, description="start again at the end")


class ImagesCamera(KnownCamera):
    """A folder of images, in the order of their names, or one image."""

    source: Literal["images"]
    name: Name = "images"
    path: str
    fps: float | None = Field(default=None, gt=0, le=1000, description="hold this rate; unset: as fast as possible")
    loop: bool = Field(default=False, description="start again at the end")


class SyntheticCamera(Settings):
    """A moving rendered scene whose depth is known exactly."""

    source: Literal["synthetic"]
    name: Name = "synthetic"
    seed: int = Field(default=0, ge=0, description="even: a town square, odd: a living room")
    width: int = Field(default=320, ge=32, le=1920)
    height: int = Field(default=240, ge=32, le=1080)
    fps: float = Field(default=12.0, gt=0, le=240)
    seconds: float | None = Field(default=None, gt=0, description="length; unset: endless")
    still: bool = Field(default=False, description="true: the camera does not sway; people and things still move")
    pace: Literal["fast", "live"] = Field(
        default="live", description="live: like a camera, at fps; fast: as fast as it renders"
    )


OnFault = Literal["pass", "drop", "hold"]
"""pass: go on, flagged; drop: leave out, counted; hold: the last good image in its place, with its own time."""


class IntegritySettings(Settings):
    """What becomes of images that are not what the camera saw."""

    tainted: OnFault = Field(default="pass", description="damaged by loss, until the next key frame")
    frozen: OnFault = Field(default="pass", description="the same image again and again")
    black: OnFault = Field(default="pass", description="nothing but black")
    frozen_after_s: float = Field(
        default=3.0,
        gt=0,
        description="the same image for so long is frozen; longer than the camera's key frame interval",
    )


class LiveCamera(KnownCamera):
    """What all live cameras share."""

    stall_s: float = Field(default=1.8, ge=0.3, le=60, description="no image for so long: connect again")
    open_s: float = Field(default=5.0, ge=0.5, le=120, description="give up opening after so long, and try again later")
    max_fps: float | None = Field(default=None, gt=0, le=1000, description="leave out what comes faster; unset: all")
    integrity: IntegritySettings = IntegritySettings()


OTHER_STREAMS = ("http", "https", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
"""Schemes that are not RTSP's."""


class NetworkCamera(LiveCamera):
    """An IP camera, or any other live stream that FFmpeg reads: http MJPEG, HLS, UDP, MPEG-TS, ``lavfi:`` patterns."""

    source: Literal["rtsp", "url"]
    name: Name = "camera"
    url: str = Field(description="rtsp://user:password@host/path; the password appears in no log")
    transport: Literal["prefer_tcp", "tcp", "udp"] = Field(
        default="prefer_tcp", description="of RTSP; prefer_tcp: UDP where the camera refuses TCP"
    )
    decode: Literal["cpu", "cuda", "auto"] = "cpu"

    @model_validator(mode="after")
    def _rtsp_is_rtsp(self) -> NetworkCamera:
        scheme, slashes, _ = self.url.partition("://")
        if self.source == "rtsp" and slashes and scheme.lower() in OTHER_STREAMS:
            raise ValueError(f'source = "rtsp" with an address that begins with {scheme}://; for it say source = "url"')
        return self


def _as_text(device: object) -> object:
    """0 is as good as "0"; true is not."""
    return str(device) if isinstance(device, int) and not isinstance(device, bool) else device


class WebcamCamera(LiveCamera):
    """A camera at this machine; what is not set is the device's own choice, and it may give another than asked."""

    source: Literal["webcam"]
    name: Name = "webcam"
    device: Annotated[str, BeforeValidator(_as_text)] = Field(
        default="0", description="number, or path as in /dev/video0"
    )
    width: int | None = Field(default=None, ge=16, le=16384)
    height: int | None = Field(default=None, ge=16, le=16384)
    fps: float | None = Field(default=None, gt=0, le=1000)
    pixel_format: str | None = Field(default=None, description='as FFmpeg names it: "mjpeg", "yuyv422", "nv12"')

    @model_validator(mode="after")
    def _both_sides_are_given(self) -> WebcamCamera:
        if (self.width is None) != (self.height is None):
            raise ValueError("give both width and height, or neither")
        return self


Camera = Annotated[
    VideoCamera | ImagesCamera | SyntheticCamera | NetworkCamera | WebcamCamera, Field(discriminator="source")
]


class ModelSettings(Settings):
    """Which network, with which weights, run by what."""

    name: str = "tiny"
    weights: Literal["trained", "random"] = Field(
        default="trained", description="random: for speed tests only; marks every output"
    )
    engine: Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"] = Field(
        default="auto",
        description="auto: the fastest there is here, else TorchScript on the CPU; cuda, cuda_graph: that or nothing; "
        "tensorrt: that or nothing, and builds what is missing",
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        default="auto",
        description="auto: fp32, and with TensorRT half precision; fp16: on a GPU; bf16: on a CPU that multiplies it; "
        "whatever is not fp32 only where the engine gate accepts it",
    )
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads of the network; unset: chosen for this machine"
    )
    side: int | None = Field(
        default=None, ge=32, le=2048, description="network size to fit images to; unset: the network's own"
    )
    keep_aspect: bool = Field(default=True, description="false: side x side whatever the image's shape")
    max_batch: int = Field(
        default=1, ge=1, le=256, description="images in one run of the network; on a CPU more save nothing"
    )
    grace_ms: float = Field(
        default=3.0, ge=0, le=1000, description="how long an image waits for company, with max_batch above 1"
    )
    fallback: str | None = Field(
        default=None,
        description="the network that takes over on the CPU when this one fails; unset: on a GPU the same, "
        "or tiny where that is too large for a CPU; on the CPU none",
    )
    layout: Literal["latency", "throughput"] = Field(
        default="latency",
        description="latency: preprocess and network in one thread; throughput: a queue of one between them",
    )


class SteadySettings(Settings):
    """Relative depth that keeps its scale and shift from one image to the next (docs/steadiness.md)."""

    half_life_s: float = Field(
        default=2.0, gt=0, description="half of a lasting change of scale or shift is let through after so long"
    )


class RenderSettings(Settings):
    """How depth becomes colour."""

    colormap: Literal["inferno", "turbo", "magma", "viridis", "gray"] = "inferno"
    range: Literal["smooth", "fixed"] = Field(
        default="smooth", description="smooth: follows the scene slowly; fixed: low..high"
    )
    low: float | None = Field(
        default=None, description="fixed range: depth of the first colour, in the depth map's own unit"
    )
    high: float | None = Field(default=None, description="fixed range: depth of the last colour")
    low_percentile: float = Field(default=2.0, ge=0, lt=50)
    high_percentile: float = Field(default=98.0, gt=50, le=100)
    half_life_s: float = Field(
        default=0.5, gt=0, description="smooth range: time after which half of a change has been followed"
    )

    @model_validator(mode="after")
    def _fixed_range_is_given(self) -> RenderSettings:
        if self.range == "fixed" and (self.low is None or self.high is None or self.low == self.high):
            raise ValueError('range = "fixed" needs two different numbers, low and high')
        return self


class RecordSettings(Settings):
    """An H.264 video file."""

    path: str = Field(description='where to write; must end in .mp4, and "{camera}" stands for the camera\'s name')
    crf: int = Field(default=20, ge=0, le=51, description="x264's constant rate factor: lower is better and larger")
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "veryfast"
    time_stamps: Literal["source", "constant"] = Field(
        default="source",
        description="source: every frame at the moment it was captured; constant: evenly spaced at fps",
    )
    fps: float = Field(
        default=25.0, gt=0, le=240, description="the rate of constant time stamps, and the nominal rate of the others"
    )

    @model_validator(mode="after")
    def _is_an_mp4(self) -> RecordSettings:
        if not self.path.lower().endswith(".mp4"):
            raise ValueError(f'path = "{self.path}" must end in .mp4')
        return self


class PublishSettings(Settings):
    """Depth frames over ZeroMQ (docs/wire.md), for robots and whoever else is allowed to listen."""

    endpoints: tuple[str, ...] = Field(
        default=("tcp://127.0.0.1:5560",),
        min_length=1,
        description="where readers connect: tcp://ADDRESS:PORT (127.0.0.1: this machine only; *: every network card), ipc://PATH",
    )
    encoding: Literal["f32", "f16", "u16"] = Field(
        default="f32", description="of a pixel; u16: millimetres where depth is metric, else 65,534 steps of its range"
    )
    compression: Literal["raw", "zstd", "delta+zstd", "png16"] = Field(
        default="raw", description="delta+zstd and png16: with u16 only; raw is best on one machine"
    )
    checksum: bool = Field(default=False, description="CRC-32 of every payload")
    max_age_ms: float = Field(
        default=500.0, gt=0, le=60_000, description="older depth is never sent, but dropped and counted"
    )
    promised_fps: float | None = Field(
        default=None, gt=0, le=1000, description="readers are told when a stream falls below nine tenths of it"
    )
    preview_quality: int = Field(default=80, ge=1, le=100, description="JPEG quality of preview/<camera>")
    keys: str | None = Field(
        default=None, description="folder of CURVE keys (depthstream keys new): only clients with a key there may read"
    )
    allow_anyone: bool = Field(
        default=False, description="listen on addresses that other machines reach although there are no keys"
    )
    high_water_mark: int = Field(
        default=2, ge=1, le=1000, description="messages kept for a reader that does not keep up; further ones it misses"
    )

    @model_validator(mode="after")
    def _compression_fits(self) -> PublishSettings:
        if self.compression in ("delta+zstd", "png16") and self.encoding != "u16":
            raise ValueError(f'compression = "{self.compression}" is for encoding = "u16"; "zstd" takes any')
        return self


class WebSettings(Settings):
    """A page that shows every camera, and a service that takes images (docs/web.md)."""

    address: str = Field(
        default="127.0.0.1:8080", description="HOST:PORT; 127.0.0.1: this machine only; 0.0.0.0: every network card"
    )
    token: str | None = Field(
        default=None, min_length=16, description="for other addresses than this machine's; unset: made at each start"
    )
    open: bool = Field(default=False, description="let anybody in without a token, on any address")
    hosts: tuple[str, ...] = Field(default=(), description="names under which browsers may reach the page, besides")
    jpeg_quality: int = Field(default=75, ge=1, le=100)
    images: bool = Field(default=True, description="take images (POST /api/depth)")
    models: tuple[str, ...] = Field(default=(), description="for images; unset: the pipeline's own network")
    max_upload_mb: float = Field(default=20.0, gt=0, le=1000)
    max_megapixels: float = Field(default=40.0, gt=0, le=1000)
    cache_mb: float = Field(default=256.0, ge=0, le=100_000, description="of results; 0: none")
    image_workers: int = Field(default=1, ge=1, le=64, description="images that are worked on at a time")
    image_queue: int = Field(default=8, ge=0, le=1000, description="images that may wait; more are told to come back")


class McapSettings(Settings):
    """A recording that ROS 2 tools and Foxglove open: sensor_msgs/Image and CameraInfo of metric depth."""

    path: str = Field(description='where to write; must end in .mcap, and "{camera}" stands for the camera\'s name')
    encoding: Literal["32FC1", "16UC1"] = Field(
        default="32FC1", description="metres as floating point, or millimetres as 16-bit integers (REP 118)"
    )
    compression: Literal["none", "lz4", "zstd"] = "zstd"

    @model_validator(mode="after")
    def _is_mcap(self) -> McapSettings:
        if not self.path.lower().endswith(".mcap"):
            raise ValueError(f'path = "{self.path}" must end in .mcap')
        return self
