"""Packing and reading whole messages: sizes, flags, previews, hostile payloads, and the cost of importing."""

from __future__ import annotations

import subprocess
import sys
import threading
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest

import stream.wire
from stream.errors import WireError
from stream.frames import Image, Intrinsics, Size
from stream.wire.header import HEADER_BYTES, Compression, Encoding, Flags, Header, WireIntegrity, WireKind
from stream.wire.message import Sender, largest_message, pack_depth, pack_preview, parse
from stream.wire.payload import delta, undelta
from tests.wire.golden import FOLDER
from tests.wire.samples import CAPTURE_NS, PUBLISH_NS, SIZE, WAYS, depth_of, image_of, known_depth_of, map_of, packed

RAW = Sender(7, Encoding.F32, Compression.RAW)


@pytest.mark.parametrize(("encoding", "compression"), WAYS)
@pytest.mark.parametrize("size", [Size(1, 1), Size(3, 1), Size(1, 500), Size(96, 128), Size(400, 300)], ids=str)
def test_no_message_is_longer_than_it_may_be(encoding: Encoding, compression: Compression, size: Size) -> None:
    """Noise, which nothing can compress, fits the buffer that ``largest_message`` asks for."""
    noise = np.random.default_rng(0).uniform(0.001, 65.5, size).astype(np.float32)
    message = parse(packed(map_of(noise), encoding, compression))
    np.testing.assert_allclose(message.depth(), noise, rtol=1e-3, atol=0.000_51)


@pytest.mark.parametrize(("encoding", "compression"), WAYS)
def test_a_buffer_that_is_too_small_is_refused(encoding: Encoding, compression: Compression) -> None:
    depth_map, sender = map_of(depth_of()), Sender(7, encoding, compression)
    needed = len(packed(depth_map, encoding, compression))
    for size in (0, 100, HEADER_BYTES, needed - 1):
        with pytest.raises(WireError, match="bytes"):
            pack_depth(depth_map, sender, PUBLISH_NS, memoryview(bytearray(size)))
    with pytest.raises(WireError, match="read-only"):
        pack_depth(depth_map, sender, PUBLISH_NS, memoryview(bytes(10_000)))


def test_the_rest_of_a_larger_buffer_is_left_alone() -> None:
    """A pool's buffers are as large as the largest message."""
    buffer = bytearray(b"\xee" * 5000)
    used = pack_depth(map_of(depth_of()), RAW, PUBLISH_NS, memoryview(buffer))
    assert used == HEADER_BYTES + 4 * 35
    assert set(buffer[used:]) == {0xEE}
    np.testing.assert_array_equal(parse(memoryview(buffer)[:used]).depth(), depth_of())


def test_packing_float32_allocates_next_to_nothing() -> None:
    """The pixels go straight into the given buffer; reading them makes no copy either."""
    depth_map = map_of(np.ones((480, 640), np.float32))
    buffer = memoryview(bytearray(largest_message(depth_map.size, RAW)))
    tracemalloc.start()
    pack_depth(depth_map, RAW, PUBLISH_NS, buffer)
    depth = parse(buffer).depth()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
    assert np.shares_memory(depth, np.frombuffer(buffer, np.uint8))


@pytest.mark.parametrize(
    ("encoding", "compression"),
    [
        (Encoding.F32, Compression.DELTA_ZSTD),
        (Encoding.F16, Compression.PNG16),
        (Encoding.U16, Compression.JPEG),
        (Encoding.U8X3, Compression.RAW),
    ],
)
def test_a_sender_refuses_what_does_not_go_together(encoding: Encoding, compression: Compression) -> None:
    with pytest.raises(WireError, match=f"{encoding.name} with {compression.name}"):
        Sender(7, encoding, compression)


@pytest.mark.parametrize(
    ("source", "weights", "flags"),
    [
        ("arrival", "trained", Flags.HOST_ARRIVAL),
        ("rtcp", "trained", Flags.RTCP),
        ("device", "trained", Flags.NONE),
        ("file", "random", Flags.RANDOM_WEIGHTS),
        ("rtcp", "random", Flags.RTCP | Flags.RANDOM_WEIGHTS),
    ],
)
def test_flags_say_what_to_trust(source: str, weights: str, flags: Flags) -> None:
    depth_map = replace(map_of(depth_of(), source=source), weights=weights)  # type: ignore[arg-type]
    assert parse(packed(depth_map, Encoding.F32, Compression.RAW)).header.flags == flags


def test_flags_say_what_metres_and_intrinsics_are_worth() -> None:
    """A guess is marked as one, and numbers from a data sheet are not called measured."""
    metric = replace(map_of(depth_of(), source="file"), kind="metric", scale_guessed=True)
    assert parse(packed(metric, Encoding.F32, Compression.RAW)).header.flags == Flags.SCALE_GUESSED
    for calibrated, flags in ((True, Flags.INTRINSICS_CALIBRATED), (False, Flags.NONE)):
        lens = Intrinsics(9.0, 9.0, 3.0, 2.0, metric.size, calibrated)
        known = replace(metric, frame=replace(metric.frame, intrinsics=lens), scale_guessed=False)
        assert parse(packed(known, Encoding.F32, Compression.RAW)).header.flags == flags


def test_the_header_tells_of_the_frame() -> None:
    depth_map = map_of(depth_of(), camera="left")
    depth_map = replace(depth_map, frame=replace(depth_map.frame, integrity="tainted"))
    header = parse(packed(depth_map, Encoding.F32, Compression.RAW)).header
    assert (header.topic, header.seq, header.frame_id) == ("depth/left", 42, "left_optical_frame")
    assert (header.capture_ns, header.publish_ns) == (CAPTURE_NS, PUBLISH_NS)
    assert (header.integrity, header.model_id) == (WireIntegrity.TAINTED, zlib.crc32(b"tiny"))


def test_a_long_camera_name_shortens_the_frame_id_only() -> None:
    header = parse(packed(map_of(depth_of(), camera="k" * 57), Encoding.F32, Compression.RAW)).header
    assert header.topic == "depth/" + "k" * 57
    assert header.frame_id == "k" * 31
    with pytest.raises(WireError, match="64 bytes"):
        packed(map_of(depth_of(), camera="k" * 58), Encoding.F32, Compression.RAW)


def test_intrinsics_are_those_of_the_size_that_is_sent() -> None:
    """A camera of 14 x 10 pixels whose depth has half the size; pixel edges, not centres, keep their places."""
    depth_map = map_of(depth_of())
    optics = Intrinsics(600.0, 500.0, 6.5, 4.5, Size(10, 14))
    halved = replace(depth_map, frame=replace(depth_map.frame, intrinsics=optics))
    message = parse(packed(halved, Encoding.F32, Compression.RAW))
    assert message.intrinsics == Intrinsics(300.0, 250.0, 3.0, 2.0, Size(5, 7))
    unknown = replace(depth_map, frame=replace(depth_map.frame, intrinsics=None))
    assert parse(packed(unknown, Encoding.F32, Compression.RAW)).intrinsics is None


def preview(image: Image) -> Header:
    message = pack_preview(image, map_of(depth_of()), RAW, 90, PUBLISH_NS)
    array = parse(message).array()
    assert array.shape == image.shape
    assert np.abs(array.astype(int) - image.astype(int)).max() <= 20
    return parse(message).header


def test_a_preview_is_an_image_and_no_depth() -> None:
    header = preview(image_of())
    assert (header.topic, header.kind, header.scale) == ("preview/cam0", WireKind.COLOUR, 0)
    assert (header.encoding, header.compression, header.ros_encoding) == (Encoding.U8X3, Compression.JPEG, "bgr8")
    assert header.fx == 600


def test_a_preview_of_another_shape_has_no_intrinsics() -> None:
    """Two panels side by side are not the camera's image."""
    assert preview(image_of(Size(5, 14))).fx == 0


def test_a_preview_of_a_view_in_another_memory_order() -> None:
    preview(image_of(Size(20, 20))[:, ::-1])


@pytest.mark.parametrize("size", [Size(1, 1), Size(1, 9), Size(9, 1), Size(64, 48)], ids=str)
def test_delta_is_undone(size: Size) -> None:
    """Noise over all of 16 bits, so that differences wrap both ways."""
    pixels = np.random.default_rng(1).integers(0, 65536, size, dtype=np.uint16)
    np.testing.assert_array_equal(undelta(delta(pixels).tobytes()).reshape(size), pixels)


def test_delta_of_plain_numbers() -> None:
    """By hand: differences 5, -1, +65530 = -6, wrapped; zigzag 10, 1, 11."""
    split = delta(np.array([[5, 4, 65534]], np.uint16))
    assert split.tolist() == [[10, 1, 11], [0, 0, 0]]


@pytest.mark.parametrize("compression", [Compression.RAW, Compression.DELTA_ZSTD, Compression.PNG16])
def test_threads_pack_and_read_beside_each_other(compression: Compression) -> None:
    """No state is shared: eight threads pack the same bytes as one."""
    maps = [map_of(known_depth_of(Size(40, 60)) + np.float32(k)) for k in range(8)]
    alone = [packed(depth_map, Encoding.U16, compression) for depth_map in maps]
    together: dict[int, set[bytes]] = {k: set() for k in range(8)}

    def work(k: int) -> None:
        for _ in range(40):
            together[k].add(packed(maps[k], Encoding.U16, compression))
            parse(alone[k]).depth()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[k] for k in range(8)] == [{message} for message in alone]


WITHOUT_OPENCV = """
import sys
sys.modules["cv2"] = None
from stream.errors import MissingPackage
from stream.wire.message import parse
for name in sys.argv[1:]:
    try:
        parse(open(name, "rb").read()).array()
    except MissingPackage as error:
        print(error)
"""


def run(program: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_images_without_opencv_say_what_to_install() -> None:
    lines = run(WITHOUT_OPENCV, *(str(FOLDER / f"{name}.bin") for name in ("metric-u16-png16", "preview-jpeg")))
    assert len(lines) == 2
    assert all("pip install opencv-python" in line for line in lines)


def test_importing_the_wire_is_cheap() -> None:
    """A robot's program needs neither torch nor OpenCV nor PyAV, and this part not even zmq."""
    program = "import sys, stream.wire.message, stream.wire.json_topics; print(*sys.modules)"
    loaded = set(run(program)[0].split())
    assert "stream.wire.message" in loaded
    assert not loaded & {"torch", "cv2", "av", "zmq", "pydantic"}


def test_the_package_exports_what_a_reader_needs() -> None:
    """Each name is the one of its module."""
    assert all(getattr(stream.wire, name).__name__ == name for name in stream.wire.__all__)
    assert {"Header", "Message", "parse", "parse_json", "subscription"} <= set(stream.wire.__all__)
    assert (stream.wire.parse, stream.wire.Header) == (parse, Header)
    assert stream.wire.parse(packed(map_of(depth_of()), Encoding.F32, Compression.RAW)).depth().shape == SIZE
