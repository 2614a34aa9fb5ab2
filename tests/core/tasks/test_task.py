"""The way from a call of a task to a request for a job."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from offload import AsyncTask, DefinitionError, PayloadError, Task, aenqueue, enqueue, task
from offload.core.enqueueing.options import CheckedOptions
from offload.testing import Pipeline


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
    with pytest.raises(DefinitionError, match="unknown option 'colour': choose from delay"):
        plain.apply_async((1,), colour=5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"countdown": 5}, r"unknown option 'countdown' \(write delay=\)"),
        ({"task_id": "a"}, r"unknown option 'task_id' \(write id=\)"),
        ({"queue": "high"}, r"unknown option 'queue' \(lanes are called priorities: write priority="),
        ({"retries": 3}, r"unknown option 'retries' \(a task retries by its setting: @task\(retry="),
        ({"link": "other"}, r"unknown option 'link' \(a follow-up is a setting of the task: @task\(on_success="),
    ],
)
def test_an_option_of_celery_names_its_counterpart_wherever_it_is_given(given, said):
    with Pipeline(work):
        for call in (
            lambda: work.options(**given),
            lambda: enqueue("work", {"a": 1}, **given),
            lambda: asyncio.run(aenqueue("work", {"a": 1}, **given)),
        ):
            with pytest.raises(DefinitionError, match=said):
                call()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"countdown": 5}, r"'countdown' is an option, and options never mix with arguments \(write delay=\)"),
        ({"delay": 5}, r"'delay' is an option, .* \(write task.options\(delay=...\).delay\(...\)\)"),
        ({"nope": 5}, "got an unexpected keyword argument 'nope'$"),
    ],
)
def test_an_option_among_the_arguments_is_told_where_it_belongs(recording, given, said):
    with pytest.raises(PayloadError, match=f"plain: .*{said}"):
        plain.delay(1, **given)
    assert recording.sent == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s", "task 'work' has no attribute 's': write .si(...), a call as a value for delay_many"),
        ("apply", "task 'work' has no attribute 'apply': write task(...), a plain call, or .delay(...)"),
        ("map", "task 'work' has no attribute 'map': write .delay_many(...)"),
        ("dealy", "task 'work' has no attribute 'dealy'"),
    ],
)
def test_a_method_of_celerys_tasks_names_its_counterpart(name, said):
    for each in (work, work.options(delay=5)):
        with pytest.raises(AttributeError) as missing:
            getattr(each, name)
        assert str(missing.value) == said
        assert not hasattr(each, name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("get", "a JobHandle has no attribute 'get': write .result(timeout=...)"),
        ("state", "a JobHandle has no attribute 'state': write .status()"),
        ("resutl", "a JobHandle has no attribute 'resutl'"),
    ],
)
def test_a_method_of_celerys_results_names_its_counterpart(name, said):
    with Pipeline(work):
        job = work.delay(1)
        with pytest.raises(AttributeError) as missing:
            getattr(job, name)
    assert str(missing.value) == said


def test_celerys_spelling_of_a_time(recording):
    moment = datetime(2026, 12, 24, 17, tzinfo=UTC)
    plain.apply_async((1,), eta=moment)
    assert recording.sent[0].options == CheckedOptions(eta=moment)


@pytest.mark.parametrize(
    ("countdown", "name", "other"),
    [(5, "delay", "1h"), (0, "delay", "1h"), (5, "delay", 0), (5, "eta", "2026-12-24T17Z")],
)
def test_two_spellings_of_a_start_are_refused(recording, countdown, name, other):
    with pytest.raises(DefinitionError, match=rf"countdown={countdown!r} or {name}={other!r}, not both"):
        plain.apply_async((1,), countdown=countdown, **{name: other})
    assert recording.sent == []


def test_a_delay_beyond_the_tasks_own_expiry_is_refused(recording):
    with pytest.raises(DefinitionError, match="expires='1h' ends before delay='2h' does, so the job could never start"):
        work.options(delay="2h").delay(1)
    assert recording.sent == []


def test_a_tasks_own_expiry_holds_unless_the_call_says_otherwise(recording):
    work.delay(1)
    work.options(expires="5m").delay(1)
    plain.delay(1)
    assert [request.options.expires for request in recording.sent] == ["1h", "5m", None]


def test_many_calls_in_each_spelling(recording):
    assert plain.delay_many([{"a": 1}, (2,), 3]) == ["handle"] * 3
    assert [request.payload for request in recording.sent] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_calls_as_values_keep_their_options(recording):
    call = work.options(key="k", expires="5m").si(1, b="x")
    plain.options(tenant="t", delay="1h").delay_many([plain.options(eta="2027-01-01T00:00Z").si(1), plain.si(a=2)])
    call.delay()
    assert repr(call) == "<call of work>"
    first, second, third = recording.sent
    assert first.options == CheckedOptions(tenant="t", eta="2027-01-01T00:00Z")
    assert (second.payload, second.options) == ({"a": 2}, CheckedOptions(tenant="t", delay="1h"))
    assert (third.payload, third.options) == ({"a": 1, "b": "x"}, CheckedOptions(key="k", expires="5m"))


def test_many_calls_of_which_one_does_not_fit_send_nothing(recording):
    with pytest.raises(PayloadError):
        plain.delay_many([{"a": 1}, {"a": "x"}])
    assert recording.sent == []


@pytest.mark.parametrize("options", [{"id": "a"}, {"key": "k"}])
def test_many_calls_cannot_share_an_id(recording, options):
    with pytest.raises(DefinitionError, match="names one job"):
        plain.options(**options).delay_many([{}])
    assert recording.sent == []
