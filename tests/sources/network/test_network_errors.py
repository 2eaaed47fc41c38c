"""Errors of network cameras have one line, an advice, and never a password."""

from __future__ import annotations

import re
import socket
import threading
import traceback
from contextlib import closing

import pytest

from stream.core.log import redact
from stream.errors import AccessDenied, SourceError, SourceStalled
from stream.frames import Frame
from stream.sources.network.source import NetworkSource
from tests.rigs.rtsp_camera import Clip, RtspCamera
from tests.sources.watching import STALL_S, network, read

CLIP = Clip.test_pattern()
PASSWORD = "p@ss:w%rd/1?#"
ENCODED = "p%40ss%3Aw%25rd%2F1%3F%23"


def opening_error(source: NetworkSource) -> SourceError:
    with pytest.raises(SourceError) as caught, source:
        pass
    return caught.value


def reading_error(source: NetworkSource, act: object) -> SourceError:
    """The error of an open source after ``act`` was called at its fourth frame."""
    with source, pytest.raises(SourceError) as caught:
        read(source, 1000, lambda frame: act() if frame.seq == 3 else None)
    return caught.value


def everything_shown(source: NetworkSource, error: BaseException) -> str:
    """All text of an error that a log, a traceback or a debugger would show."""
    chain, link = [], error
    while link is not None:
        chain += [str(link), repr(link), repr(link.args), repr(vars(link))]
        link = link.__cause__ or link.__context__
    shown = "".join(traceback.format_exception(error))
    return "\n".join([*chain, shown, *source.log_lines, source.describe(), repr(source._url)])


@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_a_password_with_special_characters_opens(auth: str) -> None:
    """The URL has it percent-encoded."""
    with RtspCamera({"/cam": CLIP}, user="us er", password=PASSWORD, auth=auth) as camera:
        url = camera.url("/cam", credentials=True)
        assert ENCODED in url
        with network(url) as source:
            assert len(read(source, 3)) == 3
            assert "***" in source.describe()


@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_a_wrong_password_is_access_denied(auth: str) -> None:
    """The password is not shown, encoded or not."""
    with RtspCamera({"/cam": CLIP}, user="admin", password="another", auth=auth) as camera:
        source = network(camera.url("/cam").replace("rtsp://", f"rtsp://admin:{ENCODED}@"))
        error = opening_error(source)
    assert isinstance(error, AccessDenied)
    assert "percent-encoded" in str(error)
    shown = everything_shown(source, error)
    assert ENCODED not in shown
    assert PASSWORD not in shown


def test_a_missing_password_is_asked_for() -> None:
    """The message explains how to write it, also after the log has hidden what looks like a password."""
    with RtspCamera({"/cam": CLIP}, user="admin", password="secret") as camera:
        error = opening_error(network(camera.url("/cam")))
    assert isinstance(error, AccessDenied)
    assert "user:password@" in redact(str(error))


@pytest.mark.parametrize("password", [ENCODED, PASSWORD, "correct horse", "x"])
def test_no_error_contains_the_password(password: str) -> None:
    """For every kind of failure, it is not in texts, causes, tracebacks, log lines or descriptions."""
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        hanging = f"127.0.0.1:{mute.getsockname()[1]}"
        for address in (
            "rtsp://{}@127.0.0.1:1/x",
            "http://{}@127.0.0.1:1/x",
            "nosuch://{}@h/",
            f"rtsp://{{}}@{hanging}/x",
        ):
            url = address.format(f"admin:{password}")
            source = network(url, open_s=0.5)
            error = opening_error(source)
            shown = everything_shown(source, error)
            assert url not in shown
            assert f":{password}@" not in shown
            assert len(password) < 4 or password not in shown
            assert "\n" not in str(error)


def test_a_raw_password_is_explained() -> None:
    """FFmpeg reads its "/" as the end of the host; the message explains how to write it."""
    error = opening_error(network("rtsp://admin:pa/ss@127.0.0.1:1/x"))
    assert "%2F" in str(error)
    assert "pa/ss" not in str(error)


def test_no_such_path() -> None:
    """The camera answers 404."""
    with RtspCamera({"/cam": CLIP}) as camera:
        assert "404" in str(opening_error(network(camera.url("/other"))))


def test_connection_refused() -> None:
    """The port refuses the connection at once."""
    with RtspCamera({"/cam": CLIP}) as camera:
        camera.refuse()
        assert "connection refused" in str(opening_error(network(camera.url("/cam"))))


def test_a_camera_without_the_requested_transport() -> None:
    """``transport = "udp"`` has no fallback to TCP."""
    with RtspCamera({"/cam": CLIP}, transports=("tcp",)) as camera:
        assert "transport" in str(opening_error(network(camera.url("/cam"), transport="udp")))


def test_a_camera_that_never_answers_is_given_up() -> None:
    """Opening ends after ``open_s``, which the message names."""
    with RtspCamera({"/cam": CLIP}) as camera:
        camera.mute()
        error = opening_error(network(camera.url("/cam"), open_s=0.7))
    assert type(error) is SourceError
    assert re.search(r"no answer in \d+\.\d s; .* raise open_s \(0\.7 s\)", str(error))


def test_a_server_that_is_no_camera() -> None:
    """The port belongs to a server of another protocol."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def answer() -> None:
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = opening_error(network(f"rtsp://127.0.0.1:{server.getsockname()[1]}/x", open_s=3))
        thread.join(5)
    assert type(error) is SourceError
    assert "check the" in str(error) or "is the port right?" in str(error)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_silent_camera_is_a_stall(transport: str) -> None:
    """It is noticed after ``stall_s``, which the message names; tools/bench/live.py measures how soon."""
    with RtspCamera({"/cam": CLIP}) as camera:
        error = reading_error(network(camera.url("/cam"), transport=transport), camera.stall)
    assert isinstance(error, SourceStalled)
    found = re.search(r"no image for (\d+\.\d) s; .* raise stall_s \((\S+) s\)", str(error))
    assert found is not None, error
    assert float(found[1]) >= STALL_S == float(found[2])


@pytest.mark.slow
def test_reports_alone_are_a_stall() -> None:
    """Every video packet is lost while RTCP goes on."""
    with RtspCamera({"/cam": CLIP}, report_every_s=0.2) as camera:
        error = reading_error(network(camera.url("/cam")), lambda: camera.lose(1_000_000, keyframe=True))
    assert isinstance(error, SourceStalled)


@pytest.mark.slow
def test_data_without_images_is_a_stall() -> None:
    """H.265 decodes nothing between a lost image and the next key frame, here four seconds away."""
    clip = Clip.test_pattern(codec="h265", seconds=4, keyframe_every=100)
    with RtspCamera({"/cam": clip}) as camera:
        error = reading_error(network(camera.url("/cam")), lambda: camera.lose(1))
    assert isinstance(error, SourceStalled)
    assert "no image could be decoded" in str(error)


@pytest.mark.slow
def test_a_slow_reader_is_no_stall() -> None:
    """The time that the consumer takes for a frame does not count as the camera's."""
    waiting = threading.Event()

    def dawdle(frame: Frame) -> None:
        if frame.seq == 3:
            waiting.wait(1.5 * STALL_S)

    with RtspCamera({"/cam": CLIP}) as camera, network(camera.url("/cam")) as source:
        assert len(read(source, 8, dawdle)) == 8


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_a_cut_connection_is_an_error(how: str, transport: str) -> None:
    """A live stream has no end."""
    with RtspCamera({"/cam": CLIP}) as camera:
        error = reading_error(network(camera.url("/cam"), transport=transport), lambda: camera.cut(how))
    assert "ended the stream" in str(error) or "connection broke" in str(error)


@pytest.mark.slow
def test_without_a_gpu_the_cpu_decodes(caplog: pytest.LogCaptureFixture) -> None:
    """With decode = "auto" or "cuda", the CPU decodes, and one line is logged per process."""
    from stream.sources.network.ffmpeg.connection import _has_cuda_decoder

    _has_cuda_decoder.cache_clear()
    with RtspCamera({"/cam": CLIP}) as camera:
        for decode in ("auto", "cuda"):
            with network(camera.url("/cam"), decode=decode) as source:
                assert read(source, 3)[0].image.shape == (240, 320, 3)
    if not _has_cuda_decoder():
        assert [record.message for record in caplog.records if "GPU" in record.message] == [
            m for m in caplog.messages if "GPU" in m
        ][:1]
