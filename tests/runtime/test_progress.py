"""What a running job can say and ask: its progress, its place, the time it has left."""

from __future__ import annotations

from decimal import Decimal

import pytest

from offload import OffloadError, Refused, Retry, Unavailable, current_job, task
from tests.runtime.scripted_task import ScriptedTask


def test_progress_is_written_once_a_second_and_the_last_of_it_with_the_end(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)

    def tell_progress_for_three_seconds():
        for number in range(30):
            current_job().progress(number, 30, stage=f"step {number}")
            pipeline.clock.advance(0.1)

    work.on_run(1, tell_progress_for_three_seconds)
    job = work.delay("a")
    pipeline.store.calls.clear()
    pipeline.poll()

    alone = [
        write for (write,) in pipeline.store.called("apply") if "progress" in write.set and "state" not in write.set
    ]
    assert [write.set["progress"]["current"] for write in alone] == [0, 10, 20]
    told_at = pipeline.clock.now() - 100
    assert job.record().progress == {"current": 29, "total": 30, "stage": "step 29", "at": told_at}


def test_progress_that_cannot_be_written_is_no_reason_to_fail(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, lambda: current_job().progress(1))
    job = work.delay("a")

    pipeline.store.fail("apply", Unavailable("throttled"), where=lambda write: "state" not in write.set)
    pipeline.poll()

    assert job.result(0) == "a"
    assert job.record().progress["current"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**39 + 1, 1e-131, 1e126, 10**400, None, "many"])
def test_progress_that_cannot_be_stored_fails_where_it_is_told(deploy, value):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)

    def tell_progress():
        current_job().progress(1)
        current_job().progress(value)  # within the same second: it is kept, and written later

    work.on_run(1, tell_progress)
    job = work.delay("a")
    pipeline.run_until_idle()

    assert job.record().error["type"] == "ValueError"
    assert "in tell_progress" in job.record().error["traceback"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"current": float("nan")}, "progress: current"),
        ({"current": 1, "total": 1e-200}, "progress: total"),
        ({"current": -1e126}, "progress: current"),
        ({"current": 1, "total": 12345678901234567890123456789012345678901}, "more than 38 digits"),
        ({"current": 1, "stage": "a\ud800b"}, "progress: stage="),
        ({"current": "1", "total": "many"}, "progress: total takes a number, not one of type str"),
    ],
)
def test_progress_that_cannot_be_stored_names_the_argument(deploy, arguments, said):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, lambda: current_job().progress(**arguments))
    job = work.delay("a")
    pipeline.run_until_idle()

    assert job.record().error["type"] == "ValueError"
    assert said in job.record().error["message"]


@pytest.mark.parametrize("value", [0, -0.0, 5, 2.5, 1e-130, -9.9e125, 10**100, 10**38 - 1, True, Decimal("1.5")])
def test_progress_takes_every_number_that_can_be_stored(deploy, value):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, lambda: current_job().progress(value))
    job = work.delay("a")
    pipeline.run_until_idle()

    assert job.record().progress["current"] == value


def test_progress_that_the_table_refuses_is_no_reason_to_fail(deploy):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_run(1, lambda: current_job().progress(1))
    job = work.delay("a")

    pipeline.store.fail("apply", Refused("no permission"), where=lambda write: "state" not in write.set)
    pipeline.poll()

    assert job.result(0) == "a"


@pytest.mark.parametrize("how", ["progress", "cancelled"])
def test_a_table_that_fails_is_left_alone_for_half_a_minute(deploy, how):
    """Each try would keep the job waiting, and only onlookers need it."""
    work = ScriptedTask(soft_timeout="50s", timeout="60s")
    pipeline = deploy(work)
    asked = []

    def work_for_forty_seconds():
        for second in range(40):
            before = len(pipeline.store.calls)
            if how == "progress":
                current_job().progress(second)
            assert not current_job().cancelled
            if len(pipeline.store.calls) > before:
                asked.append(second)
            pipeline.clock.advance(1)

    work.on_run(1, work_for_forty_seconds)
    job = work.delay("a")
    first = {"progress": lambda write: "state" not in write.set, "cancelled": lambda _: True}[how]
    pipeline.store.fail({"progress": "apply", "cancelled": "get"}[how], Unavailable("no answer"), where=first)
    pipeline.poll()

    assert job.result(0) == "a"
    begun = 0 if how == "progress" else 1
    assert asked == [begun, *range(begun + 30, 40)]


def test_what_only_onlookers_need_is_asked_in_brief(deploy, monkeypatch):
    work = ScriptedTask()
    pipeline = deploy(work)
    brief = []

    def noted(method):
        carry_out = getattr(pipeline.store.port, method)

        def request(what, **options):
            brief.append((method, options.get("brief", False)))
            return carry_out(what, **options)

        monkeypatch.setattr(pipeline.store.port, method, request)

    def tell_and_look():
        noted("apply")
        noted("get")
        current_job().progress(1)
        pipeline.clock.advance(1)
        assert not current_job().cancelled

    work.on_run(1, tell_and_look)
    work.delay("a")
    pipeline.poll()

    assert brief[:2] == [("apply", True), ("get", True)]
    assert ("apply", False) in brief[2:]  # the end of the run is worth waiting for


def test_current_job_knows_its_place(deploy):
    seen = {}

    @task(timeout="1m", soft_timeout="50s")
    def look():
        job = current_job()
        seen.update(id=job.id, task=job.task, attempt=job.attempt, tenant=job.tenant, hops=job.hops, left=job.remaining)
        pipeline.clock.advance(20)
        seen["left later"] = job.remaining

    pipeline = deploy(look)
    job = look.options(tenant="acme").delay()
    pipeline.poll()

    assert seen == {
        "id": job.id,
        "task": "look",
        "attempt": 1,
        "tenant": "acme",
        "hops": 0,
        "left": 50.0,
        "left later": 30.0,
    }


def test_current_job_of_a_plain_call_is_a_first_attempt_without_an_id():
    plain = current_job()

    plain.progress(1, 2, stage="said to nobody")

    assert (plain.attempt, plain.cancelled, plain.tenant, plain.hops) == (1, False, None, 0)
    for missing in ("id", "task"):
        with pytest.raises(OffloadError, match="only there while a job runs"):
            getattr(plain, missing)
