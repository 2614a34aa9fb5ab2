from __future__ import annotations

import pytest

from offload.core.ids import JOB_ID
from offload.core.messages.waiting import (
    MAX_RECEIVES,
    REPLACED_FROM,
    Hide,
    SendCopy,
    SetTimer,
    takes_timer,
    timer_name,
    way_to_wait,
    without_copy,
)

NOW = 1_767_225_600_000
HOUR, DAY = 3_600, 86_400


@pytest.mark.parametrize(
    ("seconds", "receives", "way"),
    [
        (-5, 1, Hide(0)),
        (0, 1, Hide(0)),
        (0.001, 1, Hide(1)),
        (60, 1, Hide(60)),
        (60.001, 1, SendCopy(61)),
        (900, 1, SendCopy(900)),
        (900.001, 1, SetTimer(NOW + 841_000)),
        (901, 1, SetTimer(NOW + 841_000)),
        (12 * HOUR, 1, SetTimer(NOW + (12 * HOUR - 60) * 1000)),
        (365 * DAY, 1, SetTimer(NOW + (365 * DAY - 60) * 1000)),
        (400 * DAY, 1, SetTimer(NOW + (365 * DAY - 60) * 1000)),
        # Hidden once more, it would be received in its last receives.
        (0, 2, SendCopy(0)),
        (60, 2, SendCopy(60)),
        (0, 3, SendCopy(0)),
        (5, 4, SendCopy(5)),
        (901, 4, SetTimer(NOW + 841_000)),
    ],
)
def test_how_a_message_waits(seconds, receives, way):
    assert way_to_wait(NOW + int(seconds * 1000), NOW, receives) == way


@pytest.mark.parametrize(
    ("seconds", "receives", "hidden"),
    [
        (0, 1, 0),
        (70.5, 1, 71),
        (20 * DAY, 1, 10 * HOUR),
        (0, 2, 15 * 60),
        (HOUR, 2, HOUR),
        (0, 3, 10 * HOUR),
        (0, 4, 10 * HOUR),
    ],
)
def test_a_message_without_a_copy_spreads_its_receives_over_half_a_day(seconds, receives, hidden):
    assert without_copy(NOW + int(seconds * 1000), NOW, receives) == Hide(hidden)


def test_a_message_is_replaced_while_two_receives_are_left():
    assert (MAX_RECEIVES, REPLACED_FROM) == (4, 3)


@pytest.mark.parametrize(("seconds", "timer"), [(0, False), (900, False), (901, True), (DAY, True)])
def test_which_waits_take_a_timer(seconds, timer):
    assert takes_timer(NOW + seconds * 1000, NOW) is timer


def test_no_job_has_the_id_that_a_timer_of_a_wait_is_named_by():
    assert timer_name("job", NOW) == timer_name("job", NOW) != timer_name("job", NOW + 1)
    assert not JOB_ID.fullmatch(timer_name("job", NOW))
