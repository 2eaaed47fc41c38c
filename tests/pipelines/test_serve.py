"""The serve recipe and `--web`'s half of the others, with a real server and the embedded network."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipelines import demo, rtsp, serve, webcam
from pipelines.components.web import ImageNetworks, Web
from pipelines.process.runner import run
from pipelines.registry import load
from stream.core.config_file import parse
from stream.core.view_controls import ViewControls
from stream.errors import ImageError, SettingsError, UnknownModel
from stream.inference.cpu_estimator import CpuEstimator
from stream.runtime.pipeline import Pipeline
from stream.settings import ModelSettings, WebSettings

CONFIG = Path(__file__).parents[2] / "configs" / "serve.toml"
ANY_PORT = {"address": "127.0.0.1:0"}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Traces of this file's tests are kept apart from the user's."""
    monkeypatch.setenv("DEPTHSTREAM_CACHE", str(tmp_path_factory.getbasetemp() / "serve-cache"))


@pytest.fixture(scope="module")
def make_image() -> np.ndarray:
    """(48, 64, 3) uint8 BGR with something in it."""
    image = np.full((48, 64, 3), 60, np.uint8)
    cv2.circle(image, (32, 30), 14, (40, 180, 220), -1)
    return image


def camera(**changes: Any) -> dict[str, Any]:
    small = {"source": "synthetic", "name": "front", "width": 96, "height": 64, "fps": 20}
    return {**small, **changes}


def settings(*cameras: dict[str, Any], **tables: Any) -> serve.ServeSettings:
    data = {"pipeline": "serve", "cameras": list(cameras), "web": ANY_PORT, **tables}
    return parse(serve.ServeSettings, data, origin="test")


def page(model: str = "tiny", **changes: Any) -> Web:
    web = parse(WebSettings, {**ANY_PORT, **changes}, origin="test")
    return Web(web, ModelSettings(name=model), ["front"], ViewControls())


def get(url: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body; a refusal is an answer like any other."""
    request = urllib.request.Request(url.rstrip("/") + path, data=body)
    if body is not None:
        request.add_header("Content-Type", "image/png")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


def until(holds: Callable[[], object], timeout_s: float = 30.0) -> None:
    pause = threading.Event()
    for _ in range(round(timeout_s / 0.01)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError(f"still not after {timeout_s} s")


@contextmanager
def served(pipe: Pipeline, web: Web) -> Iterator[str]:
    """The page of a pipeline that runs meanwhile."""
    with web.serving(pipe) as url, pipe:
        yield url


def test_the_example_is_a_serving_pipeline() -> None:
    """Views are shown as the newest of each camera; nothing waits for viewers."""
    _, pipe = load(CONFIG)
    assert pipe.graph() == [
        "capture.front",
        "depth [preprocess > infer]  after capture.front (latest, capacity 1)",
        "show [render > show]  after depth (latest, capacity 1)",
    ]


def test_a_publisher_and_a_recording_have_edges_of_their_own(tmp_path: Path) -> None:
    """So that neither waits for the other, and no viewer's choice of colours changes a recording."""
    tables = {"publish": {"endpoints": ["ipc:///tmp/x"]}, "record": {"path": str(tmp_path / "{camera}.mp4")}}
    assert serve.build(settings(camera(), **tables)).graph()[2:] == [
        "show [render > show]  after depth (latest, capacity 1)",
        "record [render > record]  after depth (latest, capacity 1)",
        "publish  after depth (latest, capacity 1)",
    ]


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"web": {"images": False}}, "nothing to serve: give [[cameras]], or web.images = true"),
        ({"publish": {}}, "[publish] has nothing to work with: give [[cameras]], or leave it out"),
        ({"record": {"path": "a.mp4"}}, "[record] has nothing to work with"),
        ({"web": {"adress": "127.0.0.1:1"}}, 'did you mean "address"?'),
    ],
)
def test_a_file_that_serves_nothing_is_a_mistake(tables: dict[str, Any], message: str) -> None:
    """Without cameras there are images at least, and nothing that needs cameras."""
    with pytest.raises(SettingsError) as caught:
        settings(**tables)
    assert message in str(caught.value)


def test_an_unknown_network_for_images_is_reported_at_once() -> None:
    """The error comes before the first image."""
    with pytest.raises(UnknownModel, match="tinny"):
        page(models=["tiny", "tinny"])


@pytest.mark.slow
def test_a_camera_is_on_the_page_and_healthy(make_image: np.ndarray) -> None:
    """The page, its video, its health before, during and after the run, and an uploaded image."""
    chosen = settings(camera())
    web = serve.web_for(chosen)
    pipe = serve.build(chosen, web)
    _, png = cv2.imencode(".png", make_image)
    with web.serving(pipe) as url:
        assert get(url, "/healthz")[0] == 503, "nothing runs yet"
        with pipe:
            until(lambda: (shown := web.sink.newest("front")) and shown.number > 3)
            assert get(url, "/healthz")[0] == 200
            status, body = get(url, "/")
            assert (status, b"<html" in body) == (200, True)
            assert [c["name"] for c in json.loads(get(url, "/api/cameras")[1])["cameras"]] == ["front"]
            status, body = get(url, "/api/depth?output=json", png.tobytes())
            assert (status, json.loads(body)["model"]) == (200, "tiny")
        assert get(url, "/healthz")[0] == 503, "it has ended, and the server still answers"
    assert pipe.stats().unaccounted == 0
    assert pipe.stats().statistics["images"], "the table tells how many images were sent"


@pytest.mark.slow
def test_without_cameras_images_are_taken_until_the_end(make_image: np.ndarray) -> None:
    """A pipeline with one stage that waits: healthy from the start, and it ends on request."""
    chosen = settings()
    web = serve.web_for(chosen)
    pipe = serve.build(chosen, web)
    _, png = cv2.imencode(".png", make_image)
    with served(pipe, web) as url:
        until(lambda: get(url, "/healthz")[0] == 200)
        status, body = get(url, "/api/depth", png.tobytes())
        assert status == 200
        assert cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR).shape == make_image.shape
    assert pipe.stats().accounts == ()


@pytest.mark.slow
def test_a_stage_that_fails_makes_the_server_unhealthy_to_the_end(tmp_path: Path) -> None:
    """The health names the stage, and the run's error is the stage's own."""
    (tmp_path / "file").touch()
    chosen = settings(camera(), record={"path": str(tmp_path / "file" / "folder.mp4")})
    web = serve.web_for(chosen)
    pipe = serve.build(chosen, web)
    with web.serving(pipe) as url:
        ending = run(pipe, seconds=30)
        status, _ = get(url, "/healthz")
    assert ending.error is not None
    assert "folder.mp4" in str(ending.error)
    assert (status, ending.exit_status) == (503, ending.error.exit_status)


def test_no_images_are_taken_where_they_are_not_wanted(make_image: np.ndarray) -> None:
    """web.images = false: the address does not exist, and only the cameras' network is made."""
    web = page(images=False)
    pipe = rtsp.build(parse(rtsp.RtspSettings, {"pipeline": "rtsp", "cameras": [camera()]}, "test"), web=web)
    _, png = cv2.imencode(".png", make_image)
    with served(pipe, web) as url:
        assert get(url, "/api/depth", png.tobytes())[0] in (404, 405)
    assert web.images is None


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [rtsp, webcam])
def test_live_cameras_are_shown(recipe: Any) -> None:
    """`--web` on `rtsp` and `webcam`: whatever cameras they were given, painted with the page's controls."""
    kind = {rtsp: rtsp.RtspSettings, webcam: webcam.WebcamSettings}[recipe]
    name = recipe.__name__.rpartition(".")[2]
    web = page()
    web.controls.choose_colormap("gray")
    pipe = recipe.build(parse(kind, {"pipeline": name, "cameras": [camera()]}, "test"), web=web)
    with served(pipe, web):
        until(lambda: web.sink.newest("front"))
    shown = web.sink.newest("front")
    assert shown is not None
    image = shown.view.image
    assert (image[..., 0] == image[..., 2]).all(), "the page's colour map"


@pytest.mark.slow
def test_the_demo_shows_depth_and_not_its_video(tmp_path: Path) -> None:
    """The page lays image and depth over each other itself; the mp4 has them side by side."""
    data = {"pipeline": "demo", "camera": camera(seconds=0.5), "record": {"path": str(tmp_path / "d.mp4")}}
    web = page()
    ending = run(demo.build(parse(demo.DemoSettings, data, "test"), web=web))
    assert ending.error is None
    shown = web.sink.newest("front")
    assert shown is not None
    assert shown.view.image.shape == shown.view.depth_map.frame.image.shape
    assert (tmp_path / "d.mp4").exists()


def test_images_have_networks_of_their_own_that_load_when_asked(make_image: np.ndarray) -> None:
    """The same answer as the estimator's; from several threads at once, the network is loaded once."""
    networks = ImageNetworks(ModelSettings(), ["tiny", "tiny"])
    assert networks.names == ("tiny",)
    answers: list[np.ndarray] = []
    callers = [threading.Thread(target=lambda: answers.append(networks("tiny", make_image).depth)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    with CpuEstimator(ModelSettings()) as alone:
        expected = alone(make_image).depth
    assert len(answers) == 4
    for depth in answers:
        np.testing.assert_allclose(depth, expected, atol=1e-5)
    with pytest.raises(ImageError):
        networks("tiny", make_image[..., 0])
    networks.close()
    assert networks("tiny", make_image).size == (48, 64), "after closing it loads again"
    networks.close()


def test_networks_for_images_are_run_as_the_cameras_are() -> None:
    """Their settings hold for all; the input size, which fits one network, for that one only."""
    model = ModelSettings(side=128, threads=1, weights="random")
    networks = ImageNetworks(model, ["tiny", "midas_small"])
    tiny, midas = (networks.settings_of(name) for name in networks.names)
    assert (tiny.side, midas.side) == (128, None)
    assert (midas.threads, midas.weights, midas.name) == (1, "random", "midas_small")
