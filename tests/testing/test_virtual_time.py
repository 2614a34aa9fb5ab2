"""Where the virtual clock begins, and what times that are made of the real clock mean to it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from offload import Client, DefinitionError, State, current_job, enqueue, task
from offload.core.clock import SystemClock
from offload.memory import clock
from offload.testing import Eager, Faults, Pipeline


@task
def work(name: str = "") -> str:
    return name


@task
def later() -> str:
    at = datetime.now(UTC) + timedelta(hours=1)
    return work.options(eta=at).delay("from a task").id


@pytest.fixture(autouse=True)
def _present(monkeypatch):
    """The tests of this library begin at a fixed time; these do not."""
    monkeypatch.setattr(clock, "present", SystemClock().now)


@pytest.mark.parametrize("mode", [Eager, Pipeline])
@pytest.mark.parametrize("faults", [None, Faults.none()])
def test_it_begins_at_the_present(mode, faults):
    before = time.time()
    with mode(work, faults=faults) as deployed:
        assert before <= deployed.clock.now() / 1000 <= time.time() + 1
        assert deployed.clock.now() % 1000 == 0
        job = work.delay()
        deployed.run_until_idle()
        assert abs(job.record().created_at / 1000 - time.time()) < 10
        assert abs(deployed.clock.utc_now() - datetime.now(UTC)) < timedelta(seconds=10)


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_it_begins_where_the_test_says(mode):
    start = datetime(2031, 3, 1, 9, tzinfo=UTC)
    with mode(work, start=start) as deployed:
        assert deployed.clock.utc_now() == start
        job = work.options(eta=start + timedelta(hours=1)).delay()
        deployed.run_until_idle()
        assert deployed.clock.utc_now() == start + timedelta(hours=1)
        assert job.status() is State.SUCCEEDED


def test_a_start_without_a_time_zone_is_refused():
    with pytest.raises(DefinitionError, match=r"start=.* has no time zone: give it a tzinfo"):
        Pipeline(work, start=datetime(2031, 3, 1))  # noqa: DTZ001 - the mistake


def by_delay(at):
    return work.options(eta=at).delay()


def by_name(at):
    return enqueue("work", {}, eta=at)


def by_client(at):
    return Client.from_stack().enqueue("work", {}, eta=at)


def in_bulk(at):
    return work.delay_many([work.options(eta=at).si()])[0]


def in_text(at):
    return work.apply_async(eta=at.isoformat())


@pytest.mark.parametrize("door", [by_delay, by_name, by_client, in_bulk, in_text])
def test_an_eta_beside_the_real_time_waits_as_long_as_it_says_however_long_the_test_takes(door):
    with Pipeline(work) as pipeline:
        time.sleep(1.1)  # the clock begins up to a second ahead
        job = door(datetime.now(UTC) + timedelta(hours=1))
        pipeline.advance("59m")
        assert job.status() is State.SCHEDULED
        pipeline.advance("1m")
        assert job.status() is State.SUCCEEDED


def test_an_eta_of_almost_a_year_is_taken():
    with Pipeline(work) as pipeline:
        job = by_delay(datetime.now(UTC) + timedelta(days=364))
        pipeline.run_until_idle()
        assert job.status() is State.SUCCEEDED


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_a_task_makes_an_eta_of_the_real_time_too(mode):
    with mode(work, later) as deployed:
        began = deployed.clock.utc_now()
        job = later.delay()
        deployed.run_until_idle()
        assert deployed.job(job.result()).state is State.SUCCEEDED
        assert timedelta(minutes=59) < deployed.clock.utc_now() - began < timedelta(minutes=61)


def test_time_does_not_pass_by_itself_without_an_eta():
    with Pipeline(work) as pipeline:
        began = pipeline.clock.now()
        time.sleep(1.1)
        work.delay()
        work.delay_many(["a", "b"])
        pipeline.run_until_idle()
        assert pipeline.clock.now() == began


def test_a_clock_that_begins_elsewhere_never_follows_the_present():
    start = datetime(2020, 1, 1, tzinfo=UTC)
    with Pipeline(work, start=start) as pipeline:
        work.options(eta=start + timedelta(hours=1)).delay()
        assert pipeline.clock.utc_now() == start


def test_a_seed_is_the_same_run_at_another_second():
    @task
    def draws() -> float:
        return current_job().attempt

    def run(begin):
        with Pipeline(draws, faults=Faults(5), start=begin) as pipeline:
            for number in range(6):
                draws.options(delay=number).delay()
            pipeline.run_until_idle()
            return [(entry.at - pipeline.runs[0].at, entry.kind) for entry in pipeline.trace]

    assert run(datetime(2026, 5, 5, 13, 1, 7, tzinfo=UTC)) == run(datetime(2031, 12, 31, 23, 59, 59, tzinfo=UTC))
