"""Sequence and picture parameter sets of H.264 (7.3.2.1, 7.3.2.2, Annex E), as far as slice headers need them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from stream.frames import Size
from stream.sources.network.h264.bits import BitReader, Malformed, nal_units, payload

SPS_UNIT: Final = 7
PPS_UNIT: Final = 8
SET_BYTES: Final = 1024
"""Longer parameter sets are cut off; those of cameras have 10 to 60 bytes."""
CHROMA_PROFILES: Final = frozenset((44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244))
"""Values of profile_idc with which the chroma format is stated."""
INTRA_PROFILES: Final = frozenset((44, 86, 100, 110, 122, 244))
"""With constraint_set3_flag these have no image that is shown out of order (E.2.1, max_num_reorder_frames)."""
MOST_REORDERED: Final = 16
EXTENDED_SAR: Final = 255


class Vui(NamedTuple):
    """What the video usability information says; the defaults hold without it."""

    frame_rate: float = 0.0
    """Frames a second; 0 if it is not stated."""
    max_reorder: int = MOST_REORDERED
    """How many images may come before another one in the stream and be shown after it."""


class Sps(NamedTuple):
    """A sequence parameter set."""

    id: int
    size: Size
    """Of the image that is shown, pixels."""
    log2_max_frame_num: int
    gaps_allowed: bool
    """Reference images may be left out on purpose (gaps_in_frame_num_value_allowed_flag), as temporal layers are."""
    poc_type: int
    log2_max_poc_lsb: int
    """0 unless ``poc_type`` is 0."""
    delta_poc_always_zero: bool
    frame_mbs_only: bool
    """No image is coded as two fields."""
    separate_planes: bool
    chroma_array_type: int
    vui: Vui


class Pps(NamedTuple):
    """A picture parameter set."""

    id: int
    sps_id: int
    bottom_field_order: bool
    """Slice headers hold the distance in output order between two fields."""
    num_refs: tuple[int, int]
    """Length of the two lists of reference images unless the slice header says otherwise."""
    weighted_p: bool
    weighted_b: bool
    """Explicit weights in B slices (weighted_bipred_idc 1)."""
    redundant_pictures: bool


def first_sps(data: bytes) -> Sps | None:
    """The first readable sequence parameter set among NAL units with start codes."""
    for unit in nal_units(data):
        if unit.kind == SPS_UNIT:
            try:
                return parse_sps(payload(data, unit, SET_BYTES))
            except Malformed:
                continue
    return None


def image_size(data: bytes) -> Size | None:
    """Size of the shown image by the first parameter set in ``data``; None if there is none."""
    sps = first_sps(data)
    return sps.size if sps else None


def frame_rate(data: bytes) -> float:
    """Frames a second by the first parameter set in ``data``; 0 if it does not say."""
    sps = first_sps(data)
    return sps.vui.frame_rate if sps else 0.0


@lru_cache(maxsize=64)
def parse_sps(rbsp: bytes) -> Sps:
    """7.3.2.1.1. Cached, because some cameras repeat it with every image. Raises Malformed."""
    read = BitReader(rbsp)
    profile, constraints, _level = read.bits(8), read.bits(8), read.bits(8)
    sps_id = read.ue(31)
    chroma, separate = _chroma_format(read, profile)
    log2_max_frame_num = 4 + read.ue(12)
    poc_type, log2_max_poc_lsb, always_zero = _order_count(read)
    read.ue(MOST_REORDERED)  # max_num_ref_frames
    gaps_allowed = read.flag()
    width_mbs, height_units = 1 + read.ue(0xFFFF), 1 + read.ue(0xFFFF)
    frame_mbs_only = read.flag()
    if not frame_mbs_only:
        read.flag()  # mb_adaptive_frame_field_flag
    read.flag()  # direct_8x8_inference_flag
    left, right, top, bottom = (read.ue(), read.ue(), read.ue(), read.ue()) if read.flag() else (0, 0, 0, 0)
    array_type = 0 if separate else chroma
    fields = 1 if frame_mbs_only else 2
    crop_x = 2 if array_type in (1, 2) else 1  # CropUnitX and CropUnitY, 7.4.2.1.1
    crop_y = (2 if array_type == 1 else 1) * fields
    size = Size(16 * fields * height_units - crop_y * (top + bottom), 16 * width_mbs - crop_x * (left + right))
    if min(size) <= 0:
        raise Malformed(f"an image of {size}")
    in_order = poc_type == 2 or (profile in INTRA_PROFILES and bool(constraints & 0x10))
    vui = _vui(read, Vui(max_reorder=0 if in_order else MOST_REORDERED))
    return Sps(
        sps_id, size, log2_max_frame_num, gaps_allowed, poc_type, log2_max_poc_lsb, always_zero, frame_mbs_only,
        separate, array_type, vui,
    )  # fmt: skip


def _chroma_format(read: BitReader, profile: int) -> tuple[int, bool]:
    """chroma_format_idc and separate_colour_plane_flag."""
    if profile not in CHROMA_PROFILES:
        return 1, False
    chroma = read.ue(3)
    separate = chroma == 3 and read.flag()
    read.ue(6), read.ue(6), read.flag()  # bit depths, qpprime_y_zero_transform_bypass_flag
    if read.flag():
        for index in range(12 if chroma == 3 else 8):
            if read.flag():
                _skip_scaling_list(read, 16 if index < 6 else 64)
    return chroma, separate


def _skip_scaling_list(read: BitReader, length: int) -> None:
    """7.3.2.1.1.1: a scale of 0 repeats the last one to the end of the list."""
    scale = 8
    for _ in range(length):
        scale = (scale + read.se()) % 256
        if scale == 0:
            return


def _order_count(read: BitReader) -> tuple[int, int, bool]:
    """pic_order_cnt_type, log2 of MaxPicOrderCntLsb, delta_pic_order_always_zero_flag."""
    poc_type = read.ue(2)
    if poc_type == 0:
        return 0, 4 + read.ue(12), False
    if poc_type == 2:
        return 2, 0, False
    always_zero = read.flag()
    read.se(), read.se()
    for _ in range(read.ue(255)):
        read.se()
    return 1, 0, always_zero


def _vui(read: BitReader, default: Vui) -> Vui:
    """Annex E.1.1. A set that ends in the middle, as some cameras' do, keeps what came before."""
    rate, reorder = default
    try:
        if not read.flag():
            return default
        if read.flag() and read.bits(8) == EXTENDED_SAR:
            read.bits(32)
        if read.flag():
            read.flag()  # overscan_appropriate_flag
        if read.flag():
            read.bits(4)
            if read.flag():
                read.bits(24)
        if read.flag():
            read.ue(), read.ue()  # chroma_sample_loc_type
        if read.flag():
            tick, scale = read.bits(32), read.bits(32)
            rate = scale / (2 * tick) if tick else 0.0  # a frame lasts two ticks
            read.flag()  # fixed_frame_rate_flag
        if any([_skip_hrd(read), _skip_hrd(read)]):  # a list: both are read
            read.flag()  # low_delay_hrd_flag
        read.flag()  # pic_struct_present_flag
        if read.flag():
            read.flag(), read.ue(), read.ue(), read.ue(), read.ue()
            reorder = read.ue(MOST_REORDERED)
    except Malformed:
        pass
    return Vui(rate, reorder)


def _skip_hrd(read: BitReader) -> bool:
    """E.1.2, whether it is there."""
    if not read.flag():
        return False
    count = 1 + read.ue(31)
    read.bits(8)
    for _ in range(count):
        read.ue(), read.ue(), read.flag()
    read.bits(20)
    return True


@lru_cache(maxsize=64)
def parse_pps(rbsp: bytes) -> Pps:
    """7.3.2.2. Raises Malformed."""
    read = BitReader(rbsp)
    pps_id, sps_id = read.ue(255), read.ue(31)
    read.flag()  # entropy_coding_mode_flag
    bottom_field_order = read.flag()
    groups = 1 + read.ue(7)
    if groups > 1:
        _skip_slice_groups(read, groups)
    num_refs = (1 + read.ue(31), 1 + read.ue(31))
    weighted_p, weighted_b = read.flag(), read.bits(2) == 1
    read.se(), read.se(), read.se(), read.bits(2)
    return Pps(pps_id, sps_id, bottom_field_order, num_refs, weighted_p, weighted_b, read.flag())


def _skip_slice_groups(read: BitReader, groups: int) -> None:
    kind = read.ue(6)
    if kind == 0:
        for _ in range(groups):
            read.ue()
    elif kind == 2:
        for _ in range(2 * (groups - 1)):
            read.ue()
    elif kind in (3, 4, 5):
        read.flag(), read.ue()
    elif kind == 6:
        for _ in range(1 + read.ue()):  # ends with the set's bits
            read.bits((groups - 1).bit_length())
