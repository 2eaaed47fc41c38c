"""MediaPace: what time stamps say of images that may be lost, at two counts an image and 25 images a second."""

from __future__ import annotations

import math

from stream.sources.network.h264.media_pace import MediaPace


def after_an_even_start(images: int = 20) -> MediaPace:
    """The next image has count ``2 * images`` and time ``images / 25``."""
    pace = MediaPace()
    assert [pace.room(2 * image, image / 25) for image in range(images)] == [0] * images
    return pace


def test_images_shown_out_of_order_are_in_step() -> None:
    pace = after_an_even_start()
    assert [pace.room(2 * image, image / 25) for image in (23, 21, 20, 22, 26, 24, 25)] == [0] * 7


def test_time_that_the_count_does_not_know_of_is_room_for_lost_images() -> None:
    assert after_an_even_start().room(40, 21 / 25) == 1
    assert after_an_even_start().room(40, 36 / 25) == 16


def test_the_pace_outlives_a_restart_of_the_count() -> None:
    pace = after_an_even_start()
    pace.restart()
    assert pace.room(0, 20 / 25) == 0
    assert pace.room(2, 22 / 25) == 1


def test_a_count_far_ahead_of_the_time_has_started_again() -> None:
    """The lower bits of a count that starts again may look like a step ahead; three images fit in the time."""
    assert after_an_even_start().room(38 + 32, 22 / 25) == 3


def test_uneven_stamps_leave_less_room() -> None:
    pace = after_an_even_start()
    assert pace.room(40, 20.6 / 25) == 1
    assert pace.room(42, 21 / 25) == 0
    assert pace.room(44, 22.6 / 25) == 0, "as late as another was before"


def test_a_clock_that_is_set_and_a_time_that_is_no_number_say_nothing() -> None:
    for odd_s in (3600.0, -3600.0, math.nan, math.inf):
        pace = after_an_even_start()
        assert pace.room(40, odd_s) == 0
        assert pace.room(42, 21 / 25) == 0


def test_a_constant_clock_says_nothing() -> None:
    pace = MediaPace()
    assert [pace.room(2 * image, 7.0) for image in range(40)] == [0] * 40
