from __future__ import annotations

import pytest

from offload.core.flow import line
from offload.core.flow.line import Standing
from offload.core.jobs.record import record_ttl
from offload.core.writes import holds
from tests.core.deliveries import NOW, delivery


@pytest.mark.parametrize(
    ("item", "number", "ahead"),
    [
        ({}, None, 0),
        ({"joined": 10}, None, 10),
        ({"joined": 10}, 10, 9),
        ({"joined": 10, "head": 4, "left": 4}, 10, 5),
        ({"joined": 10, "head": 4, "left": 4}, 5, 0),
        ({"joined": 10, "head": 4, "left": 4}, 3, 0),
        ({"joined": 100, "left": 30}, 50, 34),  # three of ten have left, ahead as behind
        ({"joined": 100, "left": 30}, None, 70),
        ({"joined": 10, "head": 8, "left": 2}, None, 2),  # numbers up to `head` count as gone
        ({"joined": 10, "left": 12}, None, 0),
        ({"joined": 10, "left": 12}, 5, 0),
    ],
)
def test_how_many_are_ahead(item, number, ahead):
    assert line.ahead(item, number) == ahead


@pytest.mark.parametrize(
    ("item", "number", "in_order", "changes"),
    [
        ({"joined": 9, "head": 2, "left": 2}, None, True, ({}, {})),
        ({"joined": 9, "head": 2, "left": 2}, 3, True, ({"head": 3}, {"left": 1})),
        ({"joined": 9, "head": 2, "left": 2}, 7, False, ({}, {"left": 1})),
        ({"joined": 9, "head": 5, "left": 5}, 4, True, ({}, {})),  # it counts as gone
    ],
)
def test_what_a_job_that_goes_on_changes(item, number, in_order, changes):
    assert line.taken_from(item, Standing(number=number), in_order=in_order) == changes


@pytest.mark.parametrize(
    ("length", "ahead", "passed", "room"),
    [
        (60, 0, False, True),
        (61, 0, False, False),
        (40, 20, False, True),
        (41, 20, False, False),
        (20, 31, False, False),
        (999, 999, True, True),
    ],
)
def test_the_front_has_less_room_for_those_further_behind(length, ahead, passed, room):
    assert line.has_room(length, 60, ahead, passed=passed) is room


@pytest.mark.parametrize(
    ("item", "counts"),
    [
        ({"joined": 9, "head": 2}, True),
        ({"joined": 9, "head": 4}, True),
        ({"joined": 9, "head": 5}, False),
        ({"joined": 9}, True),
        ({"joined": 4}, False),
        ({}, False),
        (None, False),
    ],
)
def test_a_job_that_leaves_is_counted_once(item, counts):
    write = line.leave_line({"id": "a", "task": "work", "line_number": 5})
    assert write.id == "rate#work"
    assert holds(write.when, item) is counts


def test_a_job_that_is_not_in_the_rear_leaves_nothing():
    assert line.leave_line({"id": "a", "task": "work", "place_at": 5}) is None


@pytest.mark.parametrize(
    ("start", "look"), [(100_000, 24_000), (1_000_000, 564_000), (61_000, 10_000), (5_000, 10_000)]
)
def test_when_a_job_looks_again(start, look):
    assert line.next_look(start, 0, 60_000) == look


def test_a_line_in_which_nobody_waits_begins_anew():
    assert line.begun_anew({"joined": 7, "head": 3, "left": 9}) == {"head": 7, "left": 7}
    assert line.begun_anew({"joined": 7, "head": 3, "left": 3}) == {}


@pytest.mark.parametrize("wait", [0, 60_000, 60 * 86_400_000])
def test_a_record_in_a_line_lives_as_long_as_one_that_is_delayed_until_its_start(wait):
    noted = line.note_standing(delivery(), None, Standing(number=7), NOW + wait, NOW)
    assert noted.set["ttl"] == record_ttl(NOW + wait)
