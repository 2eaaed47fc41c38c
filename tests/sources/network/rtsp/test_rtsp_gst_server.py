"""The RTSP reader in front of GStreamer's server, which packs differently from the test camera."""

from __future__ import annotations

from itertools import islice
from statistics import median
from time import monotonic_ns
from typing import TYPE_CHECKING, Literal

import pytest

from stream.errors import AccessDenied, SourceError
from stream.frames import Image, Size
from stream.sources.network.access_unit import AccessUnit
from tests.rigs.gst_camera import GstCamera, age_ms, missing, read_stamp
from tests.sources.network.rtsp.rtsp_reading import open_reader, reading

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext

pytestmark = [pytest.mark.rig, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.mark.parametrize("codec", ["h264", "h265"])
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_every_image_comes_at_once(
    codec: Literal["h264", "h265"], transport: str, auth: Literal["digest", "basic"]
) -> None:
    """In order, whole, and not a frame period later than it was made."""
    import av

    with (
        GstCamera(codec, user="us er", password="p@ss:w%rd", auth=auth) as camera,
        reading(camera.url, transport=transport) as reader,
    ):
        context: VideoCodecContext = av.CodecContext.create(reader.codec, "r")  # type: ignore[assignment]
        context.thread_type = "SLICE"
        context.extradata = reader.extradata or None
        seen: list[int] = []
        ages_ms: list[int] = []
        coded: list[AccessUnit] = []
        for unit in islice((item for item in reader.items() if isinstance(item, AccessUnit)), 60):
            coded.append(unit)
            now_ns = monotonic_ns()
            for frame in context.decode(av.Packet(unit.data)):
                image: Image = frame.to_ndarray(format="bgr24")  # type: ignore[assignment]
                seen.append(read_stamp(image)[1])
                ages_ms.append(age_ms(image, now_ns))
                assert Size(*image.shape[:2]) == Size(240, 320)
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) == 60
    assert {unit.damage for unit in coded} == {""}
    assert coded[0].keyframe
    assert median(ages_ms[10:]) < 40  # the frame period; FFmpeg's reader cannot be below


def test_a_wrong_password_and_a_wrong_path() -> None:
    with GstCamera(user="admin", password="right") as camera:
        with pytest.raises(AccessDenied, match="refused"):
            open_reader(camera.url_with("admin", "wrong"))
        with pytest.raises(SourceError, match="no such path"):
            open_reader(camera.url_with("admin", "right", "/other"))
