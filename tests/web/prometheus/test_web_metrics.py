"""What Prometheus scrapes: well formed, consistent with the pipeline's account, and described in docs/operations.md."""

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
from stream.web.prometheus.routes import IMAGE_COUNTS, IMAGE_ENDS, SINK_COUNTS
from tests.web.served import Served, wait_until

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DROPPED = "depthstream_frames_dropped_total"
Labels: TypeAlias = tuple[str, ...]
Scraped: TypeAlias = dict[str, dict[Labels, float]]
"""By name, by label values in the order of the label names."""


def estimate(model: str, image: Image) -> DepthMap:
    """A ramp of the image's size."""
    height, width = image.shape[:2]
    depth = np.linspace(1, 2, height * width, dtype=np.float32).reshape(height, width)
    return DepthMap(depth, "relative_inverse", Frame(image, "image", 0, Stamp.now()), model)


def paint(depth_map: DepthMap, colormap: str) -> View:
    """Grey, whatever is asked for."""
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
    """From scrape to scrape, of every counter, ours and the process's."""
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
    """One of all there are is 1; after a cut it is another."""
    found = scrape(served)
    for name, states in (("camera_state", get_args(CameraState)), ("camera_grade", get_args(CameraGrade))):
        assert {state for _, state in found[f"depthstream_{name}"]} == set(states)
        assert sum(found[f"depthstream_{name}"].values()) == 1
    assert found["depthstream_camera_state"]["front", "live"] == 1
    served.cut.set()
    wait_until(lambda: scrape(served)["depthstream_camera_state"]["front", "waiting"] == 1)
    assert scrape(served)["depthstream_camera_state"]["front", "live"] == 0


def test_a_further_try_begins_a_state_and_not_the_time_offline(served: Served) -> None:
    """Nothing while live; after a cut as long as the state, and longer from the next try on."""
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
    """p50 <= p95 <= p99; the sum is of as many as the count says."""
    wait_until(lambda: scrape(served)["depthstream_frame_age_seconds_count"]["front", "show"] >= 3)
    found = scrape(served)
    ages = found["depthstream_frame_age_seconds"]
    assert 0 < ages["front", "0.5", "show"] <= ages["front", "0.95", "show"] <= ages["front", "0.99", "show"] < 10
    assert found["depthstream_frame_age_seconds_sum"]["front", "show"] > 0
    assert {step for _, step in found["depthstream_stage_busy_seconds_count"]} >= {"depth", "render", "show"}


def test_ready_is_what_the_health_check_says(served: Served) -> None:
    """1 while all is well, and the share of memory is this process's own."""
    found = scrape(served)
    assert found["depthstream_ready"][()] == 1
    assert found["process_resident_memory_bytes"][()] > 10e6


def test_not_ready_is_zero() -> None:
    """A stage that must run is not there."""
    with Served(required=("roof",)).serving() as served:
        assert scrape(served)["depthstream_ready"][()] == 0


def test_a_camera_that_is_dark_grows_old(served: Served) -> None:
    """The age of its newest depth rises with the time."""
    served.cut.set()
    wait_until(lambda: scrape(served)["depthstream_camera_newest_age_seconds"]["front",] > 0.3)
    assert scrape(served)["depthstream_camera_newest_age_seconds"]["clip",] < 5


def test_a_figure_that_is_no_number_is_said_to_be_none(served: Served) -> None:
    """Prometheus has a NaN, JSON has not."""
    statistics = scrape(served)["depthstream_figure"]
    assert math.isnan(statistics["truth", "error"])
    assert statistics["truth", "frames"] == 3


def test_images_are_counted_by_what_became_of_them(served: Served) -> None:
    """One that cannot be read is refused."""
    assert scrape(served)["depthstream_images_total"]["refused",] == 0
    assert served.get("/api/depth", "POST").status >= 400
    found = scrape(served)
    assert found["depthstream_images_total"]["refused",] == 1
    assert found["depthstream_images_running"][()] == 0


def test_nothing_that_is_counted_is_left_out(served: Served) -> None:
    """Each figure of the sink and of the image service has a name here."""
    assert served.images
    assert set(SINK_COUNTS) == set(served.sink.counts())
    assert {*IMAGE_ENDS, *IMAGE_COUNTS} == set(served.images.counts())


def test_what_asks_for_openmetrics_gets_it(served: Served) -> None:
    """Read by the strict parser of the Prometheus project; others get the older text."""
    answer = served.get("/metrics", Accept=OPENMETRICS)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    names = {family.name for family in parse_openmetrics(answer.body)}  # type: ignore[no-untyped-call]
    assert {"depthstream_frames_captured", "depthstream_frame_age_seconds"} <= names
    assert served.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")


def test_the_page_names_exactly_what_there_is(served: Served) -> None:
    """docs/operations.md: every name with its labels, none that does not exist."""
    wait_until(lambda: scrape(served)["depthstream_frame_age_seconds_count"]["clip", "show"] > 0)
    wait_until(lambda: DROPPED in scrape(served))
    there = {name: labels for family in families(served) for name, labels in named(family)}
    assert documented(PAGE.read_text(encoding="utf-8").splitlines()) == there


def named(family: Metric) -> Iterator[tuple[str, frozenset[str]]]:
    """What a family is called in a query, and its labels; a summary goes by one name."""
    for sample in family.samples:
        if family.type != "summary" or sample.name == family.name:
            yield sample.name, frozenset(sample.labels)


def documented(lines: Sequence[str]) -> dict[str, frozenset[str]]:
    """Rows like: | `depthstream_frames_dropped_total` | counter | camera, place | ... |"""
    rows = [re.fullmatch(r"\| `((?:depthstream|process)_\w+)` \|[^|]*\|([^|]*)\|.*\|", line) for line in lines]
    return {row[1]: frozenset(re.findall(r"\w+", row[2])) for row in rows if row}
