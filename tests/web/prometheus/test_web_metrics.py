"""Prometheus metrics: well formed, consistent with the pipeline, and described in docs/reference/monitoring.md."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, get_args

import numpy as np
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from stream.core.clock import Stamp
from stream.frames import DepthMap, Frame, Image, View
from stream.runtime.stats import CameraGrade, CameraState
from stream.settings import WebSettings
from stream.web.depth_api.routes import ImageService
from stream.web.prometheus.routes import IMAGE_METRICS, IMAGE_RESULTS, SINK_METRICS
from tests.web.served import Served, wait_until

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "monitoring.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DROPPED = "depthstream_frames_dropped_total"
Labels: TypeAlias = tuple[str, ...]
Scraped: TypeAlias = dict[str, dict[Labels, float]]
"""Metric name -> label values, in the order of the label names -> value."""


def estimate(model: str, image: Image) -> DepthMap:
    """A ramp of the image's size."""
    height, width = image.shape[:2]
    depth = np.linspace(1, 2, height * width, dtype=np.float32).reshape(height, width)
    return DepthMap(depth, "relative_inverse", Frame(image, "image", 0, Stamp.now()), model)


def paint(depth_map: DepthMap, colormap: str) -> View:
    """Grey, whatever the colour map is."""
    return View(depth_map.frame.image, depth_map, 0.0, 1.0)


@pytest.fixture
def served() -> Iterator[Served]:
    with (
        ImageService(estimate, ["ramp"], WebSettings(), paint=paint) as images,
        Served(images=images).serving() as served,
    ):
        yield served


def families(served: Served) -> list[Metric]:
    return list(parse_text(served.get("/metrics").body))


def scrape(served: Served) -> Scraped:
    found: Scraped = {}
    for family in families(served):
        for sample in family.samples:
            values = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[values] = sample.value
    return found


def test_the_account_holds_at_every_scrape(served: Served) -> None:
    """Captured = published + dropped by place and reason + in flight, for each camera."""
    for _ in range(10):
        found = scrape(served)
        for camera in ("front", "clip"):
            dropped = sum(n for (own, *_), n in found.get(DROPPED, {}).items() if own == camera)
            published = found["depthstream_frames_published_total"][camera, "show"]
            flying = found["depthstream_frames_in_flight"][camera, "show"]
            assert found["depthstream_frames_captured_total"][camera,] == published + dropped + flying
    wait_until(lambda: ("front", "capture.front", "black") in scrape(served).get(DROPPED, {}))


def test_counters_never_go_down(served: Served) -> None:
    """From scrape to scrape, for every counter of ours and of the process."""
    counters = {family.name for family in families(served) if family.type == "counter"}
    before = scrape(served)
    wait_until(
        lambda: scrape(served)["depthstream_frames_captured_total"] != before["depthstream_frames_captured_total"]
    )
    after = scrape(served)
    names = [name for name in before if name.removesuffix("_total") in counters]
    assert len(names) > 10
    for name in names:
        assert all(after[name][labels] >= value for labels, value in before[name].items()), name


def test_a_camera_is_in_one_state_and_has_one_grade(served: Served) -> None:
    """Exactly one of all states is 1; after a cut it is another one."""
    found = scrape(served)
    for name, states in (("camera_state", get_args(CameraState)), ("camera_grade", get_args(CameraGrade))):
        assert {state for _, state in found[f"depthstream_{name}"]} == set(states)
        assert sum(found[f"depthstream_{name}"].values()) == 1
    assert found["depthstream_camera_state"]["front", "live"] == 1
    served.cut.set()
    wait_until(lambda: scrape(served)["depthstream_camera_state"]["front", "waiting"] == 1)
    assert scrape(served)["depthstream_camera_state"]["front", "live"] == 0


def test_a_further_try_begins_a_state_and_not_the_time_offline(served: Served) -> None:
    """The offline time is 0 while live, equals the state's time after a cut, and is longer from the next try on."""
    state, offline = "depthstream_camera_state_seconds", "depthstream_camera_offline_seconds"
    found = scrape(served)
    assert (found[offline]["front",], found[state]["front",] > 0) == (0, True)
    served.cut.set()
    wait_until(lambda: scrape(served)[offline]["front",] > 0.1)
    found = scrape(served)
    assert found[state]["front",] == found[offline]["front",]
    served.health.connecting()
    found = scrape(served)
    assert found[offline]["front",] - found[state]["front",] > 0.1
    assert set(found[offline]) == {("front",)}


def test_quantiles_are_in_order_and_of_seconds(served: Served) -> None:
    """p50 <= p95 <= p99, and sum and count are present."""
    wait_until(lambda: scrape(served)["depthstream_frame_age_seconds_count"]["front", "show"] >= 3)
    found = scrape(served)
    ages = found["depthstream_frame_age_seconds"]
    assert 0 < ages["front", "0.5", "show"] <= ages["front", "0.95", "show"] <= ages["front", "0.99", "show"] < 10
    assert found["depthstream_frame_age_seconds_sum"]["front", "show"] > 0
    assert {step for _, step in found["depthstream_stage_busy_seconds_count"]} >= {"depth", "render", "show"}


def test_ready_is_the_result_of_the_health_check(served: Served) -> None:
    """1 while all is well; the memory is that of this process."""
    found = scrape(served)
    assert found["depthstream_ready"][()] == 1
    assert found["process_resident_memory_bytes"][()] > 10e6


def test_not_ready_is_zero() -> None:
    """A required stage does not exist."""
    with Served(required=("roof",)).serving() as served:
        assert scrape(served)["depthstream_ready"][()] == 0


def test_a_camera_that_is_dark_grows_old(served: Served) -> None:
    """The age of its newest depth rises with the time."""
    served.cut.set()
    wait_until(lambda: scrape(served)["depthstream_camera_newest_age_seconds"]["front",] > 0.3)
    assert scrape(served)["depthstream_camera_newest_age_seconds"]["clip",] < 5


def test_a_statistic_that_is_not_a_number_is_nan(served: Served) -> None:
    """Prometheus has NaN; JSON does not."""
    statistics = scrape(served)["depthstream_statistic"]
    assert math.isnan(statistics["truth", "error"])
    assert statistics["truth", "frames"] == 3


def test_images_are_counted_by_result(served: Served) -> None:
    """A request without an image counts as refused."""
    assert scrape(served)["depthstream_images_total"]["refused",] == 0
    assert served.get("/api/depth", "POST").status >= 400
    found = scrape(served)
    assert found["depthstream_images_total"]["refused",] == 1
    assert found["depthstream_images_running"][()] == 0


def test_every_counter_has_a_metric(served: Served) -> None:
    """Every counter of the sink and of the image service is exported."""
    assert served.images
    assert set(SINK_METRICS) == set(served.sink.counts())
    assert {*IMAGE_RESULTS, *IMAGE_METRICS} == set(served.images.counts())


def test_openmetrics_is_sent_to_clients_that_accept_it(served: Served) -> None:
    """It passes the strict parser of the Prometheus project; other clients get the older text format."""
    answer = served.get("/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(answer.body)}  # type: ignore[no-untyped-call]
    assert {"depthstream_frames_captured", "depthstream_frame_age_seconds"} <= names
    assert served.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_the_documentation_lists_exactly_the_exported_metrics(served: Served) -> None:
    """docs/reference/monitoring.md: every name with its labels, none that does not exist."""
    wait_until(lambda: scrape(served)["depthstream_frame_age_seconds_count"]["clip", "show"] > 0)
    wait_until(lambda: DROPPED in scrape(served))
    exported = {name: labels for family in families(served) for name, labels in named(family)}
    assert documented(PAGE.read_text(encoding="utf-8").splitlines()) == exported


def named(family: Metric) -> Iterator[tuple[str, frozenset[str]]]:
    """The names of a family in a query, and its labels; a summary has one name."""
    for sample in family.samples:
        if family.type != "summary" or sample.name == family.name:
            yield sample.name, frozenset(sample.labels)


def documented(lines: Sequence[str]) -> dict[str, frozenset[str]]:
    """Rows like: | `depthstream_frames_dropped_total` | counter | camera, place | ... |"""
    rows = [re.fullmatch(r"\| `((?:depthstream|process)_\w+)` \|[^|]*\|([^|]*)\|.*\|", line) for line in lines]
    return {row[1]: frozenset(re.findall(r"\w+", row[2])) for row in rows if row}
