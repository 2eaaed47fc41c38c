"""The slice header of H.264 (7.3.3) up to what it says about the images that others refer to."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal, NamedTuple

from stream.sources.network.h264.bits import BitReader, Malformed
from stream.sources.network.h264.parameter_sets import Pps, Sps

P, B, SP = 0, 1, 3
"""slice_type modulo 5, Table 7-6; the others refer to no image."""
FRAME: Final = 0
TOP: Final = 1
BOTTOM: Final = 2
FORGET_ALL: Final = 5
"""memory_management_control_operation 5: all reference images are dropped and frame_num starts at 0 again."""
MOST_OPERATIONS: Final = 66
"""More entries than this in a list of operations are no H.264: 32 fields, each once in and once out, and two more."""


class SliceHeader(NamedTuple):
    """The part of a slice header that orders its image among the others."""

    sps: Sps
    idr: bool
    reference: bool
    """Others may refer to this image."""
    frame_num: int
    field: Literal[0, 1, 2]
    """FRAME, or the parity of a field."""
    poc_lsb: int
    """pic_order_cnt_lsb; 0 unless the order count is of type 0."""
    forgets_all: bool


def parse_slice_header(
    rbsp: bytes, ref_idc: int, idr: bool, sps_by_id: Mapping[int, Sps], pps_by_id: Mapping[int, Pps]
) -> SliceHeader:
    """``rbsp``: the beginning of the slice after the NAL unit's header. Raises Malformed, also for unknown sets."""
    read = BitReader(rbsp)
    read.ue()  # first_mb_in_slice
    kind = read.ue(9) % 5
    pps = pps_by_id.get(read.ue(255))
    sps = sps_by_id.get(pps.sps_id) if pps else None
    if pps is None or sps is None:
        raise Malformed("a slice without its parameter sets")
    if sps.separate_planes:
        read.bits(2)
    frame_num = read.bits(sps.log2_max_frame_num)
    field: Literal[0, 1, 2] = FRAME
    if not sps.frame_mbs_only and read.flag():
        field = BOTTOM if read.flag() else TOP
    if idr:
        read.ue(0xFFFF)  # idr_pic_id
    poc_lsb = _order_count(read, sps, pps, field)
    forgets_all = False
    if ref_idc and not idr:
        with suppress(Malformed):  # a header that is longer than what was read of it: rare, as is the operation
            forgets_all = _forgets_all(read, kind, sps, pps)
    return SliceHeader(sps, idr, ref_idc > 0, frame_num, field, poc_lsb, forgets_all)


def _order_count(read: BitReader, sps: Sps, pps: Pps, field: int) -> int:
    """pic_order_cnt_lsb; the reader goes past all that belongs to the order count."""
    second_delta = pps.bottom_field_order and field == FRAME
    lsb = 0
    if sps.poc_type == 0:
        lsb = read.bits(sps.log2_max_poc_lsb)
        if second_delta:
            read.se()
    elif sps.poc_type == 1 and not sps.delta_poc_always_zero:
        read.se()
        if second_delta:
            read.se()
    return lsb


def _forgets_all(read: BitReader, kind: int, sps: Sps, pps: Pps) -> bool:
    """Whether dec_ref_pic_marking (7.3.3.3) drops all reference images."""
    if pps.redundant_pictures:
        read.ue()
    if kind == B:
        read.flag()  # direct_spatial_mv_pred_flag
    lists = {P: 1, SP: 1, B: 2}.get(kind, 0)
    num_refs = list(pps.num_refs)
    if lists and read.flag():
        num_refs[:lists] = [1 + read.ue(31) for _ in range(lists)]
    for _ in range(lists):
        if read.flag():
            _skip_list_changes(read)
    if (pps.weighted_p and kind in (P, SP)) or (pps.weighted_b and kind == B):
        _skip_weights(read, sps, num_refs[:lists])
    return read.flag() and _has_forget_all(read)


def _skip_list_changes(read: BitReader) -> None:
    """7.3.3.1: operations with one number each; 3 ends them."""
    for _ in range(MOST_OPERATIONS):
        if read.ue(3) == 3:
            return
        read.ue()
    raise Malformed("too many changes of the reference list")


def _skip_weights(read: BitReader, sps: Sps, num_refs: list[int]) -> None:
    """7.3.3.2."""
    read.ue(7)
    if sps.chroma_array_type:
        read.ue(7)
    for _ in range(sum(num_refs)):
        if read.flag():
            read.se(), read.se()
        if sps.chroma_array_type and read.flag():
            read.se(), read.se(), read.se(), read.se()


def _has_forget_all(read: BitReader) -> bool:
    """The list of memory management control operations, Table 7-9; 0 ends it."""
    for _ in range(MOST_OPERATIONS):
        operation = read.ue(6)
        if operation in (0, FORGET_ALL):
            return operation == FORGET_ALL
        for _ in range(2 if operation == 3 else 1):
            read.ue()
    raise Malformed("too many memory management operations")
