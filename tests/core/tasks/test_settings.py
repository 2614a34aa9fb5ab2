from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import get_type_hints

import pytest

from offload import Cron, DefinitionError, Every, RateLimit, Retry, TaskSettings, defaults, task
from offload.core.schedules import Schedule
from offload.core.tasks import settings
from offload.core.tasks.settings import ROWS, Settings, make_settings


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
        (
            {"environment": {"AWS_REGION": "x"}},
            ("environment sets AWS_REGION, which Lambda sets itself: leave it out",),
        ),
        ({"environment": {"AWS_SESSION_TOKEN": "x"}}, ("environment sets AWS_SESSION_TOKEN",)),
        ({"environment": {"_HANDLER": "x"}}, ("environment sets _HANDLER", "Lambda sets itself")),
        ({"environment": {"LAMBDA_TASK_ROOT": "x"}}, ("environment sets LAMBDA_TASK_ROOT",)),
        ({"environment": {"OFFLOAD_TASK": "x"}}, ("environment sets OFFLOAD_TASK, which is reserved for the worker",)),
        *(
            ({"environment": {name: "x"}}, (f"environment has {name!r}", "at least two letters"))
            for name in ("", "A", "1A", "_A", "A-B", "A B", "Ä1")
        ),
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
    ("unknown", "nearest"),
    [
        ("timout", "timeout"),
        ("schedule", "schedules"),
        ("concurrency", "max_concurrency"),
    ],
)
def test_an_unknown_setting_suggests_the_nearest_name(unknown, nearest):
    def work(): ...

    with pytest.raises(DefinitionError) as refused:
        task(**{unknown: 5})(work)
    said = f"task 'work': {unknown!r} is not a task setting (did you mean {nearest!r}?): choose from retry, timeout, "
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("name", ["bind", "max_retries", "autoretry_for", "soft_time_limit", "queue", "link_error"])
def test_a_setting_of_celery_names_its_counterpart(name):
    with pytest.raises(DefinitionError, match=rf"'{name}' is not a task setting \(.*(@task\(|current_job\(\))"):
        make_settings({name: 5})


def test_a_setting_that_is_like_no_other_suggests_none():
    with pytest.raises(DefinitionError, match="'colour' is not a task setting: choose from retry, timeout, "):
        make_settings({"colour": "red"})


def test_the_settings_that_type_checkers_know_are_those_of_the_table():
    # `settings.py` imports these two for type checkers alone.
    names = {"Schedule": Schedule, "Sequence": Sequence}
    assert get_type_hints(TaskSettings, localns=names) == get_type_hints(Settings, localns=names)
    assert list(TaskSettings.__annotations__) == [each.name for each in dataclasses.fields(Settings)] == list(ROWS)
    assert TaskSettings.__required_keys__ == frozenset()


def test_settings_are_described_as_json_values():
    given = {
        "retry": Retry(max_attempts=5),
        "soft_timeout": "30s",
        "rate_limit": RateLimit("10/m"),
        "priorities": ("default", "high"),
        "schedules": [Cron("0 2 * * *", timezone="Europe/Oslo"), Every("1h")],
        "expires": 90,
    }
    shown = make_settings(given).describe()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["retry"]["max_attempts"] == 5
    assert (shown["timeout"], shown["soft_timeout"], shown["expires"]) == ("1m", "30s", "1m30s")
    assert (shown["rate_limit"], shown["priorities"]) == ("10/m", ["default", "high"])
    assert shown["schedules"] == ["cron(0 2 * * ? *) Europe/Oslo", "rate(1 hour)"]


def test_producers_learn_what_they_cannot_know_without_the_task():
    assert make_settings({"priorities": ("default", "high"), "memory": 512}).for_producers() == {
        "priorities": ["default", "high"]
    }
    assert Settings().for_producers() == {}, "defaults are left out: a function's environment is small"


def test_derived_limits():
    given = make_settings({"timeout": "5m"})
    assert (given.hard_limit, given.soft_limit) == (300, 270)
    assert make_settings({"timeout": "5m", "soft_timeout": "4m30s"}).soft_limit == 270


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
