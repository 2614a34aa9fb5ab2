"""Many jobs on the deployed stack: from a file, by several requests at once, and again under the same prefix."""

from __future__ import annotations

import json
import time

import pytest

from offload import State

JOBS = 300


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "names.jsonl"
    lines = [{"payload": {"name": f"n{number}"}} for number in range(JOBS)]
    for line in lines[::50]:
        line["payload"]["name"] = "x" * 250_000
    for number, line in enumerate(lines[::7]):
        line["key"] = f"name-{number}"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def test_a_file_of_jobs_is_enqueued_once(stack, source):
    began = time.monotonic()
    command = ["enqueue", "greet", "--from", source, "--line-options", "--id-prefix", "many"]
    first = stack.offload(*command)
    assert first.returncode == 0, first.stderr
    print(f"{JOBS} jobs in {time.monotonic() - began:.1f} s")
    ids = first.stdout.split()
    assert len(set(ids)) == JOBS
    for number, job_id in enumerate(ids):
        job = stack.client.wait(job_id, 60, "greet")
        assert job.state is State.SUCCEEDED
        assert number % 50 == 0 or json.loads(stack.client.result_text(job)) == f"Hello n{number}! "
        assert [entry["state"] for entry in job.history] == ["PENDING", "RUNNING", "SUCCEEDED"]

    again = json.loads(stack.offload(*command, "--json").stdout)
    assert (again["enqueued"], again["failed"]) == (JOBS, 0)
    jobs = stack.client.enqueue_many("greet", [{"name": "n0"}] * JOBS, id_prefix="many")
    assert not any(job.created for job in jobs)
    assert {stack.client.job(job_id).attempt for job_id in ids} == {1}
