"""Settings: TOML in, frozen pydantic models out; a mistake is answered with file, table, key, value and the near key.

The tables that several pipelines share are here; each pipeline composes them into its own model (see ``pipelines``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stream.errors import SettingsError


class Settings(BaseModel):
    """Base of every table: immutable, and no key passes unread."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class VideoCamera(Settings):
    """A video file."""

    source: Literal["video"]
    name: str = "video"
    path: str
    pace: Literal["fast", "file"] = Field(
        default="fast", description="fast: as fast as possible; file: at the file's own frame rate"
    )
    loop: bool = Field(default=False, description="start again at the end")


class ImagesCamera(Settings):
    """A folder of pictures, in the order of their names, or one picture."""

    source: Literal["images"]
    name: str = "images"
    path: str
    fps: float | None = Field(default=None, gt=0, le=1000, description="hold this rate; unset: as fast as possible")
    loop: bool = Field(default=False, description="start again at the end")


class SyntheticCamera(Settings):
    """A moving rendered scene whose depth is known exactly."""

    source: Literal["synthetic"]
    name: str = "synthetic"
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
"""pass: go on, flagged; drop: leave out, counted; hold: the last good picture in its place, with its own time."""


class IntegritySettings(Settings):
    """What becomes of pictures that are not what the camera saw."""

    tainted: OnFault = Field(default="pass", description="damaged by loss, until the next key frame")
    frozen: OnFault = Field(default="pass", description="the same picture again and again")
    black: OnFault = Field(default="pass", description="nothing but black")
    frozen_after_s: float = Field(
        default=3.0,
        gt=0,
        description="the same picture for so long is frozen; longer than the camera's key frame interval",
    )


class LiveCamera(Settings):
    """What all live cameras share."""

    stall_s: float = Field(default=1.8, ge=0.3, le=60, description="no picture for so long: connect again")
    open_s: float = Field(default=5.0, ge=0.5, le=120, description="give up opening after so long, and try again later")
    max_fps: float | None = Field(default=None, gt=0, le=1000, description="leave out what comes faster; unset: all")
    integrity: IntegritySettings = IntegritySettings()


class NetworkCamera(LiveCamera):
    """An IP camera, or any other live stream that FFmpeg reads: http MJPEG, HLS, UDP, MPEG-TS, ``lavfi:`` patterns."""

    source: Literal["rtsp", "url"]
    name: str = "camera"
    url: str = Field(description="rtsp://user:password@host/path; the password appears in no log")
    transport: Literal["prefer_tcp", "tcp", "udp"] = Field(
        default="prefer_tcp", description="of RTSP; prefer_tcp: UDP where the camera refuses TCP"
    )
    decode: Literal["cpu", "cuda", "auto"] = "cpu"


class WebcamCamera(LiveCamera):
    """A camera at this machine; what is not set is the device's own choice, and it may give another than asked."""

    source: Literal["webcam"]
    name: str = "webcam"
    device: str = Field(default="0", description="number, or path as in /dev/video0")
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
    engine: Literal["auto", "torchscript"] = "auto"
    threads: int | None = Field(
        default=None, ge=1, le=256, description="CPU threads of the network; unset: chosen for this machine"
    )
    side: int | None = Field(
        default=None, ge=32, le=2048, description="network size to fit pictures to; unset: the network's own"
    )
    keep_aspect: bool = Field(default=True, description="false: side x side whatever the picture's shape")
    max_batch: int = Field(
        default=1, ge=1, le=256, description="pictures in one run of the network; on a CPU more save nothing"
    )
    grace_ms: float = Field(
        default=3.0, ge=0, le=1000, description="how long a picture waits for company, with max_batch above 1"
    )
    layout: Literal["latency", "throughput"] = Field(
        default="latency",
        description="latency: preprocess and network in one thread; throughput: a queue of one between them",
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


S = TypeVar("S", bound=Settings)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises SettingsError for a file that is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SettingsError(f"{path}: no such config file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read as a config file: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from error


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of ``data`` with each ``table.key=value`` put in; list items by number: ``cameras.0.path=clip.mp4``.

    The value is read as TOML (``true``, ``3``, ``"text"``, ``[1, 2]``); what is not TOML is taken as text.
    Raises SettingsError for an assignment without ``=`` and for a path through something that is not a table.
    """
    result: dict[str, Any] = _copy(data)
    for assignment in assignments:
        dotted, equals, text = assignment.partition("=")
        *tables, key = dotted.strip().split(".")
        if not equals or not key:
            raise SettingsError(f'--set {assignment}: expected table.key=value, for example --set model.name="tiny"')
        target: Any = result
        for name in tables:
            target = _step(target, name, assignment)
        if not isinstance(target, dict):
            raise SettingsError(f'--set {assignment}: "{".".join(tables)}" is not a table')
        target[key] = _toml_value(text.strip())
    return result


def parse(model: type[S], data: Mapping[str, Any], origin: str) -> S:
    """``data`` as settings. Raises SettingsError with one line for each mistake; ``origin`` names the file."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        lines = [_explain(model, dict(problem)) for problem in error.errors()]
        raise SettingsError("\n".join(f"{origin}: {line}" for line in lines)) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean "x"?`` for the known name that looks most like ``name``, else the list of known names."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    return f'; did you mean "{close[0]}"?' if close else f"; known: {', '.join(names)}"


def _explain(model: type[Settings], problem: Mapping[str, Any]) -> str:
    location, value = tuple(problem["loc"]), problem.get("input")
    *above, key = location or ("",)
    if problem["type"] == "extra_forbidden":
        known = _known_keys(model, above)
        return f'{_table(above)}unknown key "{key}" = {_shown(value)}{nearest(str(key), known)}'
    if problem["type"] == "missing":
        return f'{_table(above)}key "{key}" is missing'
    if problem["type"] == "union_tag_not_found":
        return f'{_table(location)}key "source" is missing: "rtsp", "url", "webcam", "video", "images" or "synthetic"'
    if problem["type"] == "union_tag_invalid":
        tag = value.get("source") if isinstance(value, dict) else value
        tags = [str(tag) for tag in problem["ctx"]["expected_tags"].replace("'", "").split(", ")]
        return f"{_table(location)}source = {_shown(tag)} does not exist{nearest(str(tag), tags)}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{_table(location)}{message}"
    return f"{_table(above)}{key} = {_shown(value)}: {message[0].lower()}{message[1:]}"


def _table(location: Iterable[Any]) -> str:
    path = ".".join(str(part) for part in _without_tags(location))
    return f"[{path}] " if path else ""


def _without_tags(location: Iterable[Any]) -> Iterator[Any]:
    """Drop the discriminator's tag that pydantic puts behind a list index: ("cameras", 0, "video") names no table."""
    after_index = False
    for part in location:
        if not after_index:
            yield part
        after_index = isinstance(part, int)


def _known_keys(model: type[Settings], location: Iterable[Any]) -> list[str]:
    here: list[type[Settings]] = [model]
    for part in location:
        if isinstance(part, str):
            fields = [m.model_fields[part].annotation for m in here if part in m.model_fields]
            here = [m for annotation in fields for m in _models_in(annotation)] or [
                m for m in here if part in get_args(getattr(m.model_fields.get("source"), "annotation", None))
            ]
    return sorted({name for m in here for name in m.model_fields})


def _models_in(annotation: Any) -> Iterator[type[Settings]]:
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        yield annotation
    elif get_origin(annotation) in (list, tuple, dict, Union, UnionType, Annotated):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(data: Any) -> Any:
    if isinstance(data, Mapping):
        return {key: _copy(value) for key, value in data.items()}
    return [_copy(value) for value in data] if isinstance(data, list) else data


def _step(target: Any, name: str, assignment: str) -> Any:
    if isinstance(target, list):
        if not name.isdigit() or int(name) >= len(target):
            raise SettingsError(f'--set {assignment}: there are {len(target)} entries, numbered from 0; got "{name}"')
        return target[int(name)]
    if not isinstance(target, dict):
        raise SettingsError(f'--set {assignment}: "{name}" is not inside a table')
    return target.setdefault(name, {})
