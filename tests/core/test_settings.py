from __future__ import annotations

import pytest

from offload import Allow, Cron, DefinitionError, RateLimit, Retry, defaults, task
from offload.core import settings
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.settings import Settings, make_settings


@pytest.fixture(autouse=True)
def _no_defaults(monkeypatch):
    monkeypatch.setattr(settings, "_app_wide", {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"timeout": "16m"}, ("timeout='16m'", "at most 15m")),
        ({"timeout": "0s"}, ("timeout='0s'", "at least 1s")),
        ({"timeout": "1500ms"}, ("timeout='1500ms'", "whole seconds")),
        ({"timeout": None}, ("timeout=None", "is not a duration")),
        ({"timeout": "10s", "soft_timeout": "10s"}, ("soft_timeout='10s'", "below timeout='10s'")),
        ({"soft_timeout": 0}, ("soft_timeout=0", "at least 100ms")),
        ({"batch_size": 0}, ("batch_size=0", "from 1 to 10")),
        ({"batch_size": 11}, ("batch_size=11", "from 1 to 10")),
        ({"batch_size": True}, ("batch_size=True", "whole number")),
        ({"max_concurrency": 1}, ("max_concurrency=1", "from 2 to 1000")),
        ({"memory": 127}, ("memory=127", "from 128 to 10240")),
        ({"memory": "1GB"}, ("memory='1GB'", "whole number")),
        ({"retry": 3}, ("retry=3", "Retry(max_attempts=5)")),
        ({"rate_limit": "10/m"}, ("rate_limit='10/m'", 'RateLimit("10/m")')),
        ({"priorities": "default"}, ("priorities='default'", "must be a tuple")),
        ({"priorities": ("high",)}, ("priorities=('high',)", "'default'")),
        ({"priorities": ("default", "default")}, ("priorities=", "each lane once")),
        ({"priorities": ("default", "High")}, ("priorities='High'", "lower-case")),
        ({"priorities": ("default", "dlq")}, ("priorities='dlq'", "another name")),
        ({"schedules": ("0 2 * * *",)}, ("schedules='0 2 * * *'", "Cron")),
        ({"schedules": Cron("@daily")}, ("schedules=", "must be a tuple")),
        ({"result_ttl": "59m"}, ("result_ttl='59m'", "at least 1h")),
        ({"result_ttl": "366d"}, ("result_ttl='366d'", "at most 365d")),
        ({"on_success": "No-Name"}, ("on_success='No-Name'", "not a task name")),
        ({"on_failure": 7}, ("on_failure=7", "not a task name")),
        ({"expires": 0}, ("expires=0", "at least 1s")),
        ({"expires": "1000000d"}, ("expires=", "at most 3650d")),
        ({"enqueues": ("a b",)}, ("enqueues='a b'", "not a task name")),
        ({"allow": ("s3:GetObject",)}, ("allow='s3:GetObject'", "Allow(")),
        ({"environment": {"A": 1}}, ("environment={'A': 1}", "names to texts")),
        ({"environment": ["A"]}, ("environment=['A']", "names to texts")),
        ({"time_limit": 5}, ("'time_limit' is not a task setting", "timeout")),
    ],
)
def test_a_wrong_setting_is_named_with_its_fix(given, said):
    def work(): ...

    with pytest.raises(DefinitionError) as refused:
        task(**given)(work)
    assert str(refused.value).startswith("task 'work': ")
    for part in said:
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RateLimit("10"), "rate='10'"),
        (lambda: RateLimit("0/m"), "rate='0/m'"),
        (lambda: RateLimit("10/w"), "rate='10/w'"),
        (lambda: RateLimit(10), "rate=10"),
        (lambda: RateLimit("1/s", burst=0), "burst=0"),
        (lambda: RateLimit("1/s", burst=True), "burst=True"),
        (lambda: Allow("*", "*"), "action '*'"),
        (lambda: Allow("s3:*", "*"), "action 's3:*'"),
        (lambda: Allow((), "*"), "actions=()"),
        (lambda: Allow("s3:GetObject", ""), "resources=''"),
    ],
)
def test_a_wrong_part_is_named(make, said):
    with pytest.raises(DefinitionError) as refused:
        make()
    assert said in str(refused.value)


@pytest.mark.parametrize(("rate", "interval"), [("10/m", 6), ("1/s", 1), ("0.5/s", 2), ("1/d", 86_400), (" 60/h ", 60)])
def test_the_interval_of_a_rate(rate, interval):
    assert RateLimit(rate).interval() == interval


def test_derived_limits():
    given = make_settings({"timeout": "5m", "retry": Retry(max_attempts=5)})
    assert (given.hard_limit, given.soft_limit, given.max_receives) == (300, 270, 15)
    assert make_settings({"timeout": "5m", "soft_timeout": "4m30s"}).soft_limit == 270


def test_one_action_or_several():
    assert Allow("s3:GetObject", "a").actions == ("s3:GetObject",)
    assert Allow(("s3:GetObject", "s3:Put*"), ["a", "b"]).resources == ("a", "b")


# App-wide defaults


def test_the_task_wins_over_the_app_and_the_app_over_the_library():
    defaults(timeout="2m", memory=512)
    chosen = make_settings({"memory": 1024})
    assert (chosen.hard_limit, chosen.memory, chosen.batch_size) == (120, 1024, Settings().batch_size)


def test_defaults_hold_for_what_is_defined_after_them_and_the_last_call_counts():
    @task
    def before(): ...

    defaults(memory=512, timeout="2m")
    defaults(memory=1024)

    @task
    def after(): ...

    assert before.settings.memory == Settings().memory
    assert (after.settings.memory, after.settings.hard_limit) == (1024, Settings().hard_limit)


def test_wrong_defaults_are_refused_and_change_nothing():
    defaults(memory=512)
    with pytest.raises(DefinitionError, match="memory=1"):
        defaults(memory=1)
    with pytest.raises(DefinitionError, match="'memmory' is not a task setting"):
        defaults(memmory=512)
    assert make_settings({}).memory == 512


def test_no_lane_shares_its_queue_with_a_dead_letter_queue():
    lanes = ("default", "high", "low")
    names = [name for lane in lanes for name in (queue_name("s", "t", lane), dead_letter_name("s", "t", lane))]
    assert len(set(names)) == len(names)
