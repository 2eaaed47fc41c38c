"""No password leaves the process."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest

from stream.core.log import one_line, redact, set_up


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("rtsp://admin:s3cret@10.0.0.7/main", "rtsp://admin:***@10.0.0.7/main"),
        ("rtsp://admin:p%40ss:w%rd@cam/main", "rtsp://admin:***@cam/main"),
        ("open 'http://u:p@h/a' and rtsp://x:y@z", "open 'http://u:***@h/a' and rtsp://x:***@z"),
        ("rtsp://:p@cam/", "rtsp://:***@cam/"),
        ("rtsp://admin:s3/cr@t@cam/main", "rtsp://admin:***@cam/main"),
        (
            '{"url": "rtsp://a:b/c@cam", "mail": "me@example.org"}',
            '{"url": "rtsp://a:***@cam", "mail": "me@example.org"}',
        ),
        ("rtsp://cam/main?a=b@c", "rtsp://cam/main?a=b@c"),
        ("open http://h:8080/?token=aB-3_x&y=1 now", "open http://h:8080/?token=***&y=1 now"),
        ("GET /stream/a.mjpg?show=depth&TOKEN=x#y", "GET /stream/a.mjpg?show=depth&TOKEN=***#y"),
        ("a token=5 of a lexer", "a token=5 of a lexer"),
        ("rtsp://user@cam", "rtsp://user@cam"),
        ("mail me@example.org: no url", "mail me@example.org: no url"),
        ("rtsp:/admin:s3cret@cam/1: no such file", "rtsp:/admin:***@cam/1: no such file"),
        ("admin:s3cret@cam/main", "admin:***@cam/main"),
        ("camera 'admin:s3/cr@t@[::1]/x' at 5", "camera 'admin:***@[::1]/x' at 5"),
        ("rtsp:admin:s3cret@cam", "rtsp:***@cam"),
        ("http://cam/x?user=a&pwd=s3cret&n=1", "http://cam/x?user=a&pwd=***&n=1"),
        ("rtspsrc user-id=admin user-pw=s3cret latency=0", "rtspsrc user-id=*** user-pw=*** latency=0"),
        ('srtsrc passphrase="s3cret of mine" ! tsdemux', "srtsrc passphrase=*** ! tsdemux"),
        ("open http://cam/x?password=s3.cr:t: refused", "open http://cam/x?password=***: refused"),
        ("rtsp:/cam/main?a=b@c", "rtsp:/cam/main?a=b@c"),
        ("12:30:05 a stage: 640x480@30", "12:30:05 a stage: 640x480@30"),
    ],
)
def test_passwords_are_hidden(text: str, safe: str) -> None:
    """In every URL of a line; everything else stays."""
    assert redact(text) == safe


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("front door\n  1080p", "front door 1080p"),
        ("\x1b[2Jgone\x07 \x9b31m\u202etxt", "[2Jgone 31mtxt"),
        ("rtsp://admin:s3cret@10.0.0.7/main\r\nX: y", "rtsp://admin:***@10.0.0.7/main X: y"),
        ("x" * 1000, "x" * 600),
        ("Küche 2", "Küche 2"),
    ],
)
def test_what_a_camera_says_is_fit_for_a_terminal(text: str, line: str) -> None:
    """One line, without characters that move the cursor or reverse the text, and not too long."""
    assert one_line(text) == line


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logger = logging.getLogger("stream")
    before = (logger.handlers[:], logger.level, logger.propagate)
    set_up(verbose=True, handler=logging.StreamHandler(stream))
    yield stream
    logger.handlers[:], logger.level, logger.propagate = before


def test_tracebacks_are_redacted_too(captured: io.StringIO) -> None:
    """An exception that carries a URL does not give its password away."""
    try:
        raise OSError("cannot open rtsp://admin:s3cret@cam/main")
    except OSError:
        logging.getLogger("stream.test").exception("failed")
    assert "s3cret" not in captured.getvalue()
    assert "rtsp://admin:***@cam/main" in captured.getvalue()
