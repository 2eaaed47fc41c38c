"""Access to the RTSP camera: passwords, paths, transports."""

from __future__ import annotations

from itertools import islice

import av
import pytest

from pipelines.drill.camera.auth import Scheme
from tests.rigs.rtsp_camera import RtspCamera
from tests.rigs.rtsp_client import watching
from tests.rigs.rtsp_images import IMAGES, numbers, quick_clip, turning

SECRET = "p@ss:w%rd /ü"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("scheme", ["digest", "basic"])
def test_the_password_opens(scheme: Scheme, transport: str) -> None:
    """The password may have characters that are special in URLs."""
    with RtspCamera({"/cam": quick_clip()}, user="ad min", password=SECRET, auth=scheme) as camera:
        with watching(camera.url("/cam", credentials=True), transport) as images:
            assert next(images).number == 0
        assert SECRET not in camera.url("/cam", credentials=True)
        assert "ad" not in camera.url("/cam")


@pytest.mark.parametrize("scheme", ["digest", "basic"])
@pytest.mark.parametrize("who", ["", "admin:wrong@", "root:right@", "admin:@"])
def test_anything_else_does_not(scheme: Scheme, who: str) -> None:
    with RtspCamera({"/cam": quick_clip()}, user="admin", password="right", auth=scheme) as camera:
        with (
            pytest.raises(av.error.HTTPUnauthorizedError),
            watching(camera.url("/cam").replace("rtsp://", f"rtsp://{who}")),
        ):
            pass
        assert (camera.sessions, camera.sent("/cam")) == (0, 0)


@pytest.mark.slow
def test_a_new_password_is_for_new_sessions() -> None:
    with RtspCamera({"/cam": quick_clip()}, user="admin", password="old") as camera:
        old_url = camera.url("/cam", credentials=True)
        with watching(old_url) as images:
            seen = list(islice(images, 5))
            camera.set_password("new")
            with pytest.raises(av.error.HTTPUnauthorizedError), watching(old_url):
                pass
            with watching(camera.url("/cam", credentials=True)) as others:
                assert next(others).number is not None
            seen += islice(images, 2 * IMAGES)
        assert numbers(seen) == turning(range(2 * IMAGES + 5))


def test_a_camera_without_a_user_has_no_password_to_change() -> None:
    with RtspCamera({"/cam": quick_clip()}) as camera, pytest.raises(ValueError, match="no password"):
        camera.set_password("new")


def test_a_wrong_path_is_not_found() -> None:
    with (
        RtspCamera({"/cam": quick_clip()}) as camera,
        pytest.raises(av.error.HTTPNotFoundError),
        watching(camera.url("/other")),
    ):
        pass


@pytest.mark.parametrize("path", ["/Streaming/Channels/101", "/cam?channel=1&subtype=0"])
def test_paths_look_as_makers_like_them(path: str) -> None:
    with (
        RtspCamera({"/Streaming/Channels/101": quick_clip(), "/cam": quick_clip()}) as camera,
        watching(camera.url(path)) as images,
    ):
        assert next(images).number == 0


def test_a_transport_that_the_camera_lacks_is_refused() -> None:
    with (
        RtspCamera({"/cam": quick_clip()}, transports={"udp"}) as camera,
        pytest.raises(OSError, match="not supported"),
        watching(camera.url("/cam"), "tcp"),
    ):
        pass
