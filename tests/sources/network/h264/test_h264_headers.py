"""Rules for structures that x264 does not make, with headers written bit by bit, and input that is no H.264."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.frames import Size
from stream.sources.network.h264 import Continuity, GapDetector, first_sps, frame_rate, image_size
from tests.sources.network.h264.h264_streams import BitWriter, H, W, Written, encoded

FINE, MISSING, ENTRY = Continuity(), Continuity(missing=True), Continuity(recovered=True)


def check_all(units: list[bytes], extradata: bytes = b"") -> list[Continuity]:
    detector = GapDetector(extradata)
    return [detector.check(unit) for unit in units]


def test_numbers_wrap() -> None:
    stream = Written()
    units = [stream.unit(0, idr=True)] + [stream.unit(n % 16, 2 * n) for n in range(1, 40)]
    assert check_all(units) == [ENTRY] + [FINE] * 39


@pytest.mark.parametrize("weighted", [False, True])
def test_a_number_that_is_left_out_is_a_loss_once(weighted: bool) -> None:
    stream = Written(weighted=weighted)
    units = [stream.unit(0, idr=True), stream.unit(1, 2), stream.unit(3, 6), stream.unit(4, 8)]
    assert check_all(units) == [ENTRY, FINE, MISSING, FINE]


def test_an_image_without_references_to_it_shows_a_loss_before_it_once() -> None:
    stream = Written()
    units = [stream.unit(0, idr=True), stream.unit(1, 2), stream.unit(3, 6, ref=False), stream.unit(3, 8)]
    assert check_all(units) == [ENTRY, FINE, MISSING, FINE]


def test_the_same_number_again_is_a_loss_of_a_whole_turn() -> None:
    """Two reference frames in a row never have the same number (7.4.3)."""
    stream = Written()
    assert check_all([stream.unit(0, idr=True), stream.unit(1, 2), stream.unit(1, 34)]) == [ENTRY, FINE, MISSING]


@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_start_again_after_an_image_that_drops_all_references(weighted: bool) -> None:
    """memory_management_control_operation 5, here after two others."""
    stream = Written(weighted=weighted)
    numbers = [stream.unit(n, 2 * n) for n in range(1, 6)]
    units = [stream.unit(0, idr=True), *numbers, stream.unit(6, 12, operations="1 0 3 1 2 5"), stream.unit(1, 2)]
    assert check_all(units) == [ENTRY] + [FINE] * 7
    harmless = [stream.unit(0, idr=True), *numbers, stream.unit(6, 12, operations="1 0 3 1 2"), stream.unit(1, 2)]
    assert check_all(harmless)[-1] == MISSING


def fields(stream: Written, frame_num: int, **options: bool) -> list[bytes]:
    top = stream.unit(frame_num, 2 * frame_num, field="top", **options)
    return [top, stream.unit(frame_num, 2 * frame_num + 1, field="bottom", ref=options.get("ref", True))]


def test_two_fields_of_a_frame_share_a_number() -> None:
    stream = Written(fields=True)
    frames = [fields(stream, 0, idr=True)] + [fields(stream, n % 16) for n in range(1, 20)]
    frames += [fields(stream, 4, ref=False), fields(stream, 4)]
    assert check_all([field for frame in frames for field in frame]) == [ENTRY] + [FINE] * 43
    assert check_all([b"".join(frame) for frame in frames]) == [ENTRY] + [FINE] * 21


def test_a_lost_frame_of_two_fields_and_a_lost_field_are_losses() -> None:
    stream = Written(fields=True)
    units = [field for n in range(6) for field in fields(stream, n, idr=n == 0)]
    assert check_all([*units[:6], *units[8:]])[6:] == [MISSING] + [FINE] * 3
    assert MISSING in check_all([*units[:7], *units[8:]])
    assert MISSING in check_all([*units[:6], *units[7:]])


def test_frames_between_fields_keep_the_numbers() -> None:
    """Picture-adaptive coding: some images are coded as two fields, others as a frame."""
    stream = Written(fields=True)
    units = [*fields(stream, 0, idr=True), stream.unit(1, 2), *fields(stream, 2), stream.unit(3, 6), stream.unit(5, 10)]
    assert check_all(units) == [ENTRY, FINE, FINE, FINE, FINE, FINE, MISSING]


def test_a_lost_idr_image_is_seen_by_the_picture_order_where_the_numbers_agree() -> None:
    """Image 33 would be the IDR image; its successor has number 1, as image 33 of a longer group would."""
    stream = Written(log2_max_poc_lsb=8)
    group = [stream.unit(n % 16, 2 * n, idr=n == 0) for n in range(33)]
    assert check_all([*group, *group])[33] == ENTRY
    assert check_all([*group, *group[1:]])[33:] == [MISSING] + [FINE] * 31


def test_several_parameter_sets_and_a_change_of_the_number_range() -> None:
    """Each slice is read by the sets that it names; here numbers have 4 bits, then 8."""
    narrow, wide = Written(), Written(log2_max_frame_num=8, sps_id=3, pps_id=7)
    units = [narrow.unit(0, idr=True), narrow.unit(1, 2), wide.sets() + narrow.unit(2, 4)]
    units += [wide.unit(0, idr=True), wide.unit(1, 2), wide.unit(3, 6), narrow.unit(0, idr=True), narrow.unit(1, 2)]
    assert check_all(units) == [ENTRY, FINE, FINE, ENTRY, FINE, MISSING, ENTRY, FINE]


def test_parameter_sets_may_come_from_outside_or_in_a_unit_of_their_own() -> None:
    stream = Written()
    images = [stream.unit(n, 2 * n) for n in (5, 6, 8)]
    assert check_all(images) == [FINE] * 3, "unknown parameter sets"
    assert check_all(images, stream.sets()) == [FINE, FINE, MISSING]
    assert check_all([stream.sets(), *images]) == [FINE, FINE, FINE, MISSING]


def test_a_stream_that_begins_in_the_middle_is_judged_from_its_second_image_on() -> None:
    stream = Written()
    assert check_all([stream.unit(9, 18), stream.unit(10, 20), stream.unit(12, 24)], stream.sets())[2] == MISSING


def test_units_of_extensions_and_other_kinds_are_passed_over() -> None:
    """SVC's prefix and slices, MVC's second view, delimiters, filler, and kinds that nothing defines."""
    stream = Written()
    noise = b"".join(b"\0\0\1" + bytes([kind]) + b"\x80\x12\x34" for kind in (9, 12, 14, 15, 20, 21, 24, 31))
    units = [noise + stream.unit(0, idr=True), noise + stream.unit(1, 2) + noise, noise, stream.unit(3, 6)]
    assert check_all(units) == [ENTRY, FINE, FINE, MISSING]


def test_units_that_cannot_be_read_change_nothing() -> None:
    stream = Written()
    whole = stream.unit(2, 4)
    cut = [b"", b"\0\0\1", b"\0\0\1\x65", b"\0\0\1\x41\0\0\0\0", whole[:6], b"no start code", bytes(200)]
    units = [stream.unit(0, idr=True), stream.unit(1, 2), *cut, whole]
    assert check_all(units) == [ENTRY] + [FINE] * (len(units) - 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(0, 2**32), st.floats(allow_nan=True))
def test_no_input_raises(parts: list[bytes], seed: int, media_s: float) -> None:
    """Random NAL units, and real ones with random changes, after a good beginning and with any time stamp."""
    chance = random.Random(seed)
    kinds = (0x65, 0x41, 0x01, 0x67, 0x68, 0x06)
    units = [b"\0\0\1" + bytes([chance.choice(kinds)]) + part for part in parts]
    for unit in encoded("b-pyramid", 40, 20)[:12]:
        changed = bytearray(unit.data)
        for _ in range(chance.randrange(20)):
            changed[chance.randrange(min(120, len(changed)))] = chance.randrange(256)
        units.append(bytes(changed))
    chance.shuffle(units)
    detector = GapDetector(b"".join(parts))
    for place, unit in enumerate([encoded("b-pyramid", 40, 20)[0].data, *units]):
        detector.check(unit, chance.choice([None, media_s, place / 25]))
        image_size(unit)
        frame_rate(unit)


def test_size_and_rate_of_real_streams() -> None:
    for structure in ("p", "interlaced", "hrd"):
        data = encoded(structure, 40, 20)[0].data
        assert (image_size(data), frame_rate(data)) == (Size(H, W), 25.0)


@pytest.mark.parametrize("fields", [False, True])
def test_size_is_that_of_the_shown_part(fields: bool) -> None:
    """1080 lines are coded as 1088."""
    assert image_size(Written(fields=fields).sets()) == Size(1080, 1920)


def test_what_is_not_stated_is_none_or_zero() -> None:
    assert image_size(b"") is None
    assert frame_rate(b"") == 0.0
    assert frame_rate(Written().sets()) == 0.0


def test_reordering_as_stated() -> None:
    stated = {name: first_sps(encoded(name, 40, 20)[0].data) for name in ("p", "b", "b-pyramid")}
    assert {name: sps and sps.vui.max_reorder for name, sps in stated.items()} == {"p": 0, "b": 1, "b-pyramid": 2}


def test_a_parameter_set_that_ends_in_its_timing_keeps_the_size() -> None:
    """Some cameras' sets are cut in the usability information."""
    sps = (
        BitWriter().u(8, 66).u(8, 0).u(8, 30).ue(0, 0, 2, 1).u(1, 0).ue(39, 29).u(3, 0b110).u(1, 0).u(1, 1).u(4, 0b0001)
    )
    found = first_sps(sps.nal(0x67))
    assert found is not None
    assert found.size == Size(480, 640)
    assert found.vui.frame_rate == 0.0
