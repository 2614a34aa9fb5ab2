"""What waits on disk comes back as it was given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from offload.client.spool import Spool
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest

FIRST = CheckedOptions(tenant="acme")
EACH = {
    "delay": timedelta(minutes=5),
    "eta": datetime(2027, 1, 31, 9, tzinfo=UTC),
    "priority": "high",
    "key": "k",
    "key_window": "2h",
    "key_may_differ": True,
    "tenant": "other",
    "expires": "30m",
    "id": "mine",
    "track": "start",
}
TOGETHER = [
    {"eta": EACH["eta"], "expires": "30m"},
    {"eta": "2027-01-31T09:00:00+01:00", "expires": timedelta(hours=1)},
    {"delay": "5m", "expires": 600},
    {"eta": EACH["eta"], "expires": "2d", "key": "k", "key_window": timedelta(days=1)},
]


def meaning(options):
    """What options say, whatever the words are."""
    now = int(datetime(2027, 1, 31, 8, 45, tzinfo=UTC).timestamp() * 1000)
    durations = {name: getattr(options, name) for name in ("expires", "key_window")}
    told = {name: value for name, value in options.given().items() if name not in ("delay", "eta", *durations)}
    return told, options.start_at(now), {name: _seconds(value) for name, value in durations.items()}


def _seconds(value):
    from offload.core.durations import seconds

    return None if value is None else seconds(value, field="x")


def there_and_back(*options):
    spool = Spool()
    spool.add(EnqueueRequest("send", {"to": "first"}, FIRST))
    for each in options:
        spool.add(EnqueueRequest("send", {"to": "a"}, each))
    back = [spooled.request for spooled in spool]
    spool.close()
    assert len(back) == len(options) + 1
    return back[1:]


@pytest.mark.parametrize("name", EACH)
def test_each_option_comes_back(name):
    given = CheckedOptions(**{name: EACH[name]})
    (back,) = there_and_back(given)
    assert meaning(back.options) == meaning(given)
    assert set(back.options.given()) == {name}


@pytest.mark.parametrize("options", TOGETHER, ids=" ".join)
def test_options_that_stand_beside_each_other_come_back(options):
    given = CheckedOptions(**options)
    (back,) = there_and_back(given)
    assert meaning(back.options) == meaning(given)
    assert set(back.options.given()) == set(options)


def test_a_request_that_repeats_another_says_so():
    spool = Spool()
    for repeats in (None, 0, None):
        spool.add(EnqueueRequest("send", {}, FIRST), repeats)
    assert [spooled.repeats for spooled in spool] == [None, 0, None]
    assert spool.repeating == 1
    spool.close()


def test_many_jobs_that_wait_for_a_time_expire_after_it(deploy):
    from tests.client.receipts import send

    pipeline = deploy(send)
    now = pipeline.clock.now()
    eta = datetime.fromtimestamp(now / 1000 + 60, UTC)
    jobs = send.delay_many(["first", send.options(eta=eta, expires="2m").si("b")])
    assert jobs[1].record().expires_at == now + 120_000
