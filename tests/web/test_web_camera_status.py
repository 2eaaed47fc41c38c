"""Statistics below each camera: from the pipeline's account, the camera's health, and the viewers' rate."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from stream.runtime.stats import Account, CameraHealth, PipelineStats
from stream.web.camera_status import camera_lines
from stream.web.live.hub import WebSink
from tests.web.web_client import WebClient

FRONT = Account("show", "front", 100, 80, {"superseded (capture > depth)": 15})
STATS = PipelineStats("test", 12.5, (), (), (FRONT,))
LOST = CameraHealth(
    *("front", "waiting", 3.5, "fair"),
    *(2, 1),
    trouble="cannot open rtsp://admin:s3cr3t@10.0.0.7/main: no route to host",
    log=("rtsp://admin:s3cr3t@10.0.0.7/main: timed out",),
    offline_s=303.5,
)


def test_a_camera_without_health_is_live() -> None:
    """A file or scene counts as live since the start; it has no age before its first image."""
    (line,) = camera_lines(STATS, WebSink(["front"]))
    assert line == {
        "name": "front",
        "state": "live",
        "since_s": 12.5,
        "offline_s": 0.0,
        "fps": 0.0,
        "age_p50_ms": None,
        "age_p95_ms": None,
        "captured": 100,
        "published": 80,
        "dropped": {"superseded (capture > depth)": 15},
        "grade": "unknown",
        "trouble": "",
        "clock": "",
    }


def test_a_camera_that_is_out_says_why_without_its_password() -> None:
    """State, duration and reason; every text is redacted."""
    secret = replace(FRONT, dropped={"failed (rtsp://admin:s3cr3t@10.0.0.7/main)": 5})
    (line,) = camera_lines(replace(STATS, cameras=(LOST,), accounts=(secret,)), WebSink(["front"]))
    assert (line["state"], line["since_s"], line["offline_s"], line["grade"]) == ("waiting", 3.5, 303.5, "fair")
    assert line["trouble"] == "cannot open rtsp://admin:***@10.0.0.7/main: no route to host"
    assert line["dropped"] == {"failed (rtsp://admin:***@10.0.0.7/main)": 5}
    assert "s3cr3t" not in json.dumps(line)


def test_the_account_is_that_of_the_stage_that_feeds_the_sink(web_view) -> None:
    """Of several terminal stages, the one whose thread writes; before it has written, the first."""
    publish = replace(FRONT, terminal="publish", published=20)
    stats, sink = replace(STATS, accounts=(publish, FRONT)), WebSink(["front"])
    assert camera_lines(stats, sink)[0]["published"] == 20
    writer = threading.Thread(target=sink.write, args=(web_view(),), name="show")
    writer.start()
    writer.join()
    assert camera_lines(stats, sink)[0]["published"] == 80


def test_every_camera_has_a_line(web_view) -> None:
    """In this order, each once: announced cameras, unannounced ones, those that only the pipeline knows."""
    sink = WebSink(["front", "rear"])
    sink.write(web_view(0, "side"))
    stats = replace(STATS, cameras=(replace(LOST, name="rear"), replace(LOST, name="roof")))
    assert [line["name"] for line in camera_lines(stats, sink)] == ["front", "rear", "side", "roof"]


@pytest.mark.slow
def test_viewers_receive_the_pipelines_statistics(serve) -> None:
    """They are updated again and again; one snapshot of the pipeline serves all viewers."""
    callers: list[str] = []

    def stats() -> PipelineStats:
        callers.append(threading.current_thread().name)
        return replace(STATS, cameras=(LOST,), accounts=(replace(FRONT, captured=len(callers)),))

    served = serve(("front",), stats)
    with WebClient(served.ws) as one, WebClient(served.ws) as other:
        received = [[viewer.hear("stats")["cameras"][0]["captured"] for _ in range(4)] for viewer in (one, other)]
    assert all(numbers == sorted(set(numbers)) for numbers in received)
    assert set(received[0]) & set(received[1])
    assert set(callers) == {"web"}
