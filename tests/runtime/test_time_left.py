"""A job starts only when its invocation has time for it; one that does not fit is returned and not charged."""

from __future__ import annotations

from offload import State, Unavailable
from tests.runtime.interference import outage, to_record
from tests.runtime.scripted_task import ScriptedTask


def test_jobs_that_do_not_fit_are_returned_at_once_and_not_charged(deploy):
    work = ScriptedTask(batch_size=10, timeout="1m", soft_timeout="20s")
    pipeline = deploy(work)
    work.on_every_run(lambda: pipeline.clock.advance(15))
    jobs = [work.delay(str(number)) for number in range(6)]

    pipeline.poll()

    # Three runs of 15 s leave 15 s of the minute, which is less than the soft limit.
    assert [job.record().attempt for job in jobs] == [1, 1, 1, 0, 0, 0]
    assert [message.visible_at for message in pipeline.waiting()] == [pipeline.clock.now()] * 3

    pipeline.run_until_idle()

    assert [job.record().attempt for job in jobs] == [1] * 6
    assert all(job.status() is State.SUCCEEDED for job in jobs)


def test_the_first_job_of_an_invocation_runs_however_tight_its_limits(deploy):
    work = ScriptedTask(timeout="10s", soft_timeout="9.99s")
    pipeline = deploy(work)
    job = work.delay("a")

    pipeline.poll(seconds=9.5)  # a cold start has taken half a second

    assert job.status() is State.SUCCEEDED


def test_time_lost_before_the_first_run_charges_nobody(deploy):
    work = ScriptedTask(batch_size=2, timeout="1m")
    pipeline = deploy(work)
    slow, after_it = work.delay("slow"), work.delay("after it")

    def takes_forty_seconds(write):
        if to_record(slow.id)(write):
            pipeline.clock.advance(40)
            return True
        return False

    with outage(pipeline.store, error=Unavailable("timed out"), where=takes_forty_seconds):
        pipeline.poll()

    # 20 s are left of 60: the second job would be cut short through no fault of its own.
    assert after_it.record().attempt == 0

    pipeline.run_until_idle()

    assert sorted(work.runs) == [("after it", 1), ("slow", 1)]
