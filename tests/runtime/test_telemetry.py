"""Logs and metrics: a job's id in every line of its run, no payload anywhere, counts that add up."""

from __future__ import annotations

import json
import logging

import pytest

from offload import Permanent, Retry, current_job, task

SECRET = "hunter2-in-a-payload"


def lines(world):
    return [json.loads(line) for line in world.log.getvalue().splitlines()]


def metrics(capsys):
    found = {}
    for line in capsys.readouterr().out.splitlines():
        entry = json.loads(line)
        for spec in entry["_aws"]["CloudWatchMetrics"]:
            for metric in spec["Metrics"]:
                found.setdefault(metric["Name"], []).extend(entry[metric["Name"]])
    return found


def test_every_line_of_a_run_has_the_jobs_id_the_tasks_own_too(stage):
    @task(batch_size=10)
    def chatty(secret: str) -> None:
        logging.getLogger("some.library").warning("halfway")
        logging.getLogger(__name__).info("attempt %d", current_job().attempt)

    world = stage(chatty)
    jobs = [chatty.delay(SECRET) for _ in range(2)]
    world.drain()
    assert len(lines(world)) == 6
    for job in jobs:
        own = [line for line in lines(world) if line.get("job_id") == job.id]
        assert [line["message"] for line in own] == ["halfway", "attempt 1", "job ended"]
        assert all(line["service"] == "chatty" and line["message_id"] and line["timestamp"] for line in own)
        assert own[1]["attempt"] == 1


def test_keys_of_one_job_do_not_stick_to_the_next(stage):
    @task(batch_size=10)
    def work() -> None: ...

    world = stage(work)
    work.delay()
    world.send("no json")
    world.drain()
    by_message = {line["message"]: line for line in lines(world)}
    assert "attempt" not in by_message["message rejected"]
    logging.getLogger("between").warning("between invocations")
    assert "job_id" not in lines(world)[-1]


@pytest.mark.parametrize("body", ["valid", "wrong type", "broken", "unknown field", "wrong task", "wrong version"])
def test_no_payload_in_a_log(stage, body):
    @task(retry=Retry(max_attempts=1))
    def work(secret: str = "", number: int = 0) -> str:
        raise Permanent(f"cannot send to {secret}")

    world = stage(work)
    world.send(
        {
            "valid": json.dumps({"payload": {"secret": SECRET}}),
            "wrong type": json.dumps({"payload": {"number": SECRET}}),
            "broken": '{"payload": {"secret": "' + SECRET,
            "unknown field": json.dumps({"payload": {"secret": SECRET, "nope": SECRET}}),
            "wrong version": json.dumps({"version": SECRET, "payload": {}}),
            "wrong task": json.dumps({"task": "another", "payload": {"secret": SECRET}}),
        }[body]
    )
    world.run_until_idle()
    assert world.log.getvalue()
    assert SECRET not in world.log.getvalue()


def test_metrics_count_ends_and_measure_runs(stage, capsys):
    @task(retry=Retry(max_attempts=2, base="10s", jitter=False))
    def work(fail: bool = False) -> None:
        if fail:
            raise ValueError("boom")

    world = stage(work)
    work.delay()
    work.delay(fail=True)
    world.clock.advance(7)
    world.send("no json")
    world.run_until_idle()
    found = metrics(capsys)
    assert sum(found["JobsSucceeded"]) == 1
    assert sum(found["JobsRetried"]) == 1
    assert sum(found["JobsFailed"]) == 2
    assert len(found["JobDuration"]) == 3
    assert found["QueueLatency"] == [7000, 7000]  # first attempts alone


def test_duplicates_and_burials_are_not_counted(stage, capsys):
    @task(retry=Retry(max_attempts=1))
    def work(fail: bool = False) -> None:
        if fail:
            raise ValueError("boom")

    world = stage(work)
    for _ in range(3):
        world.send('{"id": "a", "payload": {}}')
        world.send('{"id": "b", "payload": {"fail": true}}')
    world.run_until_idle()
    found = metrics(capsys)
    assert (sum(found["JobsSucceeded"]), sum(found["JobsFailed"])) == (1, 1)


def test_an_invocation_writes_its_metrics_in_one_line_and_none_when_there_are_none(stage, capsys):
    @task(batch_size=10)
    def work() -> None: ...

    world = stage(work)
    work.delay_many([{}] * 10)
    world.poll()
    assert len(capsys.readouterr().out.splitlines()) == 1
    world.send('{"id": "a", "payload": {}}')
    world.poll()
    capsys.readouterr()
    world.send('{"id": "a", "payload": {}}')
    world.poll()
    assert capsys.readouterr().out == ""


def test_usage_is_measured(stage):
    @task
    def work() -> None:
        sum(range(200_000))

    world = stage(work)
    job = work.delay()
    world.drain()
    usage = job.record().usage
    assert set(usage) == {"duration_ms", "cpu_ms", "memory_mb"}
    assert usage["memory_mb"] > 10
