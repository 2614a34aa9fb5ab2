from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from offload import DefinitionError, EnqueueOptions
from offload.core.enqueueing.options import CheckedOptions

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"delay": "366d"}, "delay='366d'"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"expires": 0}, "expires=0"),
        ({"delay": "2h", "expires": "1h"}, "expires='1h' ends before delay='2h' does"),
        ({"delay": 60, "expires": "1m"}, "expires='1m' ends before delay=60 does"),
        ({"expires": 1e15}, "expires="),
        ({"id": ""}, "id=''"),
        ({"id": "a b"}, "id='a b'"),
        ({"id": "rate#work"}, "id='rate#work'"),
        ({"id": 5}, "id=5"),
        ({"key": ""}, "key=''"),
        ({"key": "x" * 129}, "key="),
        ({"key": "a\nb"}, "key="),
        ({"tenant": 5}, "tenant=5"),
        ({"tenant": "\ud800"}, "tenant="),
        ({"key_window": "59s"}, "key_window='59s'"),
        ({"key_window": "31d"}, "key_window='31d'"),
        ({"key_may_differ": 1}, "key_may_differ=1 must be True or False"),
        ({"track": "end"}, "track='end' must be 'enqueue' or 'start'"),
        ({"eta": 5}, "eta=5 is no time: give an aware datetime, or ISO 8601 text such as '2027-01-31T09:00:00+01:00'"),
        ({"eta": "tomorrow"}, "eta='tomorrow' is no time"),
        ({"eta": "2027-01-31T09:00:00"}, "has no time zone: end it with an offset, such as Z or +01:00"),
        ({"eta": "2027-01-31"}, "has no time zone"),
        ({"eta": NOON.replace(tzinfo=None)}, "has no time zone: give it a tzinfo, such as datetime.UTC or ZoneInfo("),
        ({"delay": 5, "eta": NOON}, "give delay=5 or eta=datetime"),
        ({"delay": 0, "eta": NOON}, "not both: each says when the job starts"),
        ({"delay": "2h", "expires": "1h"}, "expires='1h' ends before delay='2h' does, so the job could never start"),
        ({"delay": "1h", "expires": 3600}, "expires=3600 ends before delay='1h' does"),
    ],
)
def test_a_wrong_option_is_named(given, said):
    with pytest.raises(DefinitionError) as refused:
        CheckedOptions.read(given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("unknown", "nearest"), [("dely", "delay"), ("priorty", "priority"), ("tenent", "tenant"), ("expire", "expires")]
)
def test_an_unknown_option_suggests_the_nearest_name(unknown, nearest):
    with pytest.raises(DefinitionError) as refused:
        CheckedOptions.read({"key": "k", unknown: 5})
    assert str(refused.value).startswith(f"unknown option {unknown!r} (did you mean {nearest!r}?): choose from delay, ")


def test_an_option_that_is_like_no_other_suggests_none():
    with pytest.raises(DefinitionError, match="unknown option 'colour': choose from delay, eta, priority, "):
        CheckedOptions.read({"colour": "red"})


def test_the_names_that_type_checkers_know_are_those_that_are_checked():
    assert list(EnqueueOptions.__annotations__) == list(CheckedOptions.__dataclass_fields__)
    assert EnqueueOptions.__required_keys__ == frozenset()


NOW = int(NOON.timestamp() * 1000)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({}, None),
        ({"delay": 0}, None),
        ({"delay": "1m30s"}, NOW + 90_000),
        ({"delay": "365d"}, NOW + 365 * DAY_MS),
        ({"eta": NOON}, None),
        ({"eta": NOON - timedelta(days=400)}, None),
        ({"eta": NOON + timedelta(milliseconds=1)}, NOW + 1),
        ({"eta": NOON + timedelta(microseconds=1)}, NOW + 1),
        ({"eta": NOON + timedelta(days=365)}, NOW + 365 * DAY_MS),
        ({"eta": "2026-11-21T13:00+01:00"}, None),
        ({"eta": "2026-11-21T12:00:01Z"}, NOW + 1_000),
        ({"eta": NOON.astimezone(ZoneInfo("Europe/Oslo")) + timedelta(hours=1), "expires": "61m"}, NOW + 3_600_000),
    ],
)
def test_when_a_job_is_due(given, start):
    assert CheckedOptions(**given).start_at(NOW) == start


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"eta": NOON + timedelta(days=365, seconds=1)}, "is more than 365 days ahead"),
        ({"eta": NOON + timedelta(hours=1), "expires": "1h"}, "expires='1h' ends before the wait until eta="),
    ],
)
def test_a_time_is_checked_against_the_time_of_the_call(given, said):
    options = CheckedOptions(**given)
    with pytest.raises(DefinitionError) as refused:
        options.start_at(NOW)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("own", "others", "both"),
    [
        ({}, {}, {}),
        ({"key": "k"}, {"tenant": "t"}, {"key": "k", "tenant": "t"}),
        ({"tenant": "own"}, {"tenant": "t"}, {"tenant": "own"}),
        ({"delay": 5}, {"eta": NOON}, {"delay": 5}),
        ({"eta": NOON}, {"delay": 5, "expires": 9}, {"eta": NOON, "expires": 9}),
        ({"delay": 0}, {"delay": 5}, {"delay": 0}),
        ({"key_may_differ": True}, {"key_window": "2h"}, {"key_may_differ": True, "key_window": "2h"}),
    ],
)
def test_options_over_others(own, others, both):
    assert CheckedOptions(**own).over(CheckedOptions(**others)) == CheckedOptions(**both)


def test_options_that_exclude_each_other_do_so_wherever_they_come_from():
    with pytest.raises(DefinitionError, match="could never start"):
        CheckedOptions(delay="2h").over(CheckedOptions(expires="1h"))
