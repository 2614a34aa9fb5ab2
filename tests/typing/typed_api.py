"""What type checkers must tell those who use the library: mypy and pyright read this file, and nothing runs it.

A line with two `ignore` comments holds a mistake that both checkers must refuse. An `ignore` that is not needed is an
error of its own, so that a mistake which a checker lets pass fails `make check`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_type

import offload
from offload import (
    Allow,
    AsyncTask,
    Call,
    Client,
    Cron,
    CurrentJob,
    EnqueueOptions,
    EnqueueRequest,
    ErrorRecord,
    Every,
    Hooks,
    Job,
    JobHandle,
    JobHandles,
    RateLimit,
    Retry,
    RunReport,
    Secret,
    State,
    Task,
    TaskSettings,
    add_hooks,
    aenqueue,
    current_job,
    defaults,
    enqueue,
    task,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine


@dataclass
class Receipt:
    """What some tasks of this file return."""

    number: str


@task
def send(to: str, times: int = 1) -> Receipt:
    return Receipt(to * times)


@task(retry=Retry(max_attempts=5, base="1s"), timeout="30s", memory=512)
def send_with_settings(to: str) -> Receipt:
    return Receipt(to)


@task
async def fetch(url: str) -> bytes:
    return url.encode()


@task(timeout=timedelta(minutes=5))
async def fetch_with_settings(url: str) -> bytes:
    return await fetch(url)


@task
def charge(*, amount: int, currency: str = "EUR") -> None:
    print(amount, currency)


# A task keeps the parameters and the result of its function.


@task
def sign_in(user: str, token: Secret[str], keys: Secret[dict[str, bytes]] | None = None) -> str:
    return assert_type(token, str)


def a_secret_is_a_plain_value_to_callers_and_tasks() -> None:
    assert_type(sign_in.delay("ann", "tok-1", keys={"a": b"1"}), JobHandle[str])
    sign_in.delay("ann", 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_call_of_a_task_runs_the_function() -> None:
    assert_type(send("ann", times=2), Receipt)
    assert_type(send_with_settings("ann"), Receipt)
    assert_type(task(send_plain)("ann"), Receipt)
    charge(amount=3)
    kept: Task[[str], Receipt] = send_with_settings
    kept_async: AsyncTask[[str], bytes] = fetch_with_settings
    print(kept, kept_async, send.name)

    send()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send("ann", time=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    charge(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    charge(amount="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong_result: str = send("ann")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong_result)


async def a_call_of_an_async_task_is_awaited() -> None:
    assert_type(await fetch("https://example.org"), bytes)
    started: Coroutine[Any, Any, bytes] = fetch("https://example.org")
    assert_type(await started, bytes)
    assert_type(await fetch_with_settings(url="https://example.org"), bytes)

    fetch("https://example.org")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await fetch()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fetch("https://example.org").decode()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    await send("ann")  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]
    wrong_kind: Task[[str], bytes] = fetch  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong_kind)


def send_plain(to: str) -> Receipt:
    return Receipt(to)


# Enqueueing a task: its arguments are checked, and the handle knows the result.


def delay_takes_the_arguments_of_the_function() -> None:
    assert_type(send.delay("ann", times=2), JobHandle[Receipt])
    assert_type(send_with_settings.delay(to="ann"), JobHandle[Receipt])
    assert_type(fetch.delay("https://example.org"), JobHandle[bytes])
    assert_type(fetch_with_settings.delay("https://example.org"), JobHandle[bytes])
    assert_type(charge.delay(amount=3), JobHandle[None])

    send.delay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.delay(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.delay("ann", 2, 3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.delay("ann", delay="5m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    charge.delay(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    fetch.delay(uri="https://example.org")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    wrong_result: JobHandle[str] = send.delay("ann")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong_result)


def options_stand_apart_from_the_arguments() -> None:
    later = send.options(delay="2h", priority="high", key="order-42", tenant="acme", expires=timedelta(days=1), id="a")
    assert_type(later.delay("ann"), JobHandle[Receipt])
    assert_type(later.delay_many(["ann", {"to": "bob"}]), JobHandles[JobHandle[Receipt]])
    assert_type(fetch.options(delay=60).delay("https://example.org"), JobHandle[bytes])
    prepared: EnqueueOptions = {"delay": 60, "tenant": "acme"}
    assert_type(send.options(**prepared).delay("ann"), JobHandle[Receipt])

    send.options(prio="high")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.options(priority=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.options(delay=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.options(delay="5m").delay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    charge.options(key="order-42").delay(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def async_code_enqueues_without_blocking() -> None:
    assert_type(await send.adelay("ann"), JobHandle[Receipt])
    assert_type(await fetch.adelay("https://example.org"), JobHandle[bytes])
    assert_type(await send.options(delay="5m").adelay("ann"), JobHandle[Receipt])
    assert_type(await send.adelay_many(["ann"]), JobHandles[JobHandle[Receipt]])
    assert_type(await send.si("ann").adelay(), JobHandle[Receipt])

    send.adelay("ann")  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]
    await send.adelay()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    await send.options(delay="5m").adelay(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def celery_spelling_and_many_jobs() -> None:
    assert_type(send.apply_async(args=["ann"], kwargs={"times": 2}, countdown=60, tenant="acme"), JobHandle[Receipt])
    assert_type(fetch.apply_async(("https://example.org",)), JobHandle[bytes])
    assert_type(send.delay_many([{"to": "ann"}, ("bob", 2), "eve"]), JobHandles[JobHandle[Receipt]])
    assert_type(fetch.delay_many(["https://example.org"]), JobHandles[JobHandle[bytes]])

    send.apply_async(countdwn=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    send.apply_async(["ann"], countdown="3m")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    own = send.options(key="order-42", eta=datetime(2027, 1, 31, tzinfo=UTC), track="start").si("ann", times=2)
    assert_type(own, Call[Receipt])
    assert_type(own.delay(), JobHandle[Receipt])
    jobs = send.delay_many((own, send.si("bob")), progress=lambda done, total: print(done / total), id_prefix="import")
    assert_type(jobs[0], JobHandle[Receipt])
    assert_type(jobs[1:], list[JobHandle[Receipt]])
    assert_type(
        Client.from_stack().enqueue_many("send", [{"to": "ann"}, ({"to": "bob"}, {"key": "k"})]),
        JobHandles[JobHandle[Any]],
    )

    send.si(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.options(track="end")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    send.options(eta=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Client.from_stack().enqueue_many("send", [({"to": "bob"}, {"kye": "k"})])  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportArgumentType]
    send.delay_many(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def a_handle_knows_the_result() -> None:
    job = send.delay("ann")
    assert_type(job.result(), Receipt)
    assert_type(job.result(timeout=30).number, str)
    assert_type(charge.delay(amount=3).result(), None)
    assert_type(job.id, str)
    assert_type(job.status(), State)
    assert_type(job.record(), Job)
    assert_type(job.wait(timeout=5), Job)
    anything: JobHandle[object] = job
    print(anything)

    assert_type(job.result(timeout="30s"), Receipt)
    assert_type(job.wait(timeout=timedelta(seconds=30)), Job)
    job.result(timeout=[30])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    job.results()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    wrong_result: int = job.result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong_result)


async def a_handle_serves_async_code() -> None:
    assert_type(await send.delay("ann").aresult(), Receipt)
    assert_type(await fetch.delay("https://example.org").aresult(timeout=30), bytes)
    assert_type(await send.delay("ann").astatus(), State)
    assert_type(await send.delay("ann").await_(timeout=30), Job)
    assert_type(await send.delay("ann").arecord(), Job)

    wrong_result: int = await send.delay("ann").aresult()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    print(wrong_result)


# Enqueueing by name: the payload is JSON, and the options are checked.


async def async_code_enqueues_by_name(client: Client) -> None:
    assert_type(await client.aenqueue("send", {"to": "ann"}, delay="5m"), JobHandle[Any])
    assert_type(await aenqueue("send", {"to": "ann"}), JobHandle[Any])
    assert_type(await client.await_("id", timeout=30), Job)
    assert_type(await client.ajob("id"), Job)

    await client.aenqueue("send", {}, dely="5m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def enqueue_by_name(client: Client) -> None:
    assert_type(enqueue("send", {"to": "ann"}, delay="5m", key="order-42"), JobHandle[Any])
    assert_type(client.enqueue("send", {"to": "ann"}, priority="high", tenant=None), JobHandle[Any])
    assert_type(client.job("a"), Job)

    enqueue("send", {}, dely="5m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    enqueue("send", {}, delay=[5])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    enqueue("send")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.enqueue("send", {}, dely=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.enqueue("send", ["ann"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.enqueue("send", {}, tenant=7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    offload.enqeue("send", {})  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


# Settings: names and types are checked, for `@task` as for `defaults`.


def settings_are_checked() -> None:
    defaults(timeout="5m", retry=Retry(max_attempts=5, on=(OSError,)), priorities=("default", "high"))

    @task(
        schedules=(Cron("0 2 * * *"), Every("1h")),
        rate_limit=RateLimit("10/m"),
        allow=[Allow("s3:GetObject", "{bucket}/*")],
        priorities=["default", "high"],
        enqueues=("send",),
        on_failure="send",
        environment={"LEVEL": "high"},
    )
    def nightly() -> int:
        return 1

    assert_type(nightly(), int)
    shared: TaskSettings = {"timeout": "5m", "memory": 512}
    defaults(**shared)
    assert_type(task(**shared)(send_plain)("ann"), Receipt)

    defaults(timout="5m")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    defaults(batch_size="10")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    Retry(max_attempt=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    @task(retires=3)  # type: ignore[call-overload,untyped-decorator]  # pyright: ignore[reportCallIssue, reportUntypedFunctionDecorator]
    def unknown_setting() -> None: ...

    @task(memory="lots")  # type: ignore[call-overload,untyped-decorator]  # pyright: ignore[reportArgumentType]
    def wrong_type() -> None: ...

    @task(priorities="high")  # type: ignore[call-overload,untyped-decorator]  # pyright: ignore[reportArgumentType]
    def one_name_is_no_tuple() -> None: ...

    @task(enqueues="send")  # type: ignore[call-overload,untyped-decorator]  # pyright: ignore[reportArgumentType]
    def one_task_is_no_tuple() -> None: ...

    @task("30s")  # type: ignore[call-overload,untyped-decorator]  # pyright: ignore[reportArgumentType, reportCallIssue, reportUntypedFunctionDecorator]
    def no_name() -> None: ...

    print(unknown_setting, wrong_type, one_name_is_no_tuple, one_task_is_no_tuple, no_name)


# What runs inside a worker.


def a_task_knows_its_job() -> None:
    job = current_job()
    assert_type(job.id, str)
    assert_type(job.tenant, str | None)
    job.progress(1, 10, stage="half")

    job.progres(1)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    job.progress("half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Traces(Hooks):
    """Every hook with its own signature."""

    def process_started(self, task: str) -> None: ...
    def before_enqueue(self, request: EnqueueRequest) -> None:
        assert_type(request.task, str)

    def after_enqueue(
        self, request: EnqueueRequest, handle: JobHandle[Any] | None, error: BaseException | None
    ) -> None: ...
    def before_run(self, job: CurrentJob) -> None:
        assert_type(job.id, str)

    def after_run(self, job: CurrentJob, report: RunReport) -> None:
        assert_type(report.state, State | None)

    def ended_without_run(self, task: str, job_id: str, state: State, error: ErrorRecord | None) -> None:
        if error is not None:
            assert_type(error["type"], str)

    def message_returned(self, task: str, job_id: str, why: str) -> None: ...

    def invocation_ended(self) -> None: ...


class WrongTraces(Hooks):
    """Hooks that the library would call with other arguments."""

    def process_started(self) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
    def before_run(self, job: str) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
    def after_run(self, job: CurrentJob) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
    def invocation_ended(self, task: str) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
    async def before_enqueue(self, request: EnqueueRequest) -> None: ...  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]


def hooks_are_registered() -> None:
    add_hooks(Traces())

    add_hooks(Traces)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    add_hooks(print)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
