"""A validator of the task's own may raise anything: its job fails at once, with the reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from offload import State, task


def test_a_payload_that_breaks_its_validator_fails_its_job_at_once(deploy):
    @task
    def work(kind: Annotated[str, BeforeValidator(lambda value: value["kind"].upper())]) -> str:
        return kind

    pipeline = deploy(work)
    job = pipeline.client.enqueue("work", {"kind": {"kind": 5}})
    other = pipeline.client.enqueue("work", {"kind": {}})
    pipeline.drain()

    for handle, error in ((job, "AttributeError"), (other, "KeyError")):
        record = handle.record()
        assert record.state is State.FAILED
        assert record.error["message"] == f"work: a validator of the task's own raised {error}"
        assert record.attempt == 0
