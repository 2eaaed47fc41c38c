"""Golden messages on which every version of this package and every reader in another language must agree."""

from __future__ import annotations

import json

import numpy as np
import pytest

from stream.errors import WireError
from stream.frames import Intrinsics
from stream.wire.header import Compression, Encoding, Flags, Header, WireKind
from stream.wire.json_topics import parse_json
from stream.wire.message import parse
from tests.wire.golden import FOLDER, GOLDEN, INFO, LONGER_HEADER, golden
from tests.wire.samples import CAPTURE_NS, PUBLISH_NS, SERVER_ID, SIZE, depth_of, image_of, known_depth_of

FRAMES = [name for name in GOLDEN if name != "info"]
DEPTHS = [name for name in FRAMES if name.startswith(("metric", "relative"))]
MILLIMETRES = [
    *(500, 1312, 2125, 2938, 3750, 4562, 5375),
    *(938, 1750, 2562, 3375, 4188, 5000, 5812),
    *(1375, 2188, 3000, 3812, 4625, 5438, 6250),
    *(1812, 2625, 3438, 4250, 0, 0, 0),
    *(0, 65534, 0, 0, 0, 0, 1),
]
"""Values of ``depth_of()``, computed apart from the code; halves are rounded to the even number."""


def test_every_golden_message_is_there() -> None:
    assert {file.stem for file in FOLDER.glob("*.bin")} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_messages_are_packed_as_ever(name: str) -> None:
    """Byte for byte; for compressed ones the header without sizes, and the decoded content."""
    today, then = GOLDEN[name](), golden(name)
    if name == "info" or Header.parse(then).compression == Compression.RAW:
        assert today == then
        return
    assert without_payload_size(today) == without_payload_size(then)
    tolerance = 8 if "jpeg" in name else 0
    np.testing.assert_allclose(parse(today).array(), parse(then).array(), rtol=0, atol=tolerance)


def without_payload_size(message: bytes) -> bytes:
    """The header without payload bytes and CRC-32."""
    return message[:108] + message[112:212] + message[216:256]


@pytest.mark.parametrize("name", FRAMES)
def test_headers_never_change(name: str) -> None:
    header = Header.parse(golden(name))
    assert (header.stream, header.seq, header.frame_id) == ("cam0", 42, "cam0_optical_frame")
    assert (header.capture_ns, header.publish_ns, header.server_id) == (CAPTURE_NS, PUBLISH_NS, SERVER_ID)
    assert (header.width, header.height, header.flags) == (SIZE.width, SIZE.height, Flags.HOST_ARRIVAL)
    assert header.header_bytes == (LONGER_HEADER if name == "later-version" else 256)
    assert parse(golden(name)).age_at_publish_s == pytest.approx(0.008)
    assert parse(golden(name)).intrinsics == Intrinsics(600.0, 601.0, 3.0, 2.0, SIZE)


@pytest.mark.parametrize("name", [name for name in DEPTHS if "f32" in name] + ["later-version"])
def test_golden_float32(name: str) -> None:
    np.testing.assert_array_equal(
        parse(golden(name)).depth(), depth_of() if "relative" not in name else known_depth_of()
    )


@pytest.mark.parametrize("name", [name for name in DEPTHS if "f16" in name])
def test_golden_float16(name: str) -> None:
    """The sample's fractions are exact in 16 bits, but for the specials, which are rounded or infinite."""
    expected = depth_of()
    expected[expected == np.float32(1e6)] = np.inf
    np.testing.assert_allclose(parse(golden(name)).depth(), expected, rtol=2**-11)
    np.testing.assert_array_equal(parse(golden(name)).depth()[:3], depth_of()[:3])


@pytest.mark.parametrize("name", [name for name in DEPTHS if "metric-u16" in name])
def test_golden_millimetres(name: str) -> None:
    message = parse(golden(name))
    assert message.array().reshape(-1).tolist() == MILLIMETRES
    assert message.header.z_max == pytest.approx(65.534)
    assert message.header.z_min == pytest.approx(0.001)


@pytest.mark.parametrize("name", [name for name in DEPTHS if "inverse-u16" in name])
def test_golden_steps(name: str) -> None:
    message = parse(golden(name))
    assert message.kind == WireKind.RELATIVE_INVERSE
    step = (message.header.z_max - message.header.z_min) / 65534
    np.testing.assert_allclose(message.depth(), known_depth_of(), atol=0.51 * step)
    assert (message.array().min(), message.array().max()) == (0, 65535)


@pytest.mark.parametrize("name", [name for name in FRAMES if "preview" in name])
def test_golden_images(name: str) -> None:
    message = parse(golden(name))
    assert (message.header.encoding, message.header.ros_encoding) == (Encoding.U8X3, "bgr8")
    difference = np.abs(message.array().astype(int) - image_of().astype(int))
    assert difference.max() <= (8 if "jpeg" in name else 0)


def test_golden_info() -> None:
    assert parse_json(golden("info")) == ("info/cam0", INFO)
    assert json.loads(golden("info")[64:]) == INFO


def test_a_checksum_catches_what_the_format_cannot() -> None:
    """One bit of a raw payload; the header is still read, the array is not given out."""
    damaged = bytearray(golden("metric-f32-raw-checksum"))
    damaged[300] ^= 1
    message = parse(bytes(damaged))
    with pytest.raises(WireError, match="CRC-32"):
        message.array()
    unchecked = bytearray(golden("metric-f32-raw"))
    unchecked[300] ^= 1
    assert parse(bytes(unchecked)).array().shape == SIZE
