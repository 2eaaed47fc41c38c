"""`depthstream demo`: the whole pipeline on a rendered scene, with a second process that reads what it publishes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines import demo
from pipelines.cli.json_file import table_console
from pipelines.cli.page import web_at
from pipelines.cli.run import run_pipeline
from pipelines.components.window import Preview
from pipelines.process.reader_process import ReaderProcess
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls

DEMO_S = 10.0


def run_demo(
    *,
    seconds: float | None,
    output: Path,
    model: str,
    seed: int,
    json_file: Path | None,
    window: bool,
    web_address: str | None = None,
) -> int:
    """Run the demonstration and its reader; returns the exit status.

    Without ``seconds`` it takes ``DEMO_S``, or until Ctrl-C if there is a page to look at.
    """
    if seconds is None and web_address is None:
        seconds = DEMO_S
    with TemporaryDirectory(prefix="depthstream-") as folder:
        endpoint = f"ipc://{folder}/demo"
        settings = _settings(model, seed, output, endpoint)
        controls = ViewControls(settings.render.colormap)
        preview = Preview(controls) if window else None
        web = web_at(web_address, settings.model, [settings.camera.name], controls)
        loop = preview.window("depthstream demo", [settings.camera.name]) if preview else None
        pipe = demo.build(settings, preview, web)
        with ReaderProcess(endpoint, settings.camera.name, folder) as reader:
            pipe.add_statistics("a reader", reader.statistics)
            status = run_pipeline(pipe, seconds=seconds, stats_every_s=None, json_file=json_file, window=loop, web=web)
    if output.exists() and not status:
        line = f"Wrote {output} (image, depth and true depth side by side)."
        table_console(json_file).print(line, markup=False, soft_wrap=True)
    return status


def _settings(model: str, seed: int, output: Path, endpoint: str) -> demo.DemoSettings:
    tables = {
        "camera": {"source": "synthetic", "seed": seed},
        "model": {"name": model},
        "record": {"path": str(output)},
        "publish": {"endpoints": [endpoint]},
    }
    return parse(demo.DemoSettings, {"pipeline": "demo", **tables}, origin="depthstream demo")
