"""The camera part of Linux's header <linux/videodev2.h>: structures, request numbers and flags.

The layout is the C compiler's on every platform, 64-bit or 32-bit. The numbers are those of the generic ioctl encoding
(x86, ARM, RISC-V, s390); Alpha, MIPS, PowerPC and SPARC have their own and are not supported.
"""

from __future__ import annotations

from ctypes import Structure, Union, c_char, c_int, c_long, c_uint8, c_uint32, c_ulong, c_void_p, sizeof

CAPTURE = 1
"""Buffer type: images of a camera whose planes share one piece of memory."""
MMAP = 1
"""Memory type: the driver owns the buffers and the program maps them."""
CAP_VIDEO_CAPTURE = 0x0000_0001
CAP_DEVICE_CAPS = 0x8000_0000
CAP_TIME_PER_FRAME = 0x1000
BUFFER_ERROR = 0x40
TIMESTAMP_MASK = 0xE000
TIMESTAMP_MONOTONIC = 0x2000
DISCRETE = 1
"""Type of sizes and intervals that are listed one by one; the other types are ranges."""
FULL_RANGE = 1
"""Quantization: luma from 0 to 255 instead of 16 to 235."""


class Capability(Structure):
    driver: bytes
    card: bytes
    capabilities: int
    device_caps: int
    _fields_ = [
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    ]

    @property
    def node_capabilities(self) -> int:
        """The flags of this node, if the driver reports them apart from those of the whole device."""
        return self.device_caps if self.capabilities & CAP_DEVICE_CAPS else self.capabilities


class FormatDescription(Structure):
    pixelformat: int
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    ]


class Fraction(Structure):
    numerator: int
    denominator: int
    _fields_ = [("numerator", c_uint32), ("denominator", c_uint32)]

    @property
    def inverse(self) -> float:
        """Frames per second from a time per frame; 0: unknown."""
        return self.denominator / self.numerator if self.numerator else 0.0


class DiscreteSize(Structure):
    width: int
    height: int
    _fields_ = [("width", c_uint32), ("height", c_uint32)]


class SizeRange(Structure):
    min_width: int
    max_width: int
    min_height: int
    max_height: int
    _fields_ = [(f"{end}_{side}", c_uint32) for side in ("width", "height") for end in ("min", "max", "step")]


class _SizeUnion(Union):
    _fields_ = [("discrete", DiscreteSize), ("range", SizeRange)]


class FrameSize(Structure):
    type: int
    discrete: DiscreteSize
    range: SizeRange
    _anonymous_ = ("size",)
    _fields_ = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("size", _SizeUnion),
        ("reserved", c_uint32 * 2),
    ]


class FrameInterval(Structure):
    """A time per frame, or a range of them; a discrete interval is in ``shortest``."""

    type: int
    shortest: Fraction
    longest: Fraction
    _fields_ = [
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("shortest", Fraction),
        ("longest", Fraction),
        ("step", Fraction),
        ("reserved", c_uint32 * 2),
    ]


class PixelLayout(Structure):
    width: int
    height: int
    pixelformat: int
    bytesperline: int
    quantization: int
    _fields_ = [
        (name, c_uint32)
        for names in (
            "width height pixelformat field bytesperline sizeimage",
            "colorspace priv flags enc quantization xfer",
        )
        for name in names.split()
    ]


# Other members of the C union hold pointers: ``aligned`` gives it their alignment.
class _FormatUnion(Union):
    _fields_ = [("pix", PixelLayout), ("raw", c_uint8 * 200), ("aligned", c_void_p)]


class Format(Structure):
    type: int
    pix: PixelLayout
    _anonymous_ = ("fmt",)
    _fields_ = [("type", c_uint32), ("fmt", _FormatUnion)]


class StreamParameters(Structure):
    type: int
    capability: int
    time_per_frame: Fraction
    _fields_ = [
        ("type", c_uint32),
        ("capability", c_uint32),
        ("capturemode", c_uint32),
        ("time_per_frame", Fraction),
        ("raw", c_uint8 * 184),
    ]


class RequestBuffers(Structure):
    count: int
    _fields_ = [
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint32),
    ]


class TimeValue(Structure):
    tv_sec: int
    tv_usec: int
    _fields_ = [("tv_sec", c_long), ("tv_usec", c_long)]


class _Place(Union):
    _fields_ = [("offset", c_uint32), ("userptr", c_ulong), ("planes", c_void_p), ("fd", c_int)]


class Buffer(Structure):
    index: int
    bytesused: int
    flags: int
    timestamp: TimeValue
    offset: int
    length: int
    _anonymous_ = ("m",)
    _fields_ = [
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("timestamp", TimeValue),
        ("timecode", c_uint32 * 4),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Place),
        ("length", c_uint32),
        ("reserved2", c_uint32),
        ("request_fd", c_int),
    ]


_WRITE, _READ = 1, 2


# The number contains the size of the structure, so a driver refuses one with a wrong layout (ENOTTY).
def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, sizeof(Capability))
ENUM_FMT = _request(_READ | _WRITE, 2, sizeof(FormatDescription))
G_FMT = _request(_READ | _WRITE, 4, sizeof(Format))
S_FMT = _request(_READ | _WRITE, 5, sizeof(Format))
REQBUFS = _request(_READ | _WRITE, 8, sizeof(RequestBuffers))
QUERYBUF = _request(_READ | _WRITE, 9, sizeof(Buffer))
QBUF = _request(_READ | _WRITE, 15, sizeof(Buffer))
DQBUF = _request(_READ | _WRITE, 17, sizeof(Buffer))
STREAMON = _request(_WRITE, 18, sizeof(c_int))
STREAMOFF = _request(_WRITE, 19, sizeof(c_int))
G_PARM = _request(_READ | _WRITE, 21, sizeof(StreamParameters))
S_PARM = _request(_READ | _WRITE, 22, sizeof(StreamParameters))
ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, sizeof(FrameSize))
ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, sizeof(FrameInterval))


def fourcc(code: int) -> str:
    """The four letters of a pixel format: ``YUYV``, ``MJPG``, ``Y16 ``; ``Y16 -BE`` for the big-endian variant."""
    return "".join(chr(code >> shift & 0x7F) for shift in (0, 8, 16, 24)) + ("-BE" if code >> 31 else "")


def fourcc_code(letters: str) -> int:
    """The code of four letters: the inverse of ``fourcc``."""
    return sum(ord(letter) << 8 * place for place, letter in enumerate(letters))
