"""The commands of `depthstream` and their options (``entry`` starts the program, ``failures`` reports its errors).

Nothing heavy is imported here, so that `--help` answers at once: each command imports its implementation when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from pipelines.cli.app_groups import Weights, keys_app, models_app
from pipelines.cli.failures import interrupted
from pipelines.cli.web_option import Web, WebCommand


class Commands(TyperGroup):
    """Reports Ctrl-C and other signals in one line; Typer alone exits silently, with one status for every signal."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the options, which imports modules and can be interrupted, too."""
        with _reports_interrupts():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command. ``ctx`` is click's context, whose class Typer re-exports differently in each version."""
        with _reports_interrupts():
            return super().invoke(ctx)


@contextmanager
def _reports_interrupts() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(interrupted(interrupt)) from None


app = typer.Typer(
    name="depthstream",
    cls=Commands,
    help="Real-time video depth: cameras and files in, depth out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # ``entry`` reports every error in one line
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")


def _path(text: str) -> Path:
    """Parse a path. An empty one is refused: it would mean the current folder, but comes from an unset variable."""
    if not text:
        raise typer.BadParameter("is empty: a variable that is not set?")
    return Path(text)


ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="TOML file with a pipeline's settings, or the name of a bundled one.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one setting; may be repeated.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the results as JSON (-: standard output).")
]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Stop after this many seconds.")]
StatsEvery = Annotated[float | None, typer.Option(min=0.1, help="Print the statistics at this interval, in seconds.")]
WatchConfig = Annotated[
    bool,
    typer.Option("--watch-config", help="Apply the cameras of CONFIG whenever the file changes, or on SIGHUP."),
]
Window = Annotated[bool, typer.Option("--window", help="Show the images in a window (h: keys, q: quit).")]
Model = Annotated[str, typer.Option(help="Network to use (see: depthstream models list).")]
FieldOfView = Annotated[
    float | None,
    typer.Option(
        "--fov", metavar="DEG", min=1.5, max=178, help="Camera's horizontal field of view; metric networks need it."
    ),
]
Record = Annotated[
    Path | None,
    typer.Option(metavar="FILE.mp4", help='Record the depth as video; "{camera}" stands for the camera\'s name.'),
]


def _version(is_given: bool) -> None:
    if is_given:
        from importlib.metadata import version

        print(f"depthstream {version('depthstream')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Log everything, and show tracebacks.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is being done.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log one JSON object per line, for programs.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if log_json:
        from pipelines.cli.json_log import set_up_json as set_up
    else:
        from stream.core.log import set_up

    set_up(verbose=verbose or debug)


@app.command(cls=WebCommand)
def demo(
    seconds: Annotated[
        float | None, typer.Option(min=0.5, help="Duration of the demo (10; with --web: until Ctrl-C).")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.mp4", parser=_path, help="Video to write.")
    ] = Path("demo.mp4"),
    model: Model = "tiny",
    seed: Annotated[int, typer.Option(min=0, help="Random seed of the scene.")] = 0,
    window: Window = False,
    web: Web = None,
    json: JsonFile = None,
) -> None:
    """Run the whole pipeline on a rendered scene with known depth; needs no camera and no download."""
    from pipelines.cli.demo import run_demo

    rest: dict[str, Any] = {"json_file": json, "window": window, "web_address": web}
    raise typer.Exit(run_demo(seconds=seconds, output=output, model=model, seed=seed, **rest))


@app.command()
def depth(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", parser=_path, help="Images, videos, or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", parser=_path, help="Folder for the results.")
    ],
    model: Model = "tiny",
    format: Annotated[
        Literal["png16", "npy", "color", "all"],
        typer.Option(help="16-bit PNG, NumPy array, coloured image or video, or all three."),
    ] = "color",
    colormap: Annotated[
        Literal["inferno", "turbo", "magma", "viridis", "gray"], typer.Option(help="Colours for --format color.")
    ] = "inferno",
    weights: Weights = "trained",
    fov: FieldOfView = None,
) -> None:
    """Estimate the depth of images and videos."""
    from pipelines.cli.depth import run_depth

    rest: dict[str, Any] = {"form": format, "colormap": colormap, "weights": weights, "fov_deg": fov}
    raise typer.Exit(run_depth(inputs, output, model=model, **rest))


@app.command()
def run(
    config: ConfigFile,
    assignments: Assignments = None,
    watch_config: WatchConfig = False,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Run any pipeline from a config file until its input ends, the time is up, or Ctrl-C."""
    from pipelines.cli.run import run_config

    rest: dict[str, Any] = {"watch_config": watch_config, "seconds": seconds, "stats_every_s": stats, "json_file": json}
    raise typer.Exit(run_config(config, assignments or [], **rest))


@app.command(cls=WebCommand)
def rtsp(
    urls: Annotated[
        list[str],
        typer.Argument(metavar="URL...", help="rtsp://user:password@host/path, or any stream that FFmpeg reads."),
    ],
    transport: Annotated[Literal["prefer_tcp", "tcp", "udp"], typer.Option(help="Transport of RTSP.")] = "prefer_tcp",
    model: Model = "tiny",
    fov: FieldOfView = None,
    record: Record = None,
    window: Window = False,
    web: Web = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Estimate the depth of IP cameras or other streams, always of the newest frame of each, until Ctrl-C."""
    from pipelines.cli.live import run_rtsp

    rest: dict[str, Any] = {"seconds": seconds, "stats_every_s": stats, "json_file": json}
    rest |= {"window": window, "web_address": web}
    raise typer.Exit(run_rtsp(urls, transport=transport, model=model, fov_deg=fov, record=record, **rest))


@app.command(cls=WebCommand)
def webcam(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="[DEVICE...]", help="Number or path of the device (0).")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WxH", help="Requested size; the device may choose another.")
    ] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="Requested frame rate.")] = None,
    pixel_format: Annotated[
        str | None, typer.Option("--format", help="Requested pixel format: mjpeg, yuyv422, ...")
    ] = None,
    model: Model = "tiny",
    fov: FieldOfView = None,
    record: Record = None,
    window: Window = False,
    web: Web = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Estimate the depth of cameras attached to this machine, always of the newest frame of each, until Ctrl-C."""
    from pipelines.cli.live import CaptureFormat, run_webcam

    requested = CaptureFormat(size, fps, pixel_format)
    rest: dict[str, Any] = {"seconds": seconds, "stats_every_s": stats, "json_file": json}
    rest |= {"window": window, "web_address": web}
    raise typer.Exit(run_webcam(devices or ["0"], requested, model=model, fov_deg=fov, record=record, **rest))


@app.command()
def serve(
    config: ConfigFile,
    assignments: Assignments = None,
    watch_config: WatchConfig = False,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Show cameras and their depth in the browser, and take uploads, until Ctrl-C (see: depthstream config serve)."""
    from pipelines.cli.run import run_serve

    rest: dict[str, Any] = {"watch_config": watch_config, "seconds": seconds, "stats_every_s": stats, "json_file": json}
    raise typer.Exit(run_serve(config, assignments or [], **rest))


@app.command()
def publish(
    config: ConfigFile,
    assignments: Assignments = None,
    watch_config: WatchConfig = False,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Publish depth frames over ZeroMQ, for robots, until Ctrl-C (see: depthstream config robot)."""
    from pipelines.cli.run import run_publish

    rest: dict[str, Any] = {"watch_config": watch_config, "seconds": seconds, "stats_every_s": stats, "json_file": json}
    raise typer.Exit(run_publish(config, assignments or [], **rest))


@app.command()
def watch(
    endpoint: Annotated[
        str, typer.Argument(metavar="ENDPOINT", help="Address of a publisher: tcp://ADDRESS:PORT or ipc://PATH.")
    ],
    streams: Annotated[list[str] | None, typer.Option("--stream", help="Only this camera; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many frames.")] = None,
    seconds: Seconds = None,
    max_age: Annotated[float | None, typer.Option(min=1, metavar="MS", help="Skip frames older than this.")] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with server.key and NAME.key_secret.")
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The publisher's public key, server.key.")
    ] = None,
    client_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The reader's secret key, NAME.key_secret.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object per frame.")] = False,
) -> None:
    """Read depth frames as a robot would; show age, gaps and state of each stream."""
    from pipelines.cli.watch.command import KeyFiles, run_watch

    files = KeyFiles(keys, server_key, client_key)
    rest: dict[str, Any] = {"count": count, "seconds": seconds, "max_age_ms": max_age, "as_json": json}
    raise typer.Exit(run_watch(endpoint, streams or [], keys=files, **rest))


@app.command()
def devices(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the cameras attached to this machine and their formats."""
    from pipelines.cli.devices import print_devices

    raise typer.Exit(print_devices(as_json=json))


@app.command()
def check(config: ConfigFile, assignments: Assignments = None) -> None:
    """Check a config file; print the resolved settings and the graph. Opens no camera and loads no network."""
    from pipelines.cli.config import print_check

    print_check(config, assignments or [])


@app.command()
def config(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of a bundled config; without it, list them.")
    ] = None,
) -> None:
    """Print a bundled config, to start your own from it: depthstream config serve > serve.toml."""
    from pipelines.cli.config import print_config

    print_config(name)


@app.command()
def schema() -> None:
    """Print the JSON Schema of config files."""
    from pipelines.cli.config import print_schema

    print_schema()


@app.command()
def bench(
    ctx: typer.Context,
    json: JsonFile = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="NAME",
            help="Only this one: file, tutorial, networks, live or start; with --models a network. May be repeated.",
        ),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.1, help="Duration of the live benchmark (60), per network (5), per batch size (2)."),
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="Measure the cost of each network instead.")] = False,
    engine: Annotated[
        Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"] | None,
        typer.Option(help="Measure batches of one network on this engine instead."),
    ] = None,
    model: Model = "tiny",
    size: Annotated[str | None, typer.Option(metavar="WxH", help="With --engine: size of the network's input.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=256, help="With --engine: the largest batch.")] = 8,
    precision: Annotated[
        Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="With --engine: number format of the network.")
    ] = "auto",
    weights: Weights = "trained",
) -> None:
    """Benchmark this machine: the pipeline against its goals, each network (--models), or batches (--engine)."""
    from pipelines.cli.bench.command import run_bench

    given = {name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") != "DEFAULT"}
    rest: dict[str, Any] = {"model": model, "size": size, "batch": batch, "precision": precision, "weights": weights}
    raise typer.Exit(run_bench(given, only=only, models=models, engine=engine, seconds=seconds, json_file=json, **rest))


@app.command()
def drill(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="TOML file with your cameras, or the name of a bundled one."),
    ] = None,
    assignments: Assignments = None,
    test_camera: Annotated[
        bool, typer.Option("--test-camera", help="Use a test camera on this machine in place of yours.")
    ] = False,
    camera: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this camera; without it, all network cameras in turn.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="SCENARIO", help="Only this scenario; may be repeated.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter faults.")] = False,
    json: JsonFile = None,
    page: Annotated[
        Path | None, typer.Option(metavar="FILE.md", parser=_path, help="Write the results into this page, too.")
    ] = None,
) -> None:
    """Try the live input with your camera behind a faulty network; print which promises about ages and images hold."""
    from pipelines.cli.drill import run_drill

    rest: dict[str, Any] = {"camera": camera, "only": only or [], "quick": quick, "json_file": json, "page": page}
    raise typer.Exit(run_drill(config, assignments or [], test_camera=test_camera, **rest))


@app.command("eval")
def evaluate(
    model: Model = "tiny",
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="synthetic|motorcycle|DIR", help="Data set; DIR has name.png and name.npy in metres. Repeatable."
        ),
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Number of rendered views (synthetic).")] = 60,
    json: JsonFile = None,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write image, ground truth, prediction and error side by side."),
    ] = None,
    weights: Weights = "trained",
) -> None:
    """Measure how accurate a network's depth is on images with known depth."""
    from pipelines.cli.evaluate import run_eval

    data_sets = data or ["synthetic"]
    raise typer.Exit(run_eval(model=model, weights=weights, data=data_sets, views=views, json_file=json, sheet=sheet))
