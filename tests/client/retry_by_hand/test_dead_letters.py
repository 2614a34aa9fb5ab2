"""Retrying a failed job by hand finds its dead letter, and leaves all others where they are."""

from __future__ import annotations

import pytest

from offload import NoDeadLetter, State, Unavailable, WrongState
from offload.core.manifest import dead_letter_name
from tests.runtime.scripted_task import fail

HOUR = 3_600


def dead_letter_queue(lane="default"):
    return dead_letter_name("test", "work", lane)


@pytest.mark.parametrize("timeout", [0, 5, 30])
def test_a_message_that_is_gone_is_told_in_time(pipeline, failed, timeout):
    pipeline.queues.purge(dead_letter_queue())
    began_at = pipeline.clock.now()

    with pytest.raises(NoDeadLetter, match="its message is not in the dead-letter queue of 'work'") as told:
        failed.retry(timeout)

    assert "purged, has expired after 14 days, is still on its way" in str(told.value)
    assert timeout * 1000 <= pipeline.clock.now() - began_at <= timeout * 1000 + 3_000
    assert failed.status() is State.FAILED


def test_a_message_that_is_still_on_its_way_to_the_dead_letter_queue_is_waited_for(pipeline, work):
    work.on_first_runs(2, fail)
    job = work.delay("a")
    pipeline.drain()
    pipeline.clock.advance(6 * HOUR)
    pipeline.poll()  # the last attempt fails; its message is now received until maxReceiveCount
    assert job.status() is State.FAILED
    assert pipeline.dead() == []
    began_at = pipeline.clock.now()

    pipeline.clock.call_at(began_at + 12_000, pipeline.drain)
    assert job.retry().state is State.PENDING

    assert 12_000 <= pipeline.clock.now() - began_at <= 16_000
    pipeline.run_until_idle()
    assert job.result(0) == "a"


def test_the_jobs_own_lane_is_looked_through_first(pipeline, work):
    work.on_first_runs(2, fail)
    job = work.options(priority="high").delay("a")
    pipeline.run_until_idle()

    pipeline.queues.calls.clear()
    job.retry()

    assert [arguments[0] for arguments in pipeline.queues.called("receive")] == [dead_letter_queue("high")]


def test_the_other_lanes_are_looked_through_after_it(pipeline, work):
    work.on_first_runs(2, fail)
    job = work.options(priority="high").delay("a")
    pipeline.run_until_idle()
    pipeline.store.port.change(job.id, lane="default")  # as of a program that did not say which lane it sent to

    job.retry()

    assert len(pipeline.queues.messages(pipeline.queue(lane="high"))) == 1


def test_the_other_dead_letters_are_put_back(pipeline, work):
    work.on_every_run(fail)
    jobs = [work.delay(str(number)) for number in range(25)]
    pipeline.run_until_idle()

    jobs[20].retry()

    assert len(pipeline.dead()) == 24
    assert all(message.visible_at <= pipeline.clock.now() for message in pipeline.dead())
    pipeline.run_until_idle()
    assert [job.record().redrives for job in jobs] == [0] * 20 + [1] + [0] * 4


def test_the_scan_stops_as_soon_as_the_message_is_found(pipeline, work):
    work.on_every_run(fail)
    jobs = [work.delay(str(number)) for number in range(25)]
    pipeline.run_until_idle()

    pipeline.queues.calls.clear()
    pipeline.store.calls.clear()
    jobs[0].retry()

    assert {name: len(pipeline.queues.called(name)) for name, _ in pipeline.queues.calls} == {
        "receive": 1, "send": 1, "delete": 1, "change_visibility": 9
    }  # fmt: skip
    assert [name for name, _ in pipeline.store.calls] == ["get", "apply"]


def test_a_retry_that_died_hides_the_message_for_a_short_time_only(pipeline, failed):
    for request in ("send", "change_visibility"):
        pipeline.queues.fail(request, Unavailable("down"))
    with pytest.raises(Unavailable):
        failed.retry()

    pipeline.clock.advance(100)
    assert failed.retry().state is State.PENDING
    pipeline.run_until_idle()

    assert failed.result(0) == "a"


def test_a_bare_message_comes_back_as_its_own_job(pipeline, work):
    work.on_first_runs(2, fail)
    job_id = pipeline.send('{"payload": {"name": "a"}}')
    pipeline.run_until_idle()

    assert pipeline.client.retry(job_id).state is State.PENDING
    pipeline.run_until_idle()

    assert [record["id"] for record in pipeline.store.items()] == [job_id]
    assert pipeline.job(job_id).state is State.SUCCEEDED


def test_a_bare_message_that_breaks_the_contract_would_be_another_job(pipeline):
    job_id = pipeline.send("no json")
    pipeline.run_until_idle()

    with pytest.raises(WrongState, match="its message breaks the contract without naming the job"):
        pipeline.client.retry(job_id)

    assert pipeline.job(job_id).state is State.FAILED
    (message,) = pipeline.dead()
    assert message.visible_at <= pipeline.clock.now()


def test_a_message_that_breaks_the_contract_and_names_its_job_fails_again(pipeline):
    pipeline.send('{"id": "broken", "version": 9, "payload": {}}')
    pipeline.run_until_idle()

    pipeline.client.retry("broken")
    pipeline.run_until_idle()

    assert pipeline.job("broken").state is State.FAILED
    assert len(pipeline.dead()) == 1
