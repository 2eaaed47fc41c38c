"""H.264 over RTP (RFC 6184), packetization modes 0 and 1: single NAL units, STAP-A and FU-A.

A key frame is what decoding can begin with: an IDR image, an image of I slices behind a sequence parameter set, and a
recovery point. Cameras with gradual refresh send nothing but the last kind; after a loss their image is whole again
only as many images later as the recovery point says, and only then does ``keyframe`` say so.
"""

from __future__ import annotations

from stream.sources.network.rtsp.payloads.nal import Beginning, NalStream

IDR, SEI, SPS = 5, 6, 7
SLICES = range(1, 6)
PARTITIONS = (3, 4)
LEADING = (SEI, SPS, 8, 9, 14, 15)
"""Kinds that come before the first slice of an image only."""
WHOLE = range(1, 24)
STAP_A, FU_A = 24, 28
RECOVERY_POINT = 6
"""SEI payload type (Annex D.1.8)."""
I_SLICE_ALONE, I_SLICE = 0b1000_1000, 0b1011_0000
"""The first byte of a slice that begins at macroblock 0 (one bit: 1) and has type 7 (0001000) or type 2 (011xxxx)."""


class H264Payloads(NalStream):
    """Payloads -> access unit."""

    def __init__(self) -> None:
        super().__init__()
        self._has_sps = False
        self.recovery_images: int | None = None
        """Images until the image is whole again, if this one has a recovery point; 0: it is whole."""

    def begin(self) -> None:
        super().begin()
        self._has_sps = False
        self.recovery_images = None

    def add(self, payload: memoryview) -> None:
        """Take the next payload; one that makes no sense is left out and breaks the access unit."""
        kind = payload[0] & 0x1F if payload else 0
        if kind == FU_A:
            if len(payload) > 2:
                self._fragment(payload)
            else:
                self.is_broken = True
        elif kind in WHOLE:
            self._whole(payload)
        elif kind == STAP_A:
            self._aggregate(payload)
        else:  # STAP-B, MTAP and FU-B belong to the interleaved mode, which no camera is known to send
            self.is_broken = True

    def beginning(self, payload: memoryview) -> Beginning:
        """Whether an access unit begins with this payload (7.4.1.2.3)."""
        if len(payload) < 4:
            return "other"
        kind, at = payload[0] & 0x1F, 1
        if kind == FU_A:
            if not payload[1] & 0x80:
                return "rest"
            kind, at = payload[1] & 0x1F, 2
        elif kind == STAP_A:
            kind, at = payload[3] & 0x1F, 4
        if kind in SLICES:
            return "image" if kind not in PARTITIONS and _is_first(payload[at : at + 1]) else "rest"
        return "image" if kind in LEADING else "other"

    def _fragment(self, payload: memoryview) -> None:
        head = payload[1]
        if head & 0x80:
            header = bytes((payload[0] & 0xE0 | head & 0x1F,))
            self._first_fragment(header, payload[2:], is_last=bool(head & 0x40))
        else:
            self._next_fragment(payload[2:], is_last=bool(head & 0x40))

    def _aggregate(self, payload: memoryview) -> None:
        at = 1
        while at + 2 < len(payload):
            length = payload[at] << 8 | payload[at + 1]
            unit = payload[at + 2 : at + 2 + length]
            if length == 0 or len(unit) < length:
                break
            self._whole(unit)
            at += 2 + length
        self.is_broken |= at != len(payload)

    def _notice(self, unit: memoryview) -> None:
        kind = unit[0] & 0x1F
        if kind in SLICES:
            self._notice_slice(unit, kind)
        elif kind == SPS:
            self._has_sps = True
        elif kind == SEI and (images := recovery_point(unit)) is not None:
            self.recovery_images = images

    def _notice_slice(self, unit: memoryview, kind: int) -> None:
        first = unit[1] if len(unit) > 1 else 0
        if not self.has_image:
            self.has_image = True
            self.begins_inside = not first & 0x80
            is_intra = first == I_SLICE_ALONE or first & 0xF0 == I_SLICE
            self.keyframe = kind == IDR or (self._has_sps and is_intra)


def _is_first(slice_data: memoryview) -> bool:
    """Whether a slice begins at macroblock 0: ``first_mb_in_slice``, one bit that is set."""
    return len(slice_data) > 0 and bool(slice_data[0] & 0x80)


def recovery_point(sei: memoryview) -> int | None:
    """``recovery_frame_cnt`` of a NAL unit of supplemental information; None if it has no recovery point."""
    at = 1
    while at + 2 < len(sei):
        kind = size = 0
        while at < len(sei) and sei[at] == 0xFF:
            kind, at = kind + 255, at + 1
        kind, at = kind + (sei[at] if at < len(sei) else 0), at + 1
        while at < len(sei) and sei[at] == 0xFF:
            size, at = size + 255, at + 1
        size, at = size + (sei[at] if at < len(sei) else 0), at + 1
        if kind == RECOVERY_POINT:
            return _exp_golomb(bytes(sei[at : at + 5]))
        at += size
    return None


def _exp_golomb(data: bytes) -> int | None:
    """The unsigned Exp-Golomb number at the beginning (9.1); None if it is cut off."""
    bits = len(data) * 8
    value = int.from_bytes(data, "big")
    zeros = bits - value.bit_length()
    if value == 0 or 2 * zeros + 1 > bits:
        return None
    return (value >> (bits - 2 * zeros - 1)) - 1
