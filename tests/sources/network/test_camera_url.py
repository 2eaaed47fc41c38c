"""CameraUrl: labels without secrets, schemes, and redaction."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.sources.network.url import CameraUrl


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("rtsp://10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"),
        ("rtsp://admin@cam/main", "rtsp://admin@cam/main"),
        ("rtsp://admin:secret@cam/main?channel=1", "rtsp://admin:***@cam/main?channel=1"),
        ("rtsp://admin:p%40ss@cam/main", "rtsp://admin:***@cam/main"),
        ("rtsp://admin:p@ss@cam/main", "rtsp://admin:***@cam/main"),
        ("rtsp://admin:p/a?s#s@cam/main", "rtsp://admin:***@cam/main"),
        ("RTSP://admin:se cret@cam/", "RTSP://admin:***@cam/"),
        ("http://cam/cgi?user=a&pwd=geheim&x=1", "http://cam/cgi?user=a&pwd=***&x=1"),
        ("http://cam/cgi?password=geheim", "http://cam/cgi?password=***"),
        ("http://cam/live?access_token=abc#x", "http://cam/live?access_token=***#x"),
        (
            "rtsp://cam/user=admin_password=tl_Jw_channel=1_stream=0.sdp",
            "rtsp://cam/user=admin_password=***_channel=1_stream=0.sdp",
        ),
        ("lavfi:testsrc2=size=64x64", "lavfi:testsrc2=size=64x64"),
        ("/srv/camera.sdp", "/srv/camera.sdp"),
    ],
)
def test_labels(url: str, label: str) -> None:
    """Labels keep everything except the secrets."""
    assert CameraUrl(url).label == label
    assert CameraUrl(url).scrub(f"cannot open {url}: no") == f"cannot open {label}: no"
    assert repr(CameraUrl(url)) == f"CameraUrl('{label}')"


@pytest.mark.parametrize(
    ("url", "scheme"),
    [("RTSP://cam/x", "rtsp"), ("http://cam", "http"), ("lavfi:nullsrc", "lavfi"), ("cam.sdp", ""), ("/a/b.sdp", "")],
)
def test_schemes(url: str, scheme: str) -> None:
    """The scheme of each kind of address."""
    assert CameraUrl(url).scheme == scheme


def test_a_password_that_needs_encoding_is_noticed() -> None:
    """FFmpeg would read its "/" as the end of the host."""
    assert CameraUrl("rtsp://admin:pa/ss@cam/x").is_ambiguous
    assert not CameraUrl("rtsp://admin:pa%2Fss@cam/x").is_ambiguous
    assert not CameraUrl("rtsp://cam/x@2").is_ambiguous


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Z")), min_size=4, max_size=20))
def test_no_password_passes(password: str) -> None:
    """Passwords are removed encoded or raw, within a URL or alone."""
    if password in "rtsp://admin:***@cam/main refused":
        return
    for spelling in (password, quote(password, safe="")):
        url = CameraUrl(f"rtsp://admin:{spelling}@cam/main")
        assert url.label == "rtsp://admin:***@cam/main"
        for text in (url.full, password, quote(password, safe="")):
            assert password not in url.scrub(f"{text} refused")
