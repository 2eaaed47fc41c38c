"""Packets in order become access units: when each is complete, and which one is damaged by what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest

from pipelines.drill.camera.payload import h264_payloads, h265_payloads, jpeg_payloads
from stream.sources.network.access_unit import AccessUnit
from stream.sources.network.rtsp.assembly import Assembly, Payloads
from stream.sources.network.rtsp.media_clock import MediaClock
from stream.sources.network.rtsp.payloads.h264 import H264Payloads
from stream.sources.network.rtsp.payloads.h265 import H265Payloads
from stream.sources.network.rtsp.payloads.jpeg import JpegPayloads
from tests.sources.network.rtsp.rtsp_reading import clip

SPS, PPS = b"\x67\x42\0\x1eabcdef", b"\x68\xce\x38\x80"
RECOVERY_0, RECOVERY_3 = b"\x06\x06\x01\xc4\x80", b"\x06\x06\x01\x24\x80"
"""Recovery points after 0 and 3 images: ue(0) = 1, ue(3) = 00100, then the other flags."""


def idr(size: int = 3000) -> bytes:
    return b"\x65\x88" + b"i" * size


def p_image(size: int = 3000) -> bytes:
    return b"\x41\x9a" + b"p" * size


def rest(size: int = 1000) -> bytes:
    """A slice that is not the first one of its image."""
    return b"\x41\x4a" + b"r" * size


class Feeding:
    """An assembly with a camera in front of it: numbers and marks packets."""

    def __init__(self, payloads: Payloads) -> None:
        self.units: list[AccessUnit] = []
        self._assembly = Assembly(payloads, MediaClock(90_000), self.units.append)
        self._now_ns = count(1)
        self._lost = False
        self.sent_ns: list[int] = []

    def image(
        self, packets: Sequence[bytes], ticks: int, *, lose: Sequence[int] = (), marks: Sequence[int] = (-1,)
    ) -> None:
        """Send an image; ``lose``: places of packets that do not arrive; ``marks``: those with a marker."""
        marked = {place % len(packets) for place in marks}
        for place, packet in enumerate(packets):
            now_ns = next(self._now_ns)
            if place == 0:
                self.sent_ns.append(now_ns)
            if place in lose:
                self._lost = True
                continue
            lost, self._lost = self._lost, False
            self._assembly.packet(memoryview(packet), ticks, place in marked, lost, now_ns)

    def damage(self) -> list[str]:
        return [unit.damage for unit in self.units]


def h264(*units: bytes) -> list[bytes]:
    return list(h264_payloads(list(units)))


def begun(payloads: Payloads | None = None) -> Feeding:
    """After a key frame and one more image, from which the meaning of the marker is known."""
    feeding = Feeding(payloads or H264Payloads())
    feeding.image(h264(SPS, PPS, idr()), 0)
    assert feeding.units == []  # the meaning of the marker is not known yet
    feeding.image(h264(p_image()), 3600)
    assert [unit.keyframe for unit in feeding.units] == [True, False]
    return feeding


def test_the_marker_completes_an_image_at_once() -> None:
    feeding = begun()
    feeding.image(h264(p_image()), 7200)
    assert [unit.media_s for unit in feeding.units] == [0.0, 0.04, 0.08]
    assert [unit.first_ns for unit in feeding.units] == feeding.sent_ns
    assert feeding.units[2].complete_ns == feeding.sent_ns[2] + 2
    assert feeding.units[0].data == b"".join(b"\0\0\0\1" + unit for unit in (SPS, PPS, idr()))
    assert feeding.damage() == ["", "", ""]


def test_a_camera_that_never_marks_is_read_by_its_time_stamps() -> None:
    feeding = Feeding(H264Payloads())
    for number in range(20):
        feeding.image(h264(idr()), number * 3600, marks=())
    assert feeding.damage() == [""] * 19
    assert [unit.media_s for unit in feeding.units] == [number * 0.04 for number in range(19)]


@pytest.mark.parametrize("first", [h264(idr(50), rest()), h264(idr(), rest(), rest(2000))])
def test_a_camera_that_marks_each_packet_gets_no_cut_images(first: list[bytes]) -> None:
    feeding = Feeding(H264Payloads())
    for number in range(20):
        feeding.image(first, number * 3600, marks=range(len(first)))
    assert feeding.damage() == [""] * 19
    assert {len(unit.data) for unit in feeding.units} == {len(feeding.units[0].data)}


def test_a_camera_that_begins_to_mark_slices_costs_one_image() -> None:
    """It is cut once, which is seen and said."""
    feeding = begun()
    for number in range(2, 20):
        feeding.image(h264(p_image(), rest(2000)), number * 3600, marks=(2, -1))
    damaged = [number for number, damage in enumerate(feeding.damage()) if damage]
    assert damaged == [3]
    assert feeding.damage()[3] == "inside"
    assert len(feeding.units) == 2 + 2 + 16


@pytest.mark.parametrize("marks", [(), (-1,)])
def test_parameter_sets_with_a_time_of_their_own_join_the_next_image(marks: tuple[int, ...]) -> None:
    feeding = begun()
    feeding.image([SPS, PPS], 7000, marks=marks)
    feeding.image(h264(idr()), 7200)
    assert len(feeding.units) == 3
    assert feeding.units[2].data.startswith(b"\0\0\0\1" + SPS)
    assert (feeding.units[2].first_ns, feeding.units[2].media_s) == (feeding.sent_ns[3], 0.08)
    assert feeding.units[2].damage == ""


def test_a_clock_that_stands_still_does_not_join_images() -> None:
    feeding = begun()
    for _ in range(10):
        feeding.image(h264(p_image()), 3600)
    feeding.image(h264(SPS, PPS, idr()), 3600)
    assert len(feeding.units) == 13
    assert {unit.damage for unit in feeding.units} == {""}


def test_a_clock_that_never_moves_does_not_join_images_either() -> None:
    feeding = Feeding(H264Payloads())
    for _ in range(5):
        feeding.image(h264(idr()), 0)
    assert feeding.damage() == [""] * 5


LONG = h264(p_image(5000))


@pytest.mark.parametrize(
    ("lose", "damage"),
    [
        ((0,), ["before"]),  # its first part: nothing of it can be used, and it does not come
        ((1,), ["inside", ""]),
        ((2,), ["inside", ""]),
        ((3,), ["inside", "before"]),  # its last part; what else was lost behind it is unknown
        ((0, 1, 2, 3), ["before"]),
    ],
)
def test_a_lost_packet_of_one_nal_unit(lose: tuple[int, ...], damage: list[str]) -> None:
    assert len(LONG) == 4
    feeding = begun()
    feeding.image(LONG, 7200, lose=lose)
    feeding.image(h264(p_image()), 10_800)
    assert feeding.damage()[2:] == damage


@pytest.mark.parametrize(
    ("lose", "damage"),
    [
        ((0,), ["inside", ""]),  # the second slice comes, so that the image is there in part
        ((1,), ["inside", ""]),
        ((2,), ["inside", "before"]),
    ],
)
def test_a_lost_packet_of_several_slices(lose: tuple[int, ...], damage: list[str]) -> None:
    feeding = begun()
    feeding.image(h264(p_image(900), rest(), rest()), 7200, lose=lose)
    feeding.image(h264(p_image()), 10_800)
    assert feeding.damage()[2:] == damage


def test_lost_fragments_truncate_their_nal_unit() -> None:
    feeding = begun()
    feeding.image(LONG, 7200, lose=(2,))
    data = feeding.units[2].data
    assert data == b"\0\0\0\1" + p_image(5000)[: len(data) - 4]
    assert len(data) == 4 + 1 + 2 * (len(LONG[1]) - 2)


def test_lost_parameter_sets_are_before_their_image() -> None:
    feeding = begun()
    feeding.image(h264(SPS, PPS, idr()), 7200, lose=(0,))
    assert feeding.damage()[2] == "before"


def test_every_single_loss_is_seen() -> None:
    """Whatever packet of a real stream is lost, the images before its own are clean, and one at or after it says so."""
    images = [list(unit.payloads) for unit in clip("h264", 640, 480).units[:8]]
    for lost_image, packets in enumerate(images[1:-1], 1):
        for place in range(len(packets)):
            feeding = Feeding(H264Payloads())
            for number, image in enumerate(images):
                feeding.image(image, number * 3600, lose=(place,) if number == lost_image else ())
            damaged = [unit.media_s for unit in feeding.units if unit.damage]
            assert damaged
            assert round((damaged[0] or 0) / 0.04) in (lost_image, lost_image + 1)


@pytest.mark.parametrize(
    ("payloads", "images"),
    [
        (H265Payloads(), [list(h265_payloads([b"\x26\x01\xaf" + b"i" * 3000])) for _ in range(4)]),
        (JpegPayloads(), [list(unit.payloads) for unit in clip("mjpeg", 320, 240).units[:4]]),
    ],
)
def test_other_codecs(payloads: Payloads, images: list[list[bytes]]) -> None:
    """A lost part in the middle is inside, a lost whole image is before the next one."""
    feeding = Feeding(payloads)
    for number, image in enumerate(images):
        feeding.image(image, number * 3600, lose=(1,) if number == 1 else range(len(image)) if number == 2 else ())
    assert feeding.damage() == ["", "inside", "before"]
    assert all(unit.keyframe for unit in feeding.units)


def test_key_frames_without_idr() -> None:
    """I slices behind parameter sets, and recovery points, are what decoding can begin with."""
    feeding = begun()
    i_slice, i_slice_2 = b"\x41\x88" + b"i" * 100, b"\x41\xb2" + b"i" * 100
    images = ([SPS, PPS, i_slice], [SPS, PPS, i_slice_2], [i_slice], [SPS, p_image(90)], [RECOVERY_0, p_image(90)])
    for number, image in enumerate(images, 2):
        feeding.image(h264(*image), number * 3600)
    assert [unit.keyframe for unit in feeding.units[2:]] == [True, True, False, False, True]


def test_gradual_refresh() -> None:
    """After a loss the image is whole three images behind the recovery point, if nothing else is lost."""
    feeding = begun()
    for number in range(2, 22):
        image = h264(RECOVERY_3, p_image(90)) if number % 5 == 0 else h264(p_image(90))
        feeding.image(image, number * 3600, lose=(0,) if number in (7, 11) else ())
    key = [round((unit.media_s or 0) / 0.04) for unit in feeding.units if unit.keyframe]
    assert [round((unit.media_s or 0) / 0.04) for unit in feeding.units if unit.damage] == [8, 12]
    assert key == [0, 5, 18, 20]


def test_a_stream_that_begins_with_gradual_refresh() -> None:
    """Decoding begins at once, and images are not called whole before they are."""
    feeding = Feeding(H264Payloads())
    for number in range(5, 15):
        image = h264(RECOVERY_3, p_image(90)) if number % 5 == 0 else h264(p_image(90))
        feeding.image(image, number * 3600)
    first = feeding.units[0]
    assert (first.keyframe, first.damage) == (True, "inside")
    assert [number for number, unit in enumerate(feeding.units) if unit.keyframe] == [0, 3, 5]


def test_a_jpeg_survives_the_journey() -> None:
    """The headers that are made again give the same image as the file."""
    from cv2 import imdecode
    from numpy import frombuffer, uint8

    from pipelines.drill.camera.encode import encode, numbered_images

    file = next(iter(encode(numbered_images(320, 240, 25, 1), "mjpeg", 25, 1))).data
    feeding = Feeding(JpegPayloads())
    for number in range(2):
        feeding.image(list(jpeg_payloads(file)), number * 3600)
    again = imdecode(frombuffer(feeding.units[0].data, uint8), 1)
    assert again is not None
    assert (again == imdecode(frombuffer(file, uint8), 1)).all()
