from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from offload.core.tasks.setting import TASK_NAME

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


TASKS, JOB_IDS = st.from_regex(TASK_NAME, fullmatch=True), st.from_regex(JOB_ID, fullmatch=True)
WAITS = st.tuples(TASKS, JOB_IDS, st.integers(min_value=0, max_value=2**42))


@given(WAITS)
def test_every_wait_has_a_name_that_scheduler_takes_always_the_same(wait):
    name = timer_name(*wait)
    assert re.fullmatch(r"[0-9a-zA-Z_.-]{1,64}", name)
    assert timer_name(*wait) == name


@given(WAITS, WAITS)
def test_waits_that_differ_in_anything_have_names_that_differ_in_any_case(one, other):
    for task, job_id, until in itertools.product(*zip(one, other, strict=True)):
        same = timer_name(task, job_id, until).lower() == timer_name(*one).lower()
        assert same is ((task, job_id, until) == one)


def test_names_that_look_alike_stay_apart():
    longest = "a" * 40
    assert len(timer_name(longest, "job", NOW)) == 64
    waits = [("a", "b", NOW), ("a", f"b.{NOW}", NOW), ("a_b", "c", NOW), ("a", timer_name("a", "b", NOW), NOW)]
    assert len({timer_name(*wait) for wait in [*waits, (longest, "x" * 128, NOW), (longest, "x" * 127, NOW)]}) == 6


@pytest.mark.parametrize(("task", "neighbour"), [("mail", "mail_all"), ("mail_all", "mail"), ("a", "aa")])
def test_no_name_begins_as_those_of_another_task(task, neighbour):
    assert timer_name(task, "job", NOW).startswith(f"{task}.")
    assert not timer_name(neighbour, "job", NOW).startswith(f"{task}.")
