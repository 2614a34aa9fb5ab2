"""The way from a call of a task to a request for a job."""

from __future__ import annotations

import asyncio

import pytest

from offload import AsyncTask, DefinitionError, PayloadError, Task, task
from offload.core.enqueueing.options import CheckedOptions


@task(priorities=("default", "high"), expires="1h")
def work(a: int, b: str = "b") -> None: ...


@task
def plain(a: int = 0) -> None: ...


@task
async def waiting(a: int) -> int:
    return a + 1


@task(memory=512)
async def waiting_with_settings(a: int) -> int:
    return a + 1


def test_a_task_is_called_like_the_function_it_wraps():
    @task
    def double(a: int) -> int:
        return 2 * a

    assert type(double) is Task
    assert double(4) == double.function(4) == 8


@pytest.mark.parametrize("made", [waiting, waiting_with_settings])
def test_a_task_of_an_async_function_is_awaited_like_it(made):
    assert type(made) is AsyncTask
    assert made.is_async
    assert asyncio.run(made(1)) == 2


def test_jobs_are_enqueued_from_async_code_too(recording):
    assert asyncio.run(plain.adelay(1)) == "handle"
    assert asyncio.run(plain.options(key="k").adelay(a=2)) == "handle"
    assert [request.payload for request in recording.sent] == [{"a": 1}, {"a": 2}]


def test_a_wrong_option_is_named_before_anything_is_sent(recording):
    with pytest.raises(DefinitionError, match="delay=-1"):
        work.options(delay=-1)
    with pytest.raises(DefinitionError, match=r"unknown option 'dely' \(did you mean 'delay'\?\)"):
        work.options(dely=1)
    assert recording.sent == []


def test_a_lane_the_task_does_not_have_is_told_with_those_it_has(recording):
    with pytest.raises(DefinitionError, match="priority='low': task 'work' has the lanes default, high"):
        work.options(priority="low").delay(1)
    assert recording.sent == []


def test_options_do_not_mix_with_arguments(recording):
    work.options(delay="1m", priority="high", key="k", tenant="t", expires="1d", id="a").delay(1, b="x")
    (request,) = recording.sent
    assert request.payload == {"a": 1, "b": "x"}
    assert request.options == CheckedOptions(delay="1m", priority="high", key="k", tenant="t", expires="1d", id="a")
    assert (request.task, request.max_attempts) == ("work", work.settings.retry.max_attempts)


def test_celerys_spelling(recording):
    plain.apply_async(args=[1], countdown=60)
    plain.apply_async(kwargs={"a": 2}, tenant="t")
    plain.apply_async((3,), delay="2m")
    assert [(request.payload, request.options) for request in recording.sent] == [
        ({"a": 1}, CheckedOptions(delay=60)),
        ({"a": 2}, CheckedOptions(tenant="t")),
        ({"a": 3}, CheckedOptions(delay="2m")),
    ]
    with pytest.raises(DefinitionError, match="unknown option 'eta': choose from delay"):
        plain.apply_async((1,), eta=5)


@pytest.mark.parametrize(("countdown", "delay"), [(5, "1h"), (0, "1h"), (5, 0)])
def test_celerys_spelling_of_a_delay_next_to_our_own_is_refused(recording, countdown, delay):
    with pytest.raises(DefinitionError, match=f"countdown={countdown!r} or delay={delay!r}, not both"):
        plain.apply_async((1,), countdown=countdown, delay=delay)
    assert recording.sent == []


def test_a_tasks_own_expiry_holds_unless_the_call_says_otherwise(recording):
    work.delay(1)
    work.options(expires="5m").delay(1)
    plain.delay(1)
    assert [request.options.expires for request in recording.sent] == ["1h", "5m", None]


def test_many_calls_in_each_spelling(recording):
    assert plain.delay_many([{"a": 1}, (2,), 3]) == ["handle"] * 3
    assert [request.payload for request in recording.sent] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_many_calls_of_which_one_does_not_fit_send_nothing(recording):
    with pytest.raises(PayloadError):
        plain.delay_many([{"a": 1}, {"a": "x"}])
    assert recording.sent == []


@pytest.mark.parametrize("options", [{"id": "a"}, {"key": "k"}])
def test_many_calls_cannot_share_an_id(recording, options):
    with pytest.raises(DefinitionError, match="name one job"):
        plain.options(**options).delay_many([{}])
    assert recording.sent == []
