"""What a sender to one task's queue tries to read with the worker's role, by `payload_ref`."""

from __future__ import annotations

import json

import pytest

from offload import Retry, State
from offload.core.ports import LARGEST_BLOB
from offload.core.retention import payload_key
from tests.runtime.scripted_task import ScriptedTask

OWN = payload_key("work", "mine", 0)


@pytest.fixture
def pipeline(deploy):
    pipeline = deploy(ScriptedTask(retry=Retry(max_attempts=1)))
    for key in (OWN, "uploads/private.json", payload_key("work", "theirs", 0), payload_key("other", "mine", 0)):
        pipeline.blobs.put(key, b'{"name": "found"}')
    return pipeline


def send(pipeline, key, *, bucket=None, job_id="mine"):
    ref = {"bucket": bucket or pipeline.blobs.bucket, "key": key}
    pipeline.send(json.dumps({"id": job_id, "payload_ref": ref}))
    pipeline.run_until_idle()
    return pipeline.job(job_id)


@pytest.mark.parametrize("delay", [0, 300 * 86_400])
def test_a_job_reads_its_own_payload(pipeline, delay):
    pipeline.blobs.put(payload_key("work", "mine", delay), b'{"name": "found"}')
    assert send(pipeline, payload_key("work", "mine", delay)).result == '"found"'


@pytest.mark.parametrize(
    "key",
    [
        "uploads/private.json",
        payload_key("work", "theirs", 0),
        payload_key("other", "mine", 0),
        f"results/7d/work/mine/{'0' * 36}.json",
        f"/{OWN}",
        f"payloads/60d/work/../work/{OWN.rpartition('/')[2]}",
        OWN.upper(),
        OWN + "?versionId=1",
        OWN.replace("60d", "7d"),
        "",
    ],
)
def test_any_other_object_is_refused_without_being_looked_at(pipeline, key):
    job = send(pipeline, key)
    assert (job.state, job.attempt) == (State.FAILED, 0)
    assert f"payload_ref must name this job's own object in the stack's bucket, such as {OWN}" in job.error["message"]
    assert pipeline.blobs.called("get") == []
    assert len(pipeline.dead()) == 1


def test_another_bucket_is_refused(pipeline):
    job = send(pipeline, OWN, bucket="somebody-elses")
    assert (job.state, job.attempt) == (State.FAILED, 0)
    assert pipeline.blobs.called("get") == []


def test_a_bare_message_names_no_object(pipeline):
    """Its job's id is the message id of SQS, which its sender cannot know beforehand."""
    ref = {"bucket": pipeline.blobs.bucket, "key": OWN}
    job_id = pipeline.send(json.dumps({"payload_ref": ref}))
    pipeline.run_until_idle()
    assert pipeline.job(job_id).state is State.FAILED


def test_a_payload_that_does_not_fit_the_memory_is_refused(pipeline):
    pipeline.blobs.port.store(OWN, bytes(LARGEST_BLOB + 1), {})
    job = send(pipeline, OWN)
    assert (job.state, job.attempt) == (State.FAILED, 0)
    assert f"at most {LARGEST_BLOB}" in job.error["message"]
