"""Cron against EventBridge's dialect. `fires` reads that dialect by AWS's documentation and is no code of ours."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload import Cron, DefinitionError, Every, task
from offload.core.tasks.settings import make_settings

DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("0 2 * * *", "cron(0 2 * * ? *)"),
        ("*/5 * * * *", "cron(*/5 * * * ? *)"),
        ("0 0 1 * *", "cron(0 0 1 * ? *)"),
        ("0 0 L * *", "cron(0 0 L * ? *)"),
        ("0 0 */2 * *", "cron(0 0 */2 * ? *)"),
        ("0 9 * * 1-5", "cron(0 9 ? * MON-FRI *)"),
        ("0 9 * * mon-fri", "cron(0 9 ? * MON-FRI *)"),
        ("0 9 * * 0", "cron(0 9 ? * SUN *)"),
        ("0 9 * * 7", "cron(0 9 ? * SUN *)"),
        ("0 9 * * 5-7", "cron(0 9 ? * FRI,SAT,SUN *)"),
        ("0 9 * * 0-7", "cron(0 9 ? * SUN,MON,TUE,WED,THU,FRI,SAT *)"),
        ("0 9 * * 7-7", "cron(0 9 ? * SUN *)"),
        ("0 9 * * 0-6", "cron(0 9 ? * SUN-SAT *)"),
        ("0 9 * * 1,3,5", "cron(0 9 ? * MON,WED,FRI *)"),
        ("0 9 * * 2#1", "cron(0 9 ? * 3#1 *)"),
        ("0 9 * * 7#1", "cron(0 9 ? * 1#1 *)"),
        ("0 9 * * 5L", "cron(0 9 ? * 6L *)"),
        ("0 9 * JAN-MAR *", "cron(0 9 * JAN-MAR ? *)"),
        ("0-30/10 9 * * *", "cron(0,10,20,30 9 * * ? *)"),
        ("0 0 1 JAN-DEC/3 *", "cron(0 0 1 1,4,7,10 ? *)"),
        ("@daily", "cron(0 0 * * ? *)"),
        ("@weekly", "cron(0 0 ? * SUN *)"),
        ("@Yearly", "cron(0 0 1 1 ? *)"),
        ("  0   2 * *\t* ", "cron(0 2 * * ? *)"),
    ],
)
def test_ordinary_cron_in_eventbridges_spelling(written, spelled):
    assert Cron(written).aws_expression() == spelled


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("0 0 13 * 5", "both set"),
        ("0 0 */2 * 1", "both set"),  # cron: a Monday with an odd date
        ("0 0 */1 * 1", "both set"),
        ("0 0 1 * */2", "both set"),
        ("0 0 * * */2", "step over day-of-week|both set"),
        ("0 0 * * 1-5/2", "step over day-of-week"),
        ("0 0 * * MON#2,WED#2", "one '#'"),
        ("0 0 * * 1,5L", "not understood"),
        ("0 0 * * FRIL", "day-of-week"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 * * 1#6", "day-of-week"),
        ("* * * * * *", "exactly five"),
        ("0 2 * *", "five fields"),
        ("60 * * * *", "minute"),
        ("0 24 * * *", "hour"),
        ("@reboot", "five fields"),
        ("0 0 ? * 1", "day-of-month"),
        ("rate(5 minutes)", "five fields"),
        ("", "five fields"),
        (None, "five fields"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(written, said):
    with pytest.raises(DefinitionError, match=said) as refused:
        Cron(written)
    assert f"Cron({written!r})" in str(refused.value)


@pytest.mark.parametrize("zone", ["Oslo", "", "../etc/passwd", None, "Europe/Oslo\0", 7])
def test_an_unknown_zone_is_refused(zone):
    with pytest.raises(DefinitionError, match="timezone="):
        Cron("@daily", timezone=zone)


def fires(expression: str, moment: datetime) -> bool:
    """Tell whether an EventBridge expression fires at a minute, by the wildcards' table in AWS's documentation."""
    minute, hour, day, month, weekday, year = expression.removeprefix("cron(").removesuffix(")").split()
    assert year == "*"
    assert [day, weekday].count("?") == 1
    last = calendar.monthrange(moment.year, moment.month)[1]
    of_day = (
        _is_weekday(weekday, moment, last) if day == "?" else _matches(day.replace("L", str(last)), moment.day, 1, 31)
    )
    return (
        _matches(minute, moment.minute, 0, 59)
        and _matches(hour, moment.hour, 0, 23)
        and _matches(month, moment.month, 1, 12, MONTHS, 1)
        and of_day
    )


def _is_weekday(text, moment, last):
    """Tell whether the day-of-week field covers a moment; `last` is the last day of its month."""
    number = moment.isoweekday() % 7 + 1
    if text.endswith("L"):
        return number == int(text[:-1]) and moment.day + 7 > last
    if "#" in text:
        assert "," not in text
        day, nth = text.split("#")
        return number == int(day) and (moment.day - 1) // 7 + 1 == int(nth)
    return _matches(text, number, 1, 7, DAYS, 1)


def _matches(text, value, least, most, names=(), first=0):
    """Tell whether a field covers a value from `least` to `most`; `names` stand for numbers from `first` on."""

    def number(word):
        return names.index(word) + first if word in names else int(word)

    for part in text.split(","):
        span, _, step = part.partition("/")
        assert not (step and "-" in span), "AWS documents no step over a range"
        if span == "*":
            low, high = least, most
        elif "-" in span:
            low, high = (number(end) for end in span.split("-"))
            assert low <= high
        else:
            low = number(span)
            high = most if step else low
        if value in range(low, high + 1, int(step or 1)):
            return True
    return False


def cron_field(least, most):
    """Return a strategy for one field of ordinary cron: numbers, ranges, steps and lists of these, or a star."""
    number = st.integers(least, most)
    pair = st.tuples(number, number).map(sorted)
    step = st.integers(1, 9)
    one = st.one_of(
        number.map(str),
        pair.map(lambda ends: f"{ends[0]}-{ends[1]}"),
        st.tuples(pair, step).map(lambda drawn: f"{drawn[0][0]}-{drawn[0][1]}/{drawn[1]}"),
        step.map(lambda n: f"*/{n}"),
        st.tuples(number, step).map(lambda drawn: f"{drawn[0]}/{drawn[1]}"),
    )
    return st.one_of(st.just("*"), st.lists(one, min_size=1, max_size=3).map(",".join))


WEEKDAY = st.one_of(
    st.just("*"),
    st.integers(0, 7).map(str),
    st.tuples(st.integers(0, 7), st.integers(0, 7)).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    st.tuples(st.integers(0, 7), st.integers(1, 5)).map(lambda drawn: f"{drawn[0]}#{drawn[1]}"),
    st.integers(0, 7).map(lambda day: f"{day}L"),
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=3).map(",".join),
)


@settings(max_examples=250)
@given(
    cron_field(0, 59),
    cron_field(0, 23),
    cron_field(1, 28),
    cron_field(1, 12),
    WEEKDAY,
    st.integers(0, 3_000_000),
)
def test_eventbridge_fires_when_cron_would(minute, hour, day, month, weekday, after):
    try:
        cron = Cron(f"{minute} {hour} {day} {month} {weekday}")
    except DefinitionError:
        return
    spelled = cron.aws_expression()
    start = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=after)
    runs = cron.next_runs(start, 3)
    assert all(fires(spelled, run) for run in runs)
    # and at no minute between: tried at each run's neighbours and through the first hours
    quiet = [run + timedelta(minutes=n) for run in runs for n in (-61, -60, -1, 1, 60)]
    quiet += [start + timedelta(minutes=n) for n in range(1, 300, 7)]
    for moment in quiet:
        if start < moment < runs[-1] and moment not in runs:
            assert not fires(spelled, moment), (spelled, moment)


OSLO = ZoneInfo("Europe/Oslo")


@pytest.mark.parametrize(
    ("cron", "after", "runs"),
    [
        # 2026-03-29 in Oslo has no 02:30
        ("30 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"]),
        ("0 * * * *", "2026-03-29T00:30+01:00", ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00"]),
        ("30 1,2,3 * * *", "2026-03-29T00:30+01:00", ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"]),
        # 2026-10-25 has 02:30 twice; a run is not repeated
        ("30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
        (
            "*/30 * * * *",
            "2026-10-25T01:45+02:00",
            ["2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"],
        ),
        ("*/30 * * * *", "2026-10-25T02:10+01:00", ["2026-10-25T03:00:00+01:00"]),
    ],
)
def test_runs_around_a_change_of_the_clock(cron, after, runs):
    found = Cron(cron, timezone="Europe/Oslo").next_runs(datetime.fromisoformat(after), len(runs))
    assert [run.isoformat() for run in found] == runs


def test_runs_are_counted_from_a_moment_in_any_zone():
    found = Cron("0 2 * * *", timezone="Europe/Oslo").next_runs(datetime(2026, 1, 1, 1, 0, tzinfo=UTC))
    assert found == [datetime(2026, 1, 2, 2, 0, tzinfo=OSLO)]


@pytest.mark.parametrize(
    ("interval", "spelled"),
    [
        ("1m", "rate(1 minute)"),
        ("5m", "rate(5 minutes)"),
        ("90m", "rate(90 minutes)"),
        ("2h", "rate(2 hours)"),
        ("24h", "rate(1 day)"),
        (3600, "rate(1 hour)"),
    ],
)
def test_fixed_rates(interval, spelled):
    assert Every(interval).aws_expression() == spelled


@pytest.mark.parametrize("interval", ["30s", "90s", 0, "soon", None])
def test_rates_that_eventbridge_does_not_know(interval):
    with pytest.raises(DefinitionError, match="Every"):
        Every(interval)


def test_a_schedules_payload_must_fit_its_task():
    with pytest.raises(DefinitionError, match=r"task 'report': schedules: Cron\('@daily'\): .*region: Field required"):

        @task(schedules=(Cron("@daily"),))
        def report(region: str): ...

    @task(schedules=(Cron("@daily", payload={"region": "eu"}), Every("1h", payload={"region": "us"})))
    def regional(region: str): ...

    assert len(regional.settings.schedules) == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Cron("@daily", enabled="false"), "schedules: Cron('@daily'): enabled='false' must be True or False"),
        (lambda: Every("1h", enabled=0), "schedules: Every('1h'): enabled=0 must be True or False"),
        (lambda: Cron("@daily", payload="x"), "schedules: Cron('@daily'): payload='x' must be a dict"),
        (lambda: Every("1h", payload={1: 2}), "schedules: Every('1h'): payload={1: 2} must be a dict"),
        (lambda: Cron("@daily", payload=None), "payload=None must be a dict"),
        (
            lambda: make_settings({"schedules": (Cron,)}),
            "schedules=<class 'offload.core.schedules.Cron'> must be Cron(...)",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_schedule(make, said):
    with pytest.raises(DefinitionError) as refused:
        make()
    assert said in str(refused.value)
