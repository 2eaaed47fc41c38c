"""The WebSocket over real sockets: newest images at each viewer's pace, probes, controls, and limits."""

from __future__ import annotations

import gc
import weakref
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from stream.core.view_controls import COLORMAPS
from stream.web.live import session
from tests.web.web_client import PATIENCE_S, MuteClient, WebClient, eventually


def test_a_viewer_gets_hello_and_then_statistics(serve) -> None:
    """First the cameras and choices, then the state of each camera."""
    with WebClient(serve(("left", "right")).ws) as viewer:
        hello = viewer.hear("hello")
        assert hello["cameras"] == ["left", "right"]
        assert hello["colormaps"] == list(COLORMAPS)
        assert (hello["colormap"], hello["range"]) == (COLORMAPS[0], "follow")
        assert hello["version"]
        assert hello["images"] is False  # there is no image service here
        for _ in range(2):
            assert [line["name"] for line in viewer.hear("stats")["cameras"]] == ["left", "right"]


@pytest.mark.parametrize(("mode", "names"), [("both", ["image", "depth"]), ("image", ["image"]), ("depth", ["depth"])])
def test_a_frame_has_the_requested_images(serve, web_view, mode: str, names: list[str]) -> None:
    """A header with its numbers, then the JPEGs of the camera's image and of the colourised depth, in this order."""
    served = serve()
    with WebClient(served.ws) as viewer:
        viewer.watch(front=mode)
        view = web_view(40, scale_guessed=True)
        served.sink.write(view)
        head, jpegs = viewer.image()
    assert [part["name"] for part in head.pop("parts")] == names == list(jpegs)
    age_ms, unix_ms = head.pop("age_ms"), head.pop("unix_ms")
    assert age_ms > 0
    assert unix_ms == pytest.approx(view.depth_map.frame.stamp.unix_ns / 1e6, abs=0.001)
    about = {"kind": "metric", "unit": "m", "model": "tiny", "weights": "trained", "scale_guessed": True}
    size = {"width": 64, "height": 48, "low": 0.5, "high": 4.0, "integrity": "clean"}
    assert head == {"camera": "front", "seq": 40} | about | size
    for name, data in jpegs.items():
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (48, 64, 3)
        np.testing.assert_allclose(image, {"image": 40, "depth": 215}[name], atol=2)


def test_a_range_without_bounds_is_still_json(serve, web_view) -> None:
    """JSON has no infinity."""
    served = serve()
    view = web_view()
    object.__setattr__(view, "high", float("inf"))
    with WebClient(served.ws) as viewer:
        viewer.watch(front="depth")
        served.sink.write(view)
        assert viewer.image().head["high"] is None


def test_cameras_that_are_not_named_are_not_sent(serve, web_view) -> None:
    """Neither cameras that "watch" does not name, nor those with "none"."""
    served = serve(("front", "rear", "side"))
    with WebClient(served.ws) as viewer:
        viewer.watch(front="none", rear="depth")
        for camera in ("front", "side", "rear"):
            served.sink.write(web_view(1, camera))
        assert viewer.image().head["camera"] == "rear"
        assert not any(kind.startswith("image") for kind in viewer.kinds_until("stats"))


@pytest.mark.slow
def test_at_most_two_frames_are_in_flight(serve, web_view) -> None:
    """A viewer that does not acknowledge gets statistics but no third image; then the newest, not the third."""
    served = serve()
    with WebClient(served.ws) as viewer:
        viewer.watch(front="both")
        for seq in range(2):
            served.sink.write(web_view(seq))
            assert viewer.image().head["seq"] == seq
        for seq in range(2, 9):
            served.sink.write(web_view(seq))
        heard = viewer.kinds_until("stats") + viewer.kinds_until("stats")
        assert set(heard) == {"stats"}
        viewer.say("shown", camera="front", seq=1)
        assert viewer.image().head["seq"] == 8
        eventually(lambda: served.sink.counts()["frames_sent"] == 3)


@pytest.mark.slow
def test_ten_viewers_cost_one_encoding(serve, web_view) -> None:
    """Thirty frames, both images of each, ten viewers that take every one: sixty JPEGs, all the same."""
    served = serve()
    with ExitStack() as stack:
        viewers = [stack.enter_context(WebClient(served.ws)) for _ in range(10)]
        for viewer in viewers:
            viewer.watch(front="both")
        for seq in range(30):
            served.sink.write(web_view(seq, noise=True))
            images = [viewer.shown(viewer.image()) for viewer in viewers]
            assert [image.head["seq"] for image in images] == [seq] * 10
            assert all(image.jpegs == images[0].jpegs for image in images)
        eventually(lambda: served.sink.counts()["frames_sent"] == 300)
    assert served.sink.encodes == 60


def test_nothing_is_encoded_without_a_watching_viewer(serve, web_view) -> None:
    """Not even for a connected viewer that watches no camera."""
    served = serve()
    with WebClient(served.ws) as viewer:
        for seq in range(20):
            served.sink.write(web_view(seq))
        viewer.kinds_until("stats")
    assert served.sink.encodes == 0


@pytest.mark.slow
def test_a_viewer_that_never_reads_delays_no_one(serve, web_view) -> None:
    """It also acknowledges blindly: others get every frame, its backlog is bounded, and no image is kept for it."""
    served, frames, images = serve(), 150, []
    with MuteClient(served.port, "front") as mute, WebClient(served.ws) as viewer:
        viewer.watch(front="both")
        received = 0
        for seq in range(frames):
            view = web_view(seq, size=(240, 320), noise=True)
            images.append(weakref.ref(view.depth_map.frame.image))
            served.sink.write(view)
            image = viewer.shown(viewer.image())
            assert image.head["seq"] == seq
            received += sum(len(jpeg) for jpeg in image.jpegs.values())
            mute.say("shown", camera="front", seq=seq)
        del view
        gc.collect()
        bytes_for_mute = served.sink.counts()["bytes_sent"] - received
        assert received > 12e6
        assert 100e3 < bytes_for_mute < 2e6, "what its kernel buffers hold, and little more"
        eventually(lambda: sum(image() is not None for image in images) == 1)
        assert served.sink.counts()["viewers"] == 2
    eventually(lambda: served.sink.counts()["viewers"] == 0)


def test_the_pointers_depth_is_that_of_the_depth_map(serve, web_view) -> None:
    """It comes from the frame that the viewer drew, not from the newest; the reply repeats the request."""
    depth = np.random.default_rng(3).uniform(0.2, 30, (48, 64)).astype(np.float32)
    served = serve()
    served.sink.write(web_view(5, depth=depth))
    served.sink.write(web_view(6))
    with WebClient(served.ws) as viewer:
        viewer.say("probe", camera="front", seq=5, x=0.5, y=0.25)
        answer = viewer.hear("probe")
        assert answer["depth"] == float(depth[12, 32])
        assert answer["text"] == f"{depth[12, 32]:.2f} m"
        asked = {"type": "probe", "camera": "front", "seq": 5, "x": 0.5, "y": 0.25}
        assert answer.items() >= (asked | {"kind": "metric", "unit": "m"}).items()
        viewer.say("probe", camera="front", x=1, y=1)
        assert viewer.hear("probe")["depth"] == 6.5
        for camera, seq in (("front", 4), ("rear", 5)):
            viewer.say("probe", camera=camera, seq=seq, x=0, y=0)
            answer = viewer.hear("probe")
            assert (answer["depth"], answer["text"]) == (None, "no longer available")


def test_controls_are_shared_by_all_viewers(serve, web_view) -> None:
    """One viewer's choice reaches the render stage and is reported to every other viewer."""
    served = serve()
    served.sink.write(web_view())
    with WebClient(served.ws) as one, WebClient(served.ws) as other:
        other.hear("hello")
        one.say("controls", colormap="turbo")
        for viewer in (one, other):
            viewer.hear("controls", colormap="turbo", range="follow")
        assert served.controls.colormap == "turbo"
        one.say("controls", range="hold")
        other.hear("controls", colormap="turbo", range="hold")
        assert served.controls.frozen_ranges == {"front": (0.5, 4.0)}
        other.say("controls", range="follow")
        one.hear("controls", range="follow")
        assert served.controls.frozen_ranges == {}
        served.controls.choose_colormap("gray")  # at the preview window, say
        one.hear("controls", colormap="gray")


def test_a_new_camera_is_announced(serve, web_view) -> None:
    """A page that was open before gets a second hello with the new camera."""
    served = serve(("front",))
    with WebClient(served.ws) as viewer:
        viewer.hear("hello", cameras=["front"])
        served.sink.write(web_view(0, "rear"))
        viewer.hear("hello", cameras=["front", "rear"])


def test_a_removed_camera_is_taken_off_the_page(serve, web_view) -> None:
    """By a hello without it; the others go on."""
    served = serve(("front", "rear"))
    served.sink.write(web_view(0, "rear"))
    with WebClient(served.ws) as viewer:
        viewer.hear("hello", cameras=["front", "rear"])
        viewer.watch(front="depth", rear="depth")
        viewer.image()
        served.sink.remove("rear")
        viewer.hear("hello", cameras=["front"])
        served.sink.write(web_view(1, "front"))
        viewer.shown(viewer.image())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        '{"type":"dance"}',
        '{"type":"watch"}',
        '{"type":"watch","cameras":{"front":"all"}}',
        '{"type":"watch","cameras":{' + ",".join(f'"{n}":"both"' for n in range(300)) + "}}",
        '{"type":"shown","camera":"front","seq":"1"}',
        '{"type":"probe","camera":"front","seq":1,"x":2,"y":0}',
        '{"type":"probe","camera":"front","seq":1,"x":NaN,"y":0}',
        '{"type":"probe","camera":"front","seq":1,"x":0,"y":0,"z":0}',
        '{"type":"controls","colormap":"plaid"}',
        '{"type":"controls","range":"stretch"}',
        '{"type":"controls","colormap":"' + "x" * 1000 + '"}',
        "[" * 3000,
        b"\x00\x01",
    ],
    ids=lambda text: str(text)[:40],
)
def test_an_invalid_message_is_answered_and_the_connection_stays(serve, web_view, text: str | bytes) -> None:
    """The reply is one line that says what was not understood."""
    served = serve()
    served.sink.write(web_view(1))
    with WebClient(served.ws) as viewer:
        viewer.socket.send(text)
        line = viewer.hear("error")["message"]
        assert line
        assert "\n" not in line
        assert len(line) < 400
        viewer.say("probe", camera="front", x=0, y=0)
        assert viewer.hear("probe")["depth"] == 1.5
    assert served.controls.colormap == COLORMAPS[0]


def drained(viewer: WebClient) -> ConnectionClosed:
    """Read to the end, and return how the server closed the connection."""
    try:
        while True:
            viewer.socket.recv(PATIENCE_S)
    except ConnectionClosed as closed:
        return closed


@pytest.mark.parametrize(
    "message", [{"kind": "probe", "camera": "front", "x": 0, "y": 0}, {"kind": "shown", "camera": "front", "seq": 9}]
)
def test_a_flood_ends_the_connection(serve, web_view, message: dict[str, object]) -> None:
    """Thousands of messages at once, including acknowledgements of unsent frames; other viewers go on."""
    served = serve()
    with WebClient(served.ws) as viewer, WebClient(served.ws) as other:
        try:
            for _ in range(5000):
                viewer.say(**message)
        except ConnectionClosed:
            pass
        end = drained(viewer)
        assert end.rcvd is not None
        assert end.rcvd.code == 1008
        served.sink.write(web_view(2))
        other.say("probe", camera="front", x=0, y=0)
        assert other.hear("probe")["depth"] == 2.5


def test_an_oversized_message_ends_the_connection(serve) -> None:
    """It is rejected by its announced length, before it is read into memory."""
    with WebClient(serve().ws) as viewer:
        viewer.socket.send('{"type":"watch","cameras":{"' + "x" * 100_000 + '":"both"}}')
        end = drained(viewer)
        assert end.rcvd is not None
        assert end.rcvd.code == 1009


def test_the_number_of_viewers_is_limited(serve, monkeypatch) -> None:
    """One too many gets "try again later"; when another viewer leaves there is room again."""
    monkeypatch.setattr(session, "MAX_VIEWERS", 2)
    served = serve()
    with WebClient(served.ws) as staying:
        staying.hear("hello")
        with WebClient(served.ws) as leaving:
            leaving.hear("hello")
            with WebClient(served.ws) as late:
                end = drained(late)
                assert end.rcvd is not None
                assert end.rcvd.code == 1013
        eventually(lambda: served.sink.counts()["viewers"] == 1)
        with WebClient(served.ws) as late:
            late.hear("hello")


def test_a_viewer_that_leaves_is_removed(serve, web_view) -> None:
    """With or without a closing handshake, it no longer counts as a viewer."""
    served = serve()
    for says_goodbye in (True, False):
        with WebClient(served.ws) as viewer:
            viewer.watch(front="both")
            served.sink.write(web_view())
            viewer.image()
            if not says_goodbye:
                viewer.socket.socket.shutdown(2)
        eventually(lambda: served.sink.counts()["viewers"] == 0)
        served.sink.write(web_view(1))
