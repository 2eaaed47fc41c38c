"""The command `depthstream`: what it offers, and how every error reaches the person at the keyboard.

Nothing heavy is imported here, so that `--help` answers at once; each command imports what it needs when it runs.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from pipelines.cli.app_keys import keys_app
from pipelines.cli.app_models import Weights, models_app
from pipelines.cli.web_option import Web, WebCommand
from stream.engines.threads import wait_without_spinning

app = typer.Typer(
    name="depthstream",
    help="Real-time video depth: cameras and files in, depth out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(models_app, name="models")
app.add_typer(keys_app, name="keys")

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="A pipeline's settings (see configs/).")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Change one setting; may be repeated.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the final figures as JSON.")]
Seconds = Annotated[float | None, typer.Option(min=0.1, help="Stop after this many seconds.")]
StatsEvery = Annotated[float | None, typer.Option(min=0.1, help="Print the table every so many seconds.")]
Window = Annotated[bool, typer.Option("--window", help="Show the pictures (h: keys, q: end).")]
Model = Annotated[str, typer.Option(help="Which network (see: depthstream models list).")]
FieldOfView = Annotated[
    float | None,
    typer.Option("--fov", metavar="DEG", min=1.5, max=178, help="Horizontal field of view: metric networks need it."),
]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks, and log everything.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is being done.")] = False,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log for machines: one JSON object a line.")] = False,
) -> None:
    if log_json:
        from stream.log_json import set_up_json as set_up
    else:
        from stream.log import set_up

    set_up(verbose=verbose or debug)


@app.command(cls=WebCommand)
def demo(
    seconds: Annotated[
        float | None, typer.Option(min=0.5, help="Length of the demonstration (10; with --web: until Ctrl-C).")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The video to write.")] = Path("demo.mp4"),
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
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Pictures, folders of pictures, videos.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder for the results.")],
    model: Model = "tiny",
    format: Annotated[
        Literal["png16", "npy", "color", "all"], typer.Option(help="16-bit PNG, NumPy array, colours, or all three.")
    ] = "color",
    colormap: Annotated[Literal["inferno", "turbo", "magma", "viridis", "gray"], typer.Option()] = "inferno",
    weights: Weights = "trained",
    fov: FieldOfView = None,
) -> None:
    """Estimate the depth of pictures and videos."""
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
    """Watch IP cameras, or any streams that FFmpeg reads: depth of the newest picture of each, until Ctrl-C."""
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
    """Watch cameras at this machine: depth of the newest picture of each, until Ctrl-C."""
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
    """Show cameras and their depth in the browser, and take pictures, until Ctrl-C (see configs/serve.toml)."""
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
    """Publish depth frames over ZeroMQ, for robots, until Ctrl-C (see configs/robot.toml)."""
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
    from pipelines.cli.watch import KeyFiles, run_watch

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
def schema() -> None:
    """Print the JSON Schema of config files."""
    from pipelines.cli.check import print_schema

    print_schema()


@app.command()
def bench(
    json: JsonFile = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Just this question, or network with --models; repeatable."),
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
    size: Annotated[str | None, typer.Option(metavar="HxW", help="With --engine: of the network's input.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=256, help="With --engine: the largest.")] = 8,
    precision: Annotated[Literal["auto", "fp32", "fp16", "bf16"], typer.Option(help="With --engine.")] = "auto",
    weights: Weights = "trained",
) -> None:
    """Measure this machine: the pipeline's promises; --models: each network; --engine: what batches cost one."""
    if engine is not None:
        from pipelines.cli.bench_engine import bench_engine

        how: dict[str, Any] = {"precision": precision, "weights": weights, "seconds": seconds or 2.0, "json_file": json}
        raise typer.Exit(bench_engine(model, engine=engine, size=size, batch=batch, **how))
    if models:
        from pipelines.cli.bench_models import run_bench_models

        raise typer.Exit(run_bench_models(only, seconds=seconds or 5.0, json_file=json))
    from pipelines.cli.bench import run_bench

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
        Path | None, typer.Option(metavar="FILE.png", help="Write picture, truth, prediction and error side by side.")
    ] = None,
    weights: Weights = "trained",
) -> None:
    """Measure how good a network's depth is on pictures whose depth is known."""
    from pipelines.cli.evaluate import run_eval

    chosen = data or ["synthetic"]
    raise typer.Exit(run_eval(model=model, weights=weights, data=chosen, views=views, json_file=json, sheet=sheet))


def main() -> NoReturn:
    """Run the command line; every failure is one line on standard error and an exit status."""
    wait_without_spinning()
    debug = "--debug" in sys.argv
    try:
        app()
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except Exception as error:
        if debug and not for_machines():
            raise
        sys.exit(_report(error))
    sys.exit(0)


def _report(error: Exception) -> int:
    from stream.errors import DepthStreamError

    if isinstance(error, DepthStreamError):
        text = str(error)
    elif isinstance(error, ImportError) and "libGL" in str(error):
        text = "OpenCV needs libGL: apt-get install libgl1 libglib2.0-0; or: pip install opencv-python-headless"
    else:
        text = f"internal error: {type(error).__name__}: {error} (--debug shows where)"
    _say(text)
    return error.exit_status if isinstance(error, DepthStreamError) else 1


def for_machines() -> bool:
    """The log is read by a program: whatever is said on standard error is an event."""
    return "--log-json" in sys.argv


def _say(text: str) -> None:
    """For people a line, for machines an event; the traceback of what is being handled with --debug."""
    from stream.log import redact

    if for_machines():
        logging.getLogger("pipelines.cli").error("%s", redact(text), exc_info="--debug" in sys.argv)
    else:
        print(f"depthstream: {redact(text)}", file=sys.stderr)


if __name__ == "__main__":
    main()
