"""Session descriptions as cameras write them."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.drill.camera.sdp import describe
from stream.frames import Size
from stream.sources.network.rtsp.opening import size_of
from stream.sources.network.rtsp.sdp import Track, parse, resolve
from tests.sources.network.rtsp.rtsp_reading import clip

SPS, PPS = b"\x67\x42\xc0\x1e\xd9", b"\x68\xcb\x83\xcb\x20"
SPROP = ",".join(b64encode(unit).decode() for unit in (SPS, PPS))


def track(*lines: str) -> Track:
    """The only video track of a description with these lines after ``m=``."""
    (found,) = parse("\n".join(["v=0", "a=control:*", *lines]).encode()).videos
    return found


def test_all_that_is_said_about_a_track() -> None:
    found = track(
        "m=video 0 RTP/AVP 97 98",
        "a=rtpmap:98 h264/90000 ",
        "a=rtpmap:97 VP8/90000",
        f"a=fmtp:98 packetization-mode=1; profile-level-id=42c01e;Sprop-Parameter-Sets={SPROP};",
        "a=framerate:29.97",
        "a=framesize:98 640-480",
        "a=control:trackID=1",
    )
    assert (found.codec, found.payload_type, found.rate_hz, found.fps) == ("h264", 98, 90_000, 29.97)
    assert (found.size, found.control) == (Size(480, 640), "trackID=1")
    assert found.extradata == b"\0\0\0\1" + SPS + b"\0\0\0\1" + PPS


@pytest.mark.parametrize("sprop", ["", "!!!,%%%", "Z0I,aM", b64encode(b"\x09\xf0abc").decode()])
def test_parameter_sets_that_are_none_are_left_out(sprop: str) -> None:
    found = track("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", f"a=fmtp:96 sprop-parameter-sets={sprop}")
    assert found.extradata in (b"", b"\0\0\0\1\x67\x42")


def test_h265_parameter_sets() -> None:
    description = parse(describe(clip("h265")))
    (found,) = description.videos
    assert found.codec == "hevc"
    assert [part[0] >> 1 & 0x3F for part in found.extradata.split(b"\0\0\0\1")[1:]] == [32, 33, 34]


@pytest.mark.parametrize(("number", "codec"), [(26, "mjpeg"), (33, None), (32, None)])
def test_fixed_payload_types_need_no_map(number: int, codec: str | None) -> None:
    assert track(f"m=video 0 RTP/AVP {number}").codec == codec


def test_tracks_by_kind() -> None:
    description = parse(describe(["audio", clip("mjpeg"), "metadata", "backchannel"]))
    assert description.kinds == "audio, video, application"
    assert [entry.codec for entry in description.videos] == ["mjpeg"]
    assert [entry.is_backchannel for entry in description.tracks] == [False, False, False, True]


def test_an_h264_track_knows_its_size_by_its_parameter_sets() -> None:
    text = describe(clip("h264", 320, 240)).replace(b"x-dimensions", b"x-nothing")
    (found,) = parse(text).videos
    assert found.size is None
    assert size_of(found) == Size(240, 320)


@pytest.mark.parametrize(
    ("base", "control", "url"),
    [
        ("rtsp://h/cam/", "track1", "rtsp://h/cam/track1"),
        ("rtsp://h/cam", "track1", "rtsp://h/cam/track1"),
        ("rtsp://h/cam?channel=1&subtype=0", "trackID=0", "rtsp://h/cam?channel=1&subtype=0/trackID=0"),
        ("rtsp://h/cam", "?ctype=video", "rtsp://h/cam?ctype=video"),
        ("rtsp://h/cam", "*", "rtsp://h/cam"),
        ("rtsp://h/cam", "", "rtsp://h/cam"),
        ("rtsp://h:1/cam/x", "/other/1", "rtsp://h:1/other/1"),
        ("rtsp://h/cam", "RTSP://10.0.0.1/cam/trackID=1", "RTSP://10.0.0.1/cam/trackID=1"),
    ],
)
def test_control_urls(base: str, control: str, url: str) -> None:
    assert resolve(base, control) == url


@pytest.mark.parametrize("value", ["0", "nan", "1e999", "999999999/1", "25/0", "-3", "", "25 fps"])
def test_odd_frame_rates(value: str) -> None:
    assert 0 <= track("m=video 0 RTP/AVP 26", f"a=framerate:{value}").fps <= 1000


def test_a_description_without_end() -> None:
    text = "m=video 0 RTP/AVP 26\n" * 5000 + "a=x:" + "y" * 70_000
    assert len(parse(text.encode()).tracks) == 32


LINES = st.sampled_from(
    ["m=video", "m=video 0 RTP/AVP 96", "m=", "a=rtpmap:96 H264/0", "a=rtpmap:96 H265", "a=fmtp:96 sprop-sps=====",
     "a=fmtp:", "a=control", "a=framerate:", "a=x-dimensions:99999,1", "=", "a=framesize:96 1-1", "m=video 0 X 429496"]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(LINES, max_size=12).map(lambda lines: "\n".join(lines).encode())))
def test_no_description_is_an_exception(text: bytes) -> None:
    for found in parse(text).tracks:
        assert found.rate_hz > 0
        assert found.extradata is not None
        size_of(found)


def test_of_very_many_payload_types_the_first_count() -> None:
    """Each is looked up in up to 4000 lines: all of them took half a minute, whatever ``open_s`` was."""
    assert track("m=video 0 RTP/AVP " + "1 " * 31 + "96", "a=rtpmap:96 H264/90000").codec == "h264"
    assert track("m=video 0 RTP/AVP " + "1 " * 50_000 + "96", "a=rtpmap:96 H264/90000").codec is None
