"""A record may be written by others than the library: it does not choose what its readers read, wake or move."""

from __future__ import annotations

import pickle

import pytest

from offload import IdTaken, JobFailed, KeyReused, Refused, Retry
from offload.core.messages.waiting import timer_name
from offload.core.retention import result_folder
from tests.runtime.scripted_task import ScriptedTask, run_again_in


@pytest.fixture
def work():
    return ScriptedTask(retry=Retry(max_attempts=2, base="30s", jitter=False))


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work)


@pytest.fixture
def done(pipeline, work):
    job = work.delay("a")
    pipeline.run_until_idle()
    return job


def name_result(pipeline, job, bucket, key):
    pipeline.blobs.port.put(key, b'"secret"')
    item = pipeline.record(job.id)
    pipeline.store.port.change(job.id, result_ref={"bucket": bucket, "key": key})
    assert item is not None
    pipeline.blobs.calls.clear()


PLACES = {
    "another job": "{folder}another/lease.json",
    "another task": "{other}{job}/lease.json",
    "an upload": "uploads/letter.json",
    "its payload": "payloads/60d/work/{job}.json",
    "above its folder": "{folder}{job}/../../secret.json",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=list(PLACES))
def test_a_result_elsewhere_is_not_read(pipeline, done, place):
    folders = {"folder": result_folder("work", 7 * 86_400), "other": result_folder("other", 7 * 86_400)}
    name_result(pipeline, done, "memory", place.format(job=done.id, **folders))

    for read in (lambda: done.result(0), lambda: pipeline.client.result_text(done.record())):
        with pytest.raises(Refused, match="names a result that is not the job's own; it is not read"):
            read()
    assert not pipeline.blobs.calls


def test_a_result_in_another_bucket_is_not_read(pipeline, done):
    name_result(pipeline, done, "somebody-elses", f"{result_folder('work', 86_400)}{done.id}/lease.json")
    with pytest.raises(Refused, match="not the job's own"):
        done.result(0)
    assert not pipeline.blobs.calls


def test_a_result_in_its_own_place_is_read(pipeline, done):
    name_result(pipeline, done, "memory", f"{result_folder('work', 86_400)}{done.id}/lease.json")
    assert done.result(0) == "secret"


@pytest.mark.parametrize("queue", ["test-other", "somebody-elses", "test-work-dlq"])
def test_a_timer_of_another_queue_is_left_alone(pipeline, work, queue):
    work.on_run(1, run_again_in("1h"))
    job = work.delay("a")
    pipeline.drain()
    until = pipeline.record(job.id)["timer_until"]
    name = timer_name("work", job.id, until)
    pipeline.timers.delete(name)
    pipeline.timers.send_at(name, queue, '{"payload": {}, "copied_at": [1]}', until)
    pipeline.queues.calls.clear()

    job.retry()

    assert pipeline.queues.called("send") == []
    assert len(pipeline.timers.port.waiting()) == 1


@pytest.mark.parametrize("error", [IdTaken("a", "work"), KeyReused("work", "k", "a"), JobFailed("a", {"type": "E"})])
def test_errors_reach_another_process_whole(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
