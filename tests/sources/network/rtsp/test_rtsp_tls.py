"""RTSP over TLS: the camera's certificate is verified, and what is wrong with it is said. See data/make.sh."""

from __future__ import annotations

import ssl
import time
from itertools import islice
from pathlib import Path

import pytest

from stream.errors import SourceError
from tests.rigs.rtsp_camera import RtspCamera
from tests.sources.network.rtsp.rtsp_reading import DATA, clip, numbers, open_reader, reading, take, turning, units

AUTHORITY = str(DATA / "authority.pem")


def secure_camera(host: str = "127.0.0.1") -> RtspCamera:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(DATA / "camera.pem")
    return RtspCamera({"/cam": clip("h264", 320, 240)}, tls=context, host=host, user="u", password="p", auth="sha256")


@pytest.mark.parametrize("keys", [{"tls_ca": AUTHORITY}, {"tls": "insecure"}])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_images_come_over_tls(host: str, keys: dict[str, str]) -> None:
    with secure_camera(host) as camera, reading(camera.url("/cam", credentials=True), **keys) as reader:
        coded = take(reader, 60)
        assert numbers(reader, coded) == turning(60)
        sent_ns = [entry.mono_s * 1e9 for entry in camera.log("/cam")][:60]
    assert {unit.damage for unit in coded} == {""}
    assert all(unit.first_ns <= unit.complete_ns <= time.monotonic_ns() for unit in coded)
    assert max(unit.first_ns - sent for unit, sent in zip(coded, sent_ns, strict=True)) < 110e6


def test_a_host_name_is_verified_too() -> None:
    with secure_camera() as camera:
        url = camera.url("/cam", credentials=True).replace("127.0.0.1", "localhost")
        with reading(url, tls_ca=AUTHORITY) as reader:
            assert len(list(islice(units(reader.items()), 5))) == 5


def test_a_certificate_that_cannot_be_verified_is_refused() -> None:
    with (
        secure_camera() as camera,
        pytest.raises(
            SourceError, match=r'certificate cannot be verified .*set tls_ca .*or accept any with tls = "insec'
        ),
    ):
        open_reader(camera.url("/cam", credentials=True))


def test_a_certificate_of_another_host_is_refused() -> None:
    with secure_camera() as camera, pytest.raises(SourceError, match=r"127\.0\.0\.2"):
        open_reader(camera.url("/cam").replace("127.0.0.1", "127.0.0.2"), tls_ca=AUTHORITY)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none_is_named(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with secure_camera() as camera, pytest.raises(SourceError, match=r'tls_ca = ".*ca\.pem"'):
        open_reader(camera.url("/cam"), tls_ca=str(path))


def test_plain_and_tls_do_not_mix() -> None:
    with (
        RtspCamera({"/cam": clip()}) as camera,
        pytest.raises(SourceError, match=r"no answer to TLS in 0.5 s; .* begin with rtsp://"),
    ):
        open_reader(camera.url("/cam").replace("rtsp://", "rtsps://"), open_s=0.5)
    with (
        secure_camera() as camera,
        pytest.raises(SourceError, match=r"(ended|cut) the connection.* begin with rtsps://"),
    ):
        open_reader(camera.url("/cam").replace("rtsps://", "rtsp://"), open_s=5)


def test_a_redirect_from_tls_to_plain_text_takes_no_password_along() -> None:
    with secure_camera() as camera, RtspCamera({"/cam": clip()}, user="u", password="p") as plain:
        camera.redirect(plain.url("/cam"))
        with pytest.raises(SourceError, match="asks for a user name"):
            open_reader(camera.url("/cam", credentials=True), tls_ca=AUTHORITY)
