"""H.265 over RTP (RFC 7798): single NAL units, aggregation packets and fragmentation units.

Decoding order numbers are skipped: cameras that send them number in the order of sending.
"""

from __future__ import annotations

from stream.sources.network.rtsp.payloads.nal import Beginning, NalStream

SLICES = range(32)
RANDOM_ACCESS = range(16, 24)
"""IDR, CRA and BLA images: decoding can begin there (7.4.2.2, IRAP)."""
LEADING = (32, 33, 34, 35, 39)
"""Parameter sets, delimiters and prefix messages, which come before the first slice of an image only."""
AGGREGATE, FRAGMENT = 48, 49


class H265Payloads(NalStream):
    """Payloads -> access unit."""

    recovery_images: int | None = None

    def __init__(self, *, numbered: bool = False) -> None:
        """``numbered``: payloads contain decoding order numbers (``sprop-max-don-diff`` above 0)."""
        super().__init__()
        self._number_bytes = 2 if numbered else 0

    def add(self, payload: memoryview) -> None:
        """Take the next payload; one that makes no sense is left out and breaks the access unit."""
        if len(payload) < 3:
            self.is_broken = True
            return
        kind = payload[0] >> 1 & 0x3F
        if kind == FRAGMENT:
            self._fragment(payload)
        elif kind == AGGREGATE:
            self._aggregate(payload)
        elif kind < AGGREGATE:
            self._whole_numbered(payload)
        else:  # PACI packets wrap others for scalable coding; no camera is known to send them
            self.is_broken = True

    def beginning(self, payload: memoryview) -> Beginning:
        """Whether an access unit begins with this payload (7.4.2.4.4)."""
        if len(payload) < 8:
            return "other"
        kind, at = payload[0] >> 1 & 0x3F, 2 + self._number_bytes
        if kind == FRAGMENT:
            if not payload[2] & 0x80:
                return "rest"
            kind, at = payload[2] & 0x3F, 3 + self._number_bytes
        elif kind == AGGREGATE:
            kind, at = payload[at + 2] >> 1 & 0x3F, at + 4
        if kind in SLICES:
            return "image" if len(payload) > at and payload[at] & 0x80 else "rest"
        return "image" if kind in LEADING else "other"

    def _fragment(self, payload: memoryview) -> None:
        head = payload[2]
        if head & 0x80:
            header = bytes((payload[0] & 0x81 | (head & 0x3F) << 1, payload[1]))
            self._first_fragment(header, payload[3 + self._number_bytes :], is_last=bool(head & 0x40))
        else:
            self._next_fragment(payload[3:], is_last=bool(head & 0x40))

    def _whole_numbered(self, payload: memoryview) -> None:
        if self._number_bytes:
            payload = memoryview(bytes(payload[:2]) + bytes(payload[2 + self._number_bytes :]))
        self._whole(payload)

    def _aggregate(self, payload: memoryview) -> None:
        # The first unit has a number of two bytes, the following ones a difference of one byte (4.4.2).
        at = 2 + self._number_bytes
        while at + 2 < len(payload):
            length = payload[at] << 8 | payload[at + 1]
            unit = payload[at + 2 : at + 2 + length]
            if length < 2 or len(unit) < length:
                break
            self._whole(unit)
            at += 2 + length + (1 if self._number_bytes and at + 2 + length < len(payload) else 0)
        self.is_broken |= at != len(payload)

    def _notice(self, unit: memoryview) -> None:
        kind = unit[0] >> 1 & 0x3F
        if kind in SLICES and not self.has_image:
            self.has_image = True
            self.begins_inside = not (len(unit) > 2 and unit[2] & 0x80)  # first_slice_segment_in_pic_flag
            self.keyframe = kind in RANDOM_ACCESS
