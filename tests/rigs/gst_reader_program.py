"""Reads a GStreamer pipeline as the product does and prints one line of JSON per frame; for a process of its own.

    python -m tests.rigs.gst_reader_program 'videotestsrc is-live=true' 10 [FILE]

The last line is ``{"error": "SourceStalled: ..."}`` if the source raised one of our errors, and ``{"end": true}`` else.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic_ns
from typing import Any, TextIO

from stream.errors import DepthStreamError
from stream.frames import Dropped
from stream.settings import GstreamerCamera
from stream.sources.gstreamer.source import GstreamerSource
from tests.rigs.rtsp_camera import read_number

Facts = dict[str, Any]


def facts(pipeline: str, count: int) -> Iterator[Facts]:
    """What ``count`` frames showed, when, and how old they said they were."""
    settings = GstreamerCamera(source="gstreamer", name="rig", pipeline=pipeline, open_s=20)
    stopping, seen = threading.Event(), 0
    try:
        with GstreamerSource(settings) as source:
            for frame in source.frames(stopping):
                if isinstance(frame, Dropped):
                    continue
                now_ns = monotonic_ns()
                seen += 1
                yield {
                    "number": read_number(frame.image),
                    "now_s": now_ns / 1e9,
                    "age_s": frame.stamp.age_s(now_ns),
                    "stamp": frame.stamp.source,
                    "integrity": frame.integrity,
                    "size": str(frame.size),
                    "mean": float(frame.image.mean()),
                }
                if seen == count:
                    stopping.set()
    except DepthStreamError as error:
        yield {"error": f"{type(error).__name__}: {error}"}
    else:
        yield {"end": True}


def main(arguments: list[str]) -> int:
    pipeline, count, *file = arguments
    output: TextIO = Path(file[0]).open("w") if file else sys.stdout  # noqa: SIM115  # closed with the process
    for line in facts(pipeline, int(count)):
        output.write(f"{json.dumps(line)}\n")
        output.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
