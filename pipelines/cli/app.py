"""The command `depthstream`: what it offers (``pipelines.cli.entry``: where it begins; ``failures``: how it fails).

Nothing heavy is imported here, so that `--help` answers at once; each command imports what it needs when it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from pipelines.cli.app_keys import keys_app
from pipelines.cli.app_models import Weights, models_app
from pipelines.cli.failures import interrupted
from pipelines.cli.web_option import Web, WebCommand


class Commands(TyperGroup):
    """Typer itself would end at Ctrl-C without a word, and with the same status whatever the signal was."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Reads the options, which loads modules."""
        with _told():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """``ctx`` is click's, which typer brings under another name in each version."""
        with _told():
            return super().invoke(ctx)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        raise typer.Exit(interrupted(interrupt)) from None


app = typer.Typer(
    name="depthstream",
    cls=Commands,
    help="Real-time video depth: cameras and files in, depth out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")


def _path(text: str) -> Path:
    """A path; an empty one, which would mean the folder one is in, is a variable that is not set."""
    if not text:
        raise typer.BadParameter("is empty: a variable that is not set?")
    return Path(text)


ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="A pipeline's settings: a TOML file, or the name of a bundled one.")
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one setting; may be repeated.")
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the final figures as JSON (-: print).")
]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Stop after this many seconds.")]
StatsEvery = Annotated[float | None, typer.Option(min=0.1, help="Print the table every so many seconds.")]
Window = Annotated[bool, typer.Option("--window", help="Show the images (h: keys, q: end).")]
Model = Annotated[str, typer.Option(help="Which network (see: depthstream models list).")]
FieldOfView = Annotated[
    float | None,
    typer.Option("--fov", metavar="DEG", min=1.5, max=178, help="Horizontal field of view: metric networks need it."),
]


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"depthstream {version('depthstream')}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and log everything.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is being done.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log for machines: one JSON object a line.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
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
        float | None, typer.Option(min=0.5, help="Length of the demonstration (10; with --web: until Ctrl-C).")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.mp4", parser=_path, help="The video to write.")
    ] = Path("demo.mp4"),
    model: Model = "tiny",
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another scene.")] = 0,
    window: Window = False,
    web: Web = None,
    json: JsonFile = None,
) -> None:
    """Show the whole pipeline on a rendered scene whose true depth is known; needs no camera and no download."""
    from pipelines.cli.run import run_demo

    how: dict[str, Any] = {"json_file": json, "window": window, "web_address": web}
    raise typer.Exit(run_demo(seconds=seconds, output=output, model=model, seed=seed, **how))


@app.command()
def depth(
    inputs: Annotated[
        list[Path], typer.Argument(metavar="INPUT...", parser=_path, help="Images, videos, folders of them.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", parser=_path, help="Folder for the results.")
    ],
    model: Model = "tiny",
    format: Annotated[
        Literal["png16", "npy", "color", "all"], typer.Option(help="16-bit PNG, NumPy array, colours, or all three.")
    ] = "color",
    colormap: Annotated[Literal["inferno", "turbo", "magma", "viridis", "gray"], typer.Option()] = "inferno",
    weights: Weights = "trained",
    fov: FieldOfView = None,
) -> None:
    """Estimate the depth of images and videos."""
    from pipelines.cli.depth import run_depth

    how: dict[str, Any] = {"form": format, "colormap": colormap, "weights": weights, "fov_deg": fov}
    raise typer.Exit(run_depth(inputs, output, model=model, **how))


@app.command()
def run(
    config: ConfigFile,
    assignments: Assignments = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Run any pipeline from a config file until its input is over, the time is up, or Ctrl-C."""
    from pipelines.cli.run import run_config

    raise typer.Exit(run_config(config, assignments or [], seconds=seconds, stats_every_s=stats, json_file=json))


@app.command(cls=WebCommand)
def rtsp(
    urls: Annotated[list[str], typer.Argument(metavar="URL...", help="rtsp://user:password@host/path, or any stream.")],
    transport: Annotated[Literal["prefer_tcp", "tcp", "udp"], typer.Option(help="Of RTSP.")] = "prefer_tcp",
    model: Model = "tiny",
    fov: FieldOfView = None,
    record: Annotated[Path | None, typer.Option(metavar="FILE.mp4", help='Write the depth; "{camera}" in it.')] = None,
    window: Window = False,
    web: Web = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Watch IP cameras, or any streams that FFmpeg reads: depth of the newest image of each, until Ctrl-C."""
    from pipelines.cli.live import run_rtsp

    how: dict[str, Any] = {"seconds": seconds, "stats_every_s": stats, "json_file": json}
    how |= {"window": window, "web_address": web}
    raise typer.Exit(run_rtsp(urls, transport=transport, model=model, fov_deg=fov, record=record, **how))


@app.command(cls=WebCommand)
def webcam(
    devices: Annotated[list[str] | None, typer.Argument(metavar="[DEVICE...]", help="Number or path.")] = None,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Asked for; the device may give another.")] = None,
    fps: Annotated[float | None, typer.Option(min=0.1, help="Asked for.")] = None,
    pixel_format: Annotated[str | None, typer.Option("--format", help="Asked for: mjpeg, yuyv422, ...")] = None,
    model: Model = "tiny",
    fov: FieldOfView = None,
    record: Annotated[Path | None, typer.Option(metavar="FILE.mp4", help='Write the depth; "{camera}" in it.')] = None,
    window: Window = False,
    web: Web = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Watch cameras at this machine: depth of the newest image of each, until Ctrl-C."""
    from pipelines.cli.live import Asked, run_webcam

    asked = Asked(size, fps, pixel_format)
    how: dict[str, Any] = {"seconds": seconds, "stats_every_s": stats, "json_file": json}
    how |= {"window": window, "web_address": web}
    raise typer.Exit(run_webcam(devices or ["0"], asked, model=model, fov_deg=fov, record=record, **how))


@app.command()
def serve(
    config: ConfigFile,
    assignments: Assignments = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Show cameras and their depth in the browser, and take images, until Ctrl-C (see: depthstream config serve)."""
    from pipelines.cli.serve import run_serve

    raise typer.Exit(run_serve(config, assignments or [], seconds=seconds, stats_every_s=stats, json_file=json))


@app.command()
def publish(
    config: ConfigFile,
    assignments: Assignments = None,
    seconds: Seconds = None,
    stats: StatsEvery = None,
    json: JsonFile = None,
) -> None:
    """Publish depth frames over ZeroMQ, for robots, until Ctrl-C (see: depthstream config robot)."""
    from pipelines.cli.publish import run_publish

    raise typer.Exit(run_publish(config, assignments or [], seconds=seconds, stats_every_s=stats, json_file=json))


@app.command()
def watch(
    endpoint: Annotated[str, typer.Argument(help="tcp://ADDRESS:PORT or ipc://PATH of a publisher.")],
    streams: Annotated[list[str] | None, typer.Option("--stream", help="Only this camera; may be repeated.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    seconds: Seconds = None,
    max_age: Annotated[float | None, typer.Option(min=1, metavar="MS", help="Leave out older frames.")] = None,
    keys: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder with server.key and NAME.key_secret.")
    ] = None,
    server_key: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    client_key: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON line a frame.")] = False,
) -> None:
    """Read depth frames as a robot would: ages, gaps, state of each stream."""
    from pipelines.cli.watch.command import KeyFiles, run_watch

    files = KeyFiles(keys, server_key, client_key)
    how: dict[str, Any] = {"count": count, "seconds": seconds, "max_age_ms": max_age, "as_json": json}
    raise typer.Exit(run_watch(endpoint, streams or [], keys=files, **how))


@app.command()
def devices(json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the cameras at this machine and their formats."""
    from pipelines.cli.devices import print_devices

    raise typer.Exit(print_devices(as_json=json))


@app.command()
def check(config: ConfigFile, assignments: Assignments = None) -> None:
    """Check a config file; print the resolved settings and the graph. Opens nothing."""
    from pipelines.cli.check import print_check

    print_check(config, assignments or [])


@app.command()
def config(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Without it: which there are.")] = None,
) -> None:
    """Print a config that comes with the package, to begin one's own with: depthstream config serve > serve.toml."""
    from pipelines.cli.config import print_config

    print_config(name)


@app.command()
def schema() -> None:
    """Print the JSON Schema of config files."""
    from pipelines.cli.check import print_schema

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
            help="Just this: file, tutorial, networks, live or start; with --models a network. May be repeated.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Of the live question (60), of each network (5), of each batch (2).")
    ] = None,
    models: Annotated[bool, typer.Option("--models", help="Measure what each network costs instead.")] = False,
    engine: Annotated[
        Literal["auto", "torchscript", "cuda", "cuda_graph", "tensorrt"] | None,
        typer.Option(help="Measure batches of one network on this engine instead."),
    ] = None,
    model: Model = "tiny",
    size: Annotated[str | None, typer.Option(metavar="WxH", help="With --engine: of the network's input.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=256, help="With --engine: the largest.")] = 8,
    precision: Annotated[Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="With --engine.")] = "auto",
    weights: Weights = "trained",
) -> None:
    """Measure this machine: the pipeline's promises; --models: each network; --engine: what batches cost one."""
    from pipelines.cli.bench.options import check_bench_options

    given = {name for name in ctx.params if getattr(ctx.get_parameter_source(name), "name", "") != "DEFAULT"}
    check_bench_options(given)
    if engine is not None:
        from pipelines.cli.bench.engine import bench_engine

        how: dict[str, Any] = {"precision": precision, "weights": weights, "seconds": seconds or 2.0, "json_file": json}
        raise typer.Exit(bench_engine(model, engine=engine, size=size, batch=batch, **how))
    if models:
        from pipelines.cli.bench.models import run_bench_models

        raise typer.Exit(run_bench_models(only, seconds=seconds or 5.0, json_file=json))
    from pipelines.cli.bench.suite import run_bench

    raise typer.Exit(run_bench(only, seconds=seconds or 60.0, json_file=json))


@app.command("eval")
def evaluate(
    model: Model = "tiny",
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="synthetic|motorcycle|DIR", help="May be repeated; DIR: name.png and name.npy in metres."),
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=10_000, help="Number of rendered views (synthetic).")] = 60,
    json: JsonFile = None,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write image, truth, prediction and error side by side.")
    ] = None,
    weights: Weights = "trained",
) -> None:
    """Measure how good a network's depth is on images whose depth is known."""
    from pipelines.cli.evaluate import run_eval

    chosen = data or ["synthetic"]
    raise typer.Exit(run_eval(model=model, weights=weights, data=chosen, views=views, json_file=json, sheet=sheet))
