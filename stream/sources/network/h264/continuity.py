"""Tells from H.264 access units, before they are decoded, that images are missing in front of them.

An encoder or a proxy that leaves out images and renumbers its packets leaves no trace in RTP, and FFmpeg decodes what
comes after with wrong references and without a word. But every reference image has a number, frame_num, one above that
of the reference image before it (7.4.3). Reported is what is certain; what no rule can see stays unreported:

- Images to which no other refers may be missing: that harms no other image.
- Where the stream allows gaps (temporal layers, some "smart" codecs) a gap means nothing.
- frame_num wraps, often at 16. When just as many images are lost, or an IDR image whose successor happens to have the
  number that is due, only the picture order count or the time stamps tell.
"""

from __future__ import annotations

from itertools import islice
from typing import Final, NamedTuple

from stream.sources.network.h264.bits import BitReader, Malformed, NalUnit, nal_units, payload
from stream.sources.network.h264.media_pace import MediaPace
from stream.sources.network.h264.parameter_sets import PPS_UNIT, SET_BYTES, SPS_UNIT, Pps, Sps, parse_pps, parse_sps
from stream.sources.network.h264.picture_order import PictureOrder
from stream.sources.network.h264.slice_header import FRAME, SliceHeader, parse_slice_header

SLICES: Final = frozenset((1, 2, 5))
"""Slices of the base view and layer; 14, 15 and 20 belong to the extensions SVC and MVC and are left out."""
IDR_UNIT: Final = 5
SEI_UNIT: Final = 6
RECOVERY_POINT: Final = 6
"""payloadType of the SEI message in D.1.8."""
HEADER_BYTES: Final = 96
"""Slice headers have 5 to 40 bytes; only those with many explicit weights are longer."""
SEI_BYTES: Final = 512
MOST_UNITS: Final = 64
"""NAL units before the first slice, or of a field, beyond which an access unit is not read."""


class Continuity(NamedTuple):
    """What an access unit says about those before it."""

    missing: bool = False
    """Reference images before this unit were lost: it and those after it are wrong, until ``recovered``."""
    repeated: bool = False
    """The same unit as just before. To decode it again would damage those after it: leave it out."""
    recovered: bool = False
    """From this image on, in the order of display, all are right whatever was missing before: an IDR image, a recovery
    point, or the end of a gradual refresh (D.2.8). True together with ``missing``, it limits the damage to images that
    are shown before this one."""


UNKNOWN: Final = Continuity()


class GapDetector:
    """Follows the reference images of one stream. It never raises on bad input: what cannot be read changes nothing.

    ``extradata``: parameter sets from outside the stream, with start codes.
    """

    def __init__(self, extradata: bytes = b"") -> None:
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}
        self._order = PictureOrder()
        self._pace = MediaPace()
        self._last_unit = b""
        self._last_frame_num: int | None = None
        """PrevRefFrameNum of 7.4.3; None before the first image."""
        self._first_field: SliceHeader | None = None
        """The last image, if its second field has not come yet."""
        self._has_pairs = False
        """The stream's fields come in pairs, so a single one has lost the other."""
        self._references_only = True
        self._refresh_left: int | None = None
        """Reference images until a refresh is complete; None: no refresh is under way."""
        self._read_up_to_slice(extradata)

    def check(self, access_unit: bytes, media_s: float | None = None) -> Continuity:
        """Judge the next access unit in decoding order (NAL units with start codes; half a frame if it is one field).

        ``media_s``: when it is shown, seconds on the source's own time line; it decides where numbers agree by chance.
        """
        unit, refresh = self._read_up_to_slice(access_unit)
        image = self._header(access_unit, unit) if unit else None
        if unit is None or image is None:
            return UNKNOWN
        if not image.idr and access_unit == self._last_unit:
            return Continuity(repeated=True)
        self._last_unit = access_unit
        second = self._completes_frame(image)
        missing = not (image.idr or second) and self._has_gap(image)
        if image.idr or missing:
            self._order.restart()
            self._pace.restart()
        missing |= not second and self._contradicts_order(image, media_s)
        if missing:
            self.damaged()
        recovered = self._is_recovered(image, refresh, second)
        self._remember(image, second)
        if self._first_field and self._has_other_field(access_unit, unit, image):
            self._first_field, self._has_pairs = None, True
        return Continuity(missing, False, recovered)

    def damaged(self) -> None:
        """Images were lost or broken in another way (lost packets, the decoder): a refresh under way is void."""
        self._refresh_left = None

    def _read_up_to_slice(self, data: bytes) -> tuple[NalUnit | None, int | None]:
        """Keep the parameter sets; the first slice, and the length of the refresh that begins with it."""
        refresh = None
        for count, unit in enumerate(nal_units(data)):
            if unit.kind in SLICES:
                return unit, refresh
            if count == MOST_UNITS:
                break
            try:
                if unit.kind == SPS_UNIT:
                    sps = parse_sps(payload(data, unit, SET_BYTES))
                    self._sps[sps.id] = sps
                elif unit.kind == PPS_UNIT:
                    pps = parse_pps(payload(data, unit, SET_BYTES))
                    self._pps[pps.id] = pps
                elif unit.kind == SEI_UNIT and refresh is None:
                    refresh = recovery_frames(payload(data, unit, SEI_BYTES))
            except Malformed:
                continue
        return None, refresh

    def _header(self, data: bytes, unit: NalUnit) -> SliceHeader | None:
        rbsp = payload(data, unit, HEADER_BYTES)
        try:
            return parse_slice_header(rbsp, unit.ref_idc, unit.kind == IDR_UNIT, self._sps, self._pps)
        except Malformed:
            return None

    def _completes_frame(self, image: SliceHeader) -> bool:
        """Whether this is the second field of the last image's frame."""
        first = self._first_field
        if first is None or image.field in (FRAME, first.field):
            return False
        return image.frame_num == (0 if first.forgets_all else first.frame_num)

    def _has_gap(self, image: SliceHeader) -> bool:
        """By the numbers and fields alone."""
        if self._last_frame_num is None:
            return False
        if self._first_field and self._first_field.reference and self._has_pairs:
            return True
        due = (self._last_frame_num + 1) % (1 << image.sps.log2_max_frame_num)
        return image.frame_num != due and not image.sps.gaps_allowed

    def _contradicts_order(self, image: SliceHeader, media_s: float | None) -> bool:
        """By the picture order count, and by times that have room for a loss which frame_num cannot show."""
        if self._order.falls_back(image):
            self._pace.restart()
            return True
        # Counts of the other types leave out what nothing refers to.
        comparable = image.sps.poc_type == 0 or self._references_only
        if media_s is None or image.sps.gaps_allowed or not comparable:
            return False
        room = self._pace.room(self._order.count, media_s)
        # For a whole turn of frame_num, or for an IDR image and those between it and this one.
        lost = room >= 1 << image.sps.log2_max_frame_num or 0 < image.frame_num <= room
        if lost or image.forgets_all:
            self._pace.restart()
        return lost

    def _is_recovered(self, image: SliceHeader, refresh: int | None, second: bool) -> bool:
        if image.idr:
            self._refresh_left = None
            return True
        if self._refresh_left is not None and image.reference and not second and self._last_frame_num is not None:
            self._refresh_left -= (image.frame_num - self._last_frame_num) % (1 << image.sps.log2_max_frame_num)
        elif self._refresh_left is None:
            self._refresh_left = refresh
        if self._refresh_left is None or self._refresh_left > 0:
            return False
        self._refresh_left = None
        return True

    def _remember(self, image: SliceHeader, second: bool) -> None:
        if image.forgets_all:
            self._last_frame_num = 0
        elif image.reference:
            self._last_frame_num = image.frame_num
        elif not second:  # its number is one above the last reference image's, which may not have come
            self._last_frame_num = (image.frame_num - 1) % (1 << image.sps.log2_max_frame_num)
        self._references_only &= image.reference
        self._has_pairs |= second
        self._first_field = None if second or image.field == FRAME else image

    def _has_other_field(self, data: bytes, first: NalUnit, image: SliceHeader) -> bool:
        """Whether the access unit holds both fields, as FFmpeg's parser and some cameras pack them."""
        units = islice(nal_units(data, first.start), MOST_UNITS)
        headers = (self._header(data, unit) for unit in units if unit.kind in SLICES)
        return any(header and header.field not in (FRAME, image.field) for header in headers)


def recovery_frames(rbsp: bytes) -> int | None:
    """recovery_frame_cnt of the recovery point among SEI messages (7.3.2.3.1); None without one."""
    at = 0
    while at + 2 < len(rbsp):  # the last byte is rbsp_trailing_bits
        kind, at = _sei_number(rbsp, at)
        size, at = _sei_number(rbsp, at)
        if kind == RECOVERY_POINT:
            return BitReader(rbsp[at : at + size]).ue(0xFFFF)
        at += size
    return None


def _sei_number(rbsp: bytes, at: int) -> tuple[int, int]:
    """A number in bytes of 255 and a last one below, and the index after it."""
    value = 0
    while at < len(rbsp) and rbsp[at] == 0xFF:
        value, at = value + 0xFF, at + 1
    return (value + rbsp[at], at + 1) if at < len(rbsp) else (value, at)
