"""The times that keep two workers apart, and leave a run the time to end well.

The order is: soft limit, hard limit, end of the lease, return of the messages that wait for the lease.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest

from offload import Hooks, current_job
from offload.memory.clock import VirtualClock
from offload.runtime import usage
from offload.runtime.invocation import Invocation
from tests.runtime.scripted_task import ScriptedTask

SECOND = 1_000
"""Milliseconds."""


# The lease


@pytest.mark.parametrize("seconds", [60, 30.5])
def test_a_lease_ends_a_second_after_its_invocation(deploy, seconds):
    """Lambda stops a process at the hard limit, and stopping takes a moment."""
    work = ScriptedTask(timeout="1m", soft_timeout="20s")
    pipeline = deploy(work)
    leases = []
    job = work.delay("a")
    work.on_run(1, lambda: leases.append(pipeline.record(job.id)["lease_until"]))
    ends_at = pipeline.clock.now() + round(seconds * 1000)

    pipeline.poll(seconds=seconds)

    assert leases == [ends_at + SECOND]


def test_a_message_that_waits_for_a_lease_comes_back_after_the_end_of_the_lease(deploy):
    """A message that came back at the very end would find the lease alive by another clock, and lose a receive."""
    # Given a job whose worker has died, and a second message of the job
    work = ScriptedTask(timeout="1m", soft_timeout="20s")
    pipeline = deploy(work)
    work.on_run(1, pipeline.kill)
    job = work.delay("a")
    pipeline.poll()
    lease_until = pipeline.record(job.id)["lease_until"]
    pipeline.clock.advance(10)
    second = pipeline.send(pipeline.waiting()[0].body)

    # When the second message is received while the lease is alive
    pipeline.poll()

    # Then it comes back a second after the lease
    (waiting,) = [message for message in pipeline.waiting() if message.message_id == second]
    assert waiting.visible_at == lease_until + SECOND


# The soft limit


@pytest.mark.parametrize(("seconds", "margin"), [(9.5, 0.95), (5, 0.5), (30, 1), (60, 1)])
def test_a_first_job_that_started_late_reaches_its_soft_limit_before_the_hard_one(deploy, seconds, margin):
    """The margin is a tenth of what is left, and at most a second: the time to record the end of the run."""
    work = ScriptedTask(timeout="1m", soft_timeout="59.9s")
    pipeline = deploy(work)
    left = []
    work.on_run(1, lambda: left.append(current_job().remaining))
    work.delay("a")

    pipeline.poll(seconds=seconds)

    assert left == [pytest.approx(seconds - margin, abs=0.002)]


# The first job of an invocation


@pytest.mark.parametrize(("lost_ms", "starts"), [(0, True), (1, True), (950, True), (951, False), (5_000, False)])
def test_a_first_job_after_a_cold_start_starts_although_its_invocation_has_lost_a_moment(lost_ms, starts):
    # Given an invocation that a cold start has left less than the soft limit of ten seconds
    left = [9_500]
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left[-1])
    invocation = Invocation(context, clock=VirtualClock(0), rng=random.Random(7))

    # When time passes before the first job
    left.append(9_500 - lost_ms)

    # Then the job starts, unless more than a tenth was lost
    assert invocation.has_time_for(10) is starts


def test_a_later_job_of_an_invocation_needs_its_whole_soft_limit():
    left = [9_500]
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: left[-1])
    invocation = Invocation(context, clock=VirtualClock(0), rng=random.Random(7))

    invocation.ran = True

    assert not invocation.has_time_for(10)
    assert invocation.has_time_for(9.5)


# The measure of a run


def test_the_usage_of_a_run_leaves_out_what_the_hooks_before_it_took(deploy, register, recorder, monkeypatch):
    # Given a measure that goes by the virtual clock, and a hook that takes three seconds before each run
    work = ScriptedTask()
    pipeline = deploy(work)

    def seconds():
        return pipeline.clock.now() / 1000

    monkeypatch.setattr(usage, "time", SimpleNamespace(perf_counter=seconds, process_time=seconds))

    class Slow(Hooks):
        def before_run(self, job):
            pipeline.clock.advance(3)

    register(Slow())

    # When a job runs for two seconds
    work.on_run(1, lambda: pipeline.clock.advance(2))
    work.delay("a")
    pipeline.poll()

    # Then its usage is two seconds
    ((_, report),) = recorder.of("after_run")
    assert (report.usage["duration_ms"], report.usage["cpu_ms"]) == (2_000, 2_000)
