"""The RTSP camera refuses, is mute, stalls or disconnects, as seen by real clients."""

from __future__ import annotations

import threading
import time
from itertools import islice, pairwise
from typing import Literal

import av
import pytest

from pipelines.drill.camera import transport as rtsp_transport
from tests.rigs.rtsp_camera import RtspCamera
from tests.rigs.rtsp_client import BareClient, watching
from tests.rigs.rtsp_images import IMAGES, numbers, quick_clip, turning

PAUSE_S = 0.3


def let_pass(seconds: float) -> None:
    """Wait a while in which something must not happen."""
    threading.Event().wait(seconds)


@pytest.mark.slow
def test_a_refusing_camera_keeps_its_port_and_its_clients() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        next(images)
        port = camera.port
        camera.refuse()
        with pytest.raises(av.error.ConnectionRefusedError), watching(camera.url("/cam")):
            pass
        assert len(list(islice(images, IMAGES))) == IMAGES
        camera.refuse(False)
        assert camera.port == port
        with watching(camera.url("/cam")) as others:
            assert next(others).number is not None


def test_a_mute_camera_is_bounded_by_the_clients_patience_only() -> None:
    """It accepts connections and requests without answers; FFmpeg has a misleading error name for that."""
    with RtspCamera({"/cam": quick_clip()}) as camera:
        camera.mute()
        start_s = time.monotonic()
        with (
            pytest.raises((av.error.InvalidDataError, av.error.ExitError)),
            watching(camera.url("/cam"), timeout_s=0.5),
        ):
            pass
        assert time.monotonic() - start_s < 5
        camera.mute(False)
        with watching(camera.url("/cam")) as images:
            assert next(images).number == 0


def test_a_mute_camera_still_sends_to_who_plays() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam")) as images:
        next(images)
        camera.mute()
        sent = camera.sent("/cam")
        assert len(list(islice(images, IMAGES))) == IMAGES
        assert camera.sent("/cam") > sent


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stalled_camera_sends_nothing_and_loses_nothing(transport: str) -> None:
    """It then goes on with the next image, and the gap shows in the times."""
    with RtspCamera({"/cam": quick_clip()}) as camera, watching(camera.url("/cam"), transport) as images:
        seen = list(islice(images, 5))
        camera.stall()
        sent = camera.sent("/cam")
        let_pass(PAUSE_S)
        assert (camera.sent("/cam"), camera.sessions) == (sent, 1)
        camera.resume()
        seen += islice(images, IMAGES)
    assert numbers(seen) == turning(range(IMAGES + 5))
    times = [image.pts for image in seen if image.pts is not None]
    steps = [after - before for before, after in pairwise(times)]
    gaps = [step for step in steps if step > 90_000 * PAUSE_S / 2]
    assert len(gaps) == 1
    assert camera.damaged == []


@pytest.mark.slow
def test_a_stalled_path_does_not_hold_up_the_others() -> None:
    with (
        RtspCamera({"/a": quick_clip(), "/b": quick_clip("h265")}) as camera,
        watching(camera.url("/a")) as stalled,
        watching(camera.url("/b")) as images,
    ):
        next(stalled)
        camera.stall("/a")
        sent = camera.sent("/a")
        assert len(list(islice(images, IMAGES))) == IMAGES
        assert camera.sent("/a") == sent


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_ends_the_stream_and_a_new_one_can_begin(how: Literal["fin", "rst"], transport: str) -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera:
        with watching(camera.url("/cam"), transport) as images:
            next(images)
            camera.cut(how)
            assert camera.sessions == 0
            try:
                rest = len(list(images))  # what was on its way, then the end
            except OSError as error:
                rest = 0
                assert isinstance(error, av.error.FFmpegError)  # noqa: PT017
            assert rest < IMAGES * 3
        with watching(camera.url("/cam"), transport) as images:
            assert next(images).number is not None


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_reaches_a_client_that_waits_for_data(how: Literal["fin", "rst"]) -> None:
    """A FIN reads as an end, a RST as an error; both at once, even while no data flow."""
    outcome: list[bytes | str] = []

    def wait_for_data(client: BareClient) -> None:
        try:
            outcome.append(client.socket.recv(10))
        except ConnectionResetError:
            outcome.append("reset")

    with RtspCamera({"/cam": quick_clip()}) as camera, BareClient(camera.url("/cam")) as client:
        camera.stall()
        client.play()
        reader = threading.Thread(target=wait_for_data, args=(client,))
        reader.start()
        let_pass(0.05)  # the reader may be waiting by now; if not, it finds the end
        start_s = time.monotonic()
        camera.cut(how)
        reader.join(5)
        assert time.monotonic() - start_s < 5
    assert outcome == [b"" if how == "fin" else "reset"]


def test_a_cut_of_one_path_spares_the_others() -> None:
    with (
        RtspCamera({"/a": quick_clip(), "/b": quick_clip()}) as camera,
        watching(camera.url("/a")) as cut,
        watching(camera.url("/b")) as images,
    ):
        next(cut), next(images)
        camera.cut("fin", "/a")
        assert camera.sessions == 1
        assert len(list(islice(images, IMAGES))) == IMAGES


@pytest.mark.slow
def test_a_client_that_does_not_read_blocks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It misses images, so the camera's buffer for it is bounded; the other client is served."""
    monkeypatch.setattr(rtsp_transport, "FULL_BYTES", 20_000)
    with (
        RtspCamera({"/cam": quick_clip("mjpeg", 640, 480)}) as camera,
        BareClient(camera.url("/cam"), receive_bytes=4096) as sleeper,
        watching(camera.url("/cam")) as images,
    ):
        sleeper.play()
        list(islice(images, IMAGES))
        for _ in islice(images, 20 * IMAGES):
            if camera.sent("/cam") < 2 * len(camera.log("/cam")) - IMAGES:  # it got fewer than the other one
                break
        else:
            raise AssertionError("the camera sent everything to a client that reads nothing")
        assert camera.sessions == 2


def test_a_client_that_talks_nonsense_is_turned_away() -> None:
    """The camera goes on."""
    with RtspCamera({"/cam": quick_clip()}) as camera:
        with BareClient(camera.url("/cam")) as client:
            client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answer = b"".join(iter(lambda: client.socket.recv(4096), b""))
        assert answer.startswith(b"RTSP/1.0 400 Bad Request\r\n")
        with watching(camera.url("/cam")) as images:
            assert next(images).number == 0
