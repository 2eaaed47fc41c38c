"""Descriptions: the sink that is added, and secrets that are never shown."""

from __future__ import annotations

import pytest

from stream.sources.gstreamer.description import Description

TAIL = "videoconvert ! video/x-raw,format=BGR ! appsink name=depthstream"


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("videotestsrc", f"videotestsrc ! {TAIL}"),
        ("  libcamerasrc ! video/x-raw,width=1280 \n", f"libcamerasrc ! video/x-raw,width=1280 ! {TAIL}"),
        ("videotestsrc !", f"videotestsrc ! {TAIL}"),
        ("a ! appsink name=mine", "a ! appsink name=mine"),
        ("a ! appsink", "a ! appsink"),
        ("a ! appsink name=mine ! b", f"a ! appsink name=mine ! b ! {TAIL}"),
        ("appsinkish ! b", f"appsinkish ! b ! {TAIL}"),
    ],
)
def test_a_sink_is_added_where_there_is_none(text: str, full: str) -> None:
    assert Description(text).full == full


@pytest.mark.parametrize(
    "text",
    [
        "rtspsrc location=rtsp://cam/x user-id=hidden1 user-pw=hidden2 ! decodebin",
        'rtspsrc user-pw="hidden1 and hidden2" ! decodebin',
        "rtspsrc user-pw='hidden1 and hidden2' ! decodebin",
        "rtspsrc user-pw=hidden1\\ and\\ hidden2 ! decodebin",
        "rtspsrc user-pw = hidden1 ! decodebin",
        "rtspsrc user-pw=hidden1!hidden2 ! decodebin",
        "rtspsrc location=rtsp://admin:hidden1@cam/x ! decodebin",
        'rtspsrc location="rtsp://admin:hidden1@cam/x" ! decodebin',
        "uridecodebin uri=rtsp://admin:hid/den1@cam/x",
        "uridecodebin uri=http://cam/x?user=a&pwd=hidden1&n=1",
        "srtsrc uri=srt://cam:9000 passphrase=hidden1hidden2 ! tsdemux",
        'srtsrc uri="srt://cam:9000?mode=caller&passphrase=hidden1&latency=100" ! tsdemux',
        'srtsrc uri="srt://cam:9000?streamid=read:cam:hidden1" ! tsdemux',
        'souphttpsrc extra-headers="h,Authorization=(string)hidden1" ! jpegdec',
        "souphttpsrc proxy-pw=hidden1 cookies=hidden2 ! jpegdec",
    ],
)
def test_secrets_are_in_no_label(text: str) -> None:
    description = Description(text)
    scrubbed = description.scrub(f"cannot open {text}")
    shown = f"{description.label} {description!r} {description.redacted} {scrubbed}"
    assert "***" in description.label
    for secret in ("hidden", "hid/den"):
        assert secret not in shown


def test_secrets_are_in_no_message_of_an_element() -> None:
    """GStreamer repeats them decoded and encoded."""
    description = Description("rtspsrc location=rtsp://cam/x user-id=operator user-pw=p@ss:w%rd9 ! decodebin")
    said = description.scrub("cannot open rtsp://operator:p%40ss%3Aw%25rd9@cam/x\nwith p@ss:w%rd9")
    assert "operator" not in said
    assert "p@ss" not in said
    assert "p%40ss" not in said
    assert "\n" not in said


def test_ordinary_properties_are_shown() -> None:
    text = "x264enc key-int-max=30 bypass=1 pass=hidden1 tokens-left=4 ! h264parse"
    assert Description(text).label == "x264enc key-int-max=30 bypass=1 pass=*** tokens-left=4 ! ..."


def test_a_long_label_is_cut() -> None:
    """With what follows left out, because messages are one line."""
    label = Description(f"filesrc location=/{'x' * 500} ! decodebin").label
    assert len(label) < 200
    assert label.endswith("... ! ...")
