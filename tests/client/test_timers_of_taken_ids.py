"""Long delays under ids that were used before: no message is lost to the timer of another one."""

from __future__ import annotations

import pytest

from offload import IdTaken, Retry, State, task
from offload.core.messages.waiting import timer_name
from tests.runtime.interference import right_after

ran: list[str] = []


@task(retry=Retry(max_attempts=1))
def invoice(number: int) -> str:
    ran.append("invoice")
    return f"invoice {number}"


@task(retry=Retry(max_attempts=1))
def parcel(number: int) -> str:
    ran.append("parcel")
    return f"parcel {number}"


class Killed(BaseException):
    """The producer dies."""


@pytest.fixture
def pipeline(deploy):
    ran.clear()
    return deploy(invoice, parcel)


def dies_before_the_record(pipeline, task, delay):
    pipeline.store.fail("apply", Killed())
    with pytest.raises(Killed):
        task.options(id="order-42", delay=delay).delay(1)


@pytest.mark.parametrize("delay", ["3h", "1h", "10m"])
def test_the_timer_of_a_dead_producer_takes_no_other_tasks_timer(pipeline, delay):
    dies_before_the_record(pipeline, invoice, "2h")

    job = parcel.options(id="order-42", delay=delay).delay(2)
    pipeline.run_until_idle()

    assert (job.created, job.result(0)) == (True, "parcel 2")
    (letter,) = pipeline.dead_letters()
    assert (letter.task, letter.reason[:7]) == ("invoice", "IdTaken")


@pytest.mark.parametrize("by_the_worker", [False, True])
def test_of_two_tasks_that_use_one_id_at_once_the_later_has_a_dead_letter(pipeline, by_the_worker):
    options = {"id": "order-42", "delay": "2h", **({"track": "start"} if by_the_worker else {})}
    second = []
    right_after(pipeline.timers, "send_at", lambda: second.append(parcel.options(**options).delay(2)))
    if by_the_worker:
        assert invoice.options(**options).delay(1).created
    else:
        with pytest.raises(IdTaken):
            invoice.options(**options).delay(1)

    pipeline.run_until_idle()

    winner, loser = ("invoice", "parcel") if by_the_worker else ("parcel", "invoice")
    assert ran == [winner]
    (letter,) = pipeline.dead_letters()
    assert (letter.task, letter.reason[:7]) == (loser, "IdTaken")


@pytest.mark.parametrize(("first", "second", "hours"), [("300d", "1h", 1), ("1h", "30d", 720)])
def test_a_job_starts_when_its_record_says_whatever_timer_a_dead_producer_left(pipeline, first, second, hours):
    dies_before_the_record(pipeline, invoice, first)
    began_at = pipeline.clock.now()

    job = invoice.options(id="order-42", delay=second).delay(2)
    pipeline.clock.advance(hours * 3_600 - 60)
    pipeline.drain()
    assert (job.created, job.status(), ran) == (True, State.SCHEDULED, [])
    pipeline.clock.advance(180)
    pipeline.drain()

    assert job.record().started_at - began_at == pytest.approx(hours * 3_600_000, abs=120_000)
    assert ran == ["invoice"]


def test_a_producer_that_tries_again_for_the_same_moment_sets_no_second_timer(pipeline):
    moment = pipeline.clock.now() + 7_200_000
    name = timer_name("invoice", "order-42", moment)
    dies_before_the_record(pipeline, invoice, "2h")

    job = invoice.options(id="order-42", delay="2h").delay(2)  # the virtual clock stands still

    assert pipeline.timers.port.waiting() == {name: moment}
    pipeline.run_until_idle()
    assert job.status() is State.SUCCEEDED


def test_no_job_id_is_the_name_of_another_jobs_timer(pipeline):
    moment = pipeline.clock.now() + 7_200_000
    other = timer_name("invoice", "order-42", moment)

    jobs = [invoice.options(id=job_id, delay="2h").delay(1) for job_id in ("order-42", other)]
    jobs.append(parcel.options(id=f"{other}.", delay="2h").delay(1))
    pipeline.run_until_idle()

    assert [job.status() for job in jobs] == [State.SUCCEEDED] * 3


def test_a_wait_that_meets_the_timer_of_its_own_producer_can_be_cut_short(pipeline):
    """A run may ask for the moment for which a dead producer has set a timer: one timer serves both."""
    moment = pipeline.clock.now() + 7_200_000
    dies_before_the_record(pipeline, invoice, "2h")
    invoice.options(id="order-42").delay(1)
    pipeline.drain()
    pipeline.store.port.change("order-42", state="RETRYING", attempt=0, next_at=moment, timer_until=moment)

    assert pipeline.client.handle("order-42").retry().next_at == pipeline.clock.now()
    pipeline.drain()

    assert pipeline.client.handle("order-42").result(0) == "invoice 1"
    assert pipeline.timers.port.waiting() == {}
