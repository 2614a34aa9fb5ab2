"""The library's logs and metrics: each line names its job, none holds a payload, counts add up."""

from __future__ import annotations

import json
import logging

import pytest

from offload import Permanent, RateLimit, Refused, Retry, State, Unavailable, task
from offload.core.messages.waiting import MAX_RECEIVES
from tests.runtime.interference import just_before, outage
from tests.runtime.scripted_task import ScriptedTask, fail

SECRET = "hunter2-in-a-payload"


# Log lines


def test_the_line_of_an_end_says_what_ended_and_what_it_used(deploy, worker_log):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"), batch_size=10)
    pipeline = deploy(work)
    work.on_run(1, fail, of="b")
    jobs = [work.delay(name) for name in "ab"]
    message_ids = [message.message_id for message in pipeline.waiting()]

    pipeline.run_until_idle()

    for job, message_id in zip(jobs, message_ids, strict=True):
        lines = worker_log.of_job(job.id)
        assert all(line["message_id"] == message_id for line in lines)
        assert all(line["service"] == "work" and line["timestamp"] for line in lines)
    (succeeded,), (failed, returned, succeeded_then) = [worker_log.of_job(job.id) for job in jobs]
    for line, attempt in ((succeeded, 1), (succeeded_then, 2)):
        assert (line["level"], line["message"], line["state"]) == ("INFO", "job ended", "SUCCEEDED")
        assert line["attempt"] == attempt
    assert (failed["level"], failed["message"], failed["attempt"]) == ("WARNING", "job attempt failed", 1)
    assert (failed["state"], failed["error_type"]) == ("RETRYING", "ValueError")
    assert all({"duration_ms", "cpu_ms", "memory_mb"} <= set(line) for line in (succeeded, failed, succeeded_then))
    assert (returned["message"], returned["why"]) == ("message returns to its queue", "its next attempt is due then")
    assert 0 <= returned["delay"] <= 1


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        ("poison", "job failed without a run"),
        ("cancelled", "duplicate message of an ended job dropped"),
        ("expired", "job ended without a run"),
        ("not due", "message returns to its queue"),
        ("cancelled, then its worker died", "job ended without a run"),
        ("overtaken", "run overtaken by another worker"),
        ("last receives", "few receives were left: message replaced before the batch"),
    ],
)
def test_what_becomes_of_a_message_without_a_recorded_run_is_logged_with_its_job(deploy, worker_log, happens, message):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1h", jitter=False))
    pipeline = deploy(work)
    job = work.options(expires="1m").delay("a")
    body = pipeline.waiting()[0].body
    match happens:
        case "poison":
            pipeline.queues.purge(pipeline.queue())
            pipeline.send(json.dumps({"id": job.id, "payload": 5}))
        case "cancelled":
            job.cancel()
        case "expired":
            pipeline.clock.advance(61)
        case "not due":
            work.on_run(1, fail)
            pipeline.poll()
            pipeline.send(body)
        case "cancelled, then its worker died":
            work.on_run(1, job.cancel)
            work.on_run(1, pipeline.kill)
        case "overtaken":
            work.on_run(1, lambda: pipeline.store.port.change(job.id, lease="another's"))
        case "last receives":
            while pipeline.waiting()[0].receives < MAX_RECEIVES - 1:
                pipeline.queues.receive(pipeline.queue(), limit=1, visibility=0)

    pipeline.poll()
    pipeline.clock.advance(360)
    pipeline.poll()

    lines = [line for line in worker_log.of_job(job.id) if line.get("why") != "its next attempt is due then"]
    assert [line["message"] for line in lines].count(message) == 1
    assert all(line["message_id"] for line in lines)


def test_a_service_error_is_logged_with_the_job_that_it_delays(deploy, worker_log, service_error):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")
    (message,) = pipeline.waiting()

    with outage(pipeline.store, error=service_error):
        pipeline.poll()

    line = worker_log.line("service error")
    assert (line["level"], line["job_id"], line["message_id"]) == ("ERROR", job.id, message.message_id)
    assert (line["error_type"], line["detail"]) == (type(service_error).__name__, str(service_error))


def test_keys_of_one_job_do_not_stick_to_the_lines_of_another(deploy, worker_log):
    work = ScriptedTask(batch_size=10)
    pipeline = deploy(work)

    work.delay("a")
    poison = pipeline.send("no json")
    pipeline.drain()
    logging.getLogger("offload.test").warning("between invocations")

    line = worker_log.line("job failed without a run")
    assert (line["job_id"], line["message_id"], line["error_type"]) == (poison, poison, "MessageError")
    assert "attempt" not in line
    assert "job_id" not in worker_log.line("between invocations")


@pytest.mark.parametrize("body", ["valid", "wrong type", "broken", "unknown field", "wrong task", "wrong version"])
def test_no_payload_in_a_log(deploy, worker_log, body):
    @task(retry=Retry(max_attempts=1))
    def work(secret: str = "", number: int = 0) -> str:
        raise Permanent(f"cannot send to {secret}")

    pipeline = deploy(work)
    pipeline.send(
        {
            "valid": json.dumps({"payload": {"secret": SECRET}}),
            "wrong type": json.dumps({"payload": {"number": SECRET}}),
            "broken": '{"payload": {"secret": "' + SECRET,
            "unknown field": json.dumps({"payload": {"secret": SECRET, "nope": SECRET}}),
            "wrong version": json.dumps({"version": SECRET, "payload": {}}),
            "wrong task": json.dumps({"task": "another", "payload": {"secret": SECRET}}),
        }[body]
    )
    pipeline.run_until_idle()

    assert worker_log.lines
    assert SECRET not in worker_log.text


def test_the_level_is_that_of_powertools(deploy, worker_log, monkeypatch):
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "WARNING")
    work = ScriptedTask(retry=Retry(max_attempts=1), batch_size=10)
    pipeline = deploy(work)
    work.on_run(1, fail, of="b")

    work.delay("a")
    work.delay("b")
    pipeline.drain()

    assert [line["message"] for line in worker_log.lines] == ["job attempt failed"]


# Metrics


def metrics(capsys):
    """Read the metrics that were written: each one's values, by its name."""
    found = {}
    for line in capsys.readouterr().out.splitlines():
        entry = json.loads(line)
        for spec in entry["_aws"]["CloudWatchMetrics"]:
            for metric in spec["Metrics"]:
                found.setdefault(metric["Name"], []).extend(entry[metric["Name"]])
    return found


def test_metrics_count_ends_and_measure_runs(deploy, capsys):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="10s", jitter=False))
    pipeline = deploy(work)
    work.on_every_run(fail, of="b")

    work.delay("a")
    work.delay("b")
    pipeline.clock.advance(7)
    pipeline.send("no json")
    pipeline.run_until_idle()

    found = metrics(capsys)
    assert sum(found["JobsSucceeded"]) == 1
    assert sum(found["JobsRetried"]) == 1
    assert sum(found["JobsFailed"]) == 2
    assert len(found["JobDuration"]) == 3
    assert found["QueueLatency"] == [7000, 7000], "the latency of first attempts alone"


def test_duplicates_and_dead_letters_are_not_counted_again(deploy, capsys):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(fail, of="b")

    for _ in range(3):
        pipeline.send('{"id": "a", "payload": {"name": "a"}}')
        pipeline.send('{"id": "b", "payload": {"name": "b"}}')
    pipeline.run_until_idle()

    found = metrics(capsys)
    assert (sum(found["JobsSucceeded"]), sum(found["JobsFailed"])) == (1, 1)


def test_a_job_whose_worker_died_on_its_last_attempt_is_counted_as_failed(deploy, capsys):
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    work.on_every_run(pipeline.kill)
    work.delay("a")

    pipeline.run_until_idle()

    found = metrics(capsys)
    assert set(found) == {"JobsFailed"}
    assert sum(found["JobsFailed"]) == 1


def test_a_run_whose_end_is_not_recorded_is_not_counted(deploy, capsys):
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("a")

    overtake = {"state": "SUCCEEDED", "lease": "another's"}
    just_before(
        pipeline.store,
        "apply",
        lambda: pipeline.store.port.change(job.id, **overtake),
        where=lambda write: write.set.get("state") == "SUCCEEDED",
    )
    pipeline.drain()

    assert job.status() is State.SUCCEEDED
    assert metrics(capsys) == {}


def test_an_invocation_writes_its_metrics_in_one_line_and_none_when_there_are_none(deploy, capsys):
    work = ScriptedTask(batch_size=10)
    pipeline = deploy(work)

    work.delay_many([{}] * 10)
    pipeline.poll()
    assert len(capsys.readouterr().out.splitlines()) == 1

    pipeline.send('{"id": "a", "payload": {}}')
    pipeline.poll()
    capsys.readouterr()
    pipeline.send('{"id": "a", "payload": {}}')
    pipeline.poll()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("service", ["store", "store, by refusals", "blobs"])
def test_an_outage_in_which_nothing_succeeds_is_counted_as_often_as_its_alarm_needs(deploy, capsys, service):
    """The alarm rings when three of twelve periods of five minutes have a count; one job alone is enough for that."""
    work = ScriptedTask()
    pipeline = deploy(work)
    job = work.delay("x" * 300_000)
    error = Refused("denied") if "refusals" in service else Unavailable("no answer")

    counted = []
    refusing = outage(pipeline.blobs, "get", error) if service == "blobs" else outage(pipeline.store, error=error)
    with refusing:
        for _ in range(6 * 12):
            capsys.readouterr()
            pipeline.advance("5m")
            counted.append(metrics(capsys).get("ServiceErrors", []))

    assert all(sum(map(bool, counted[end - 12 : end])) >= 3 for end in range(12, len(counted) + 1))
    assert pipeline.dead() == []
    capsys.readouterr()
    pipeline.run_until_idle()
    assert job.status() is State.SUCCEEDED
    assert "ServiceErrors" not in metrics(capsys)


def test_messages_for_which_no_time_is_left_are_counted(deploy, capsys):
    work = ScriptedTask(batch_size=10, timeout="1m", soft_timeout="50s")
    pipeline = deploy(work)
    work.on_every_run(lambda: pipeline.clock.advance(20))

    work.delay_many([{}] * 10)
    pipeline.poll()

    assert len(work.runs) == 1
    assert sum(metrics(capsys)["NoTimeLeft"]) == 9


def test_waits_that_are_meant_are_not_counted(deploy, capsys):
    work = ScriptedTask(rate_limit=RateLimit("1/m"), batch_size=10)
    pipeline = deploy(work)
    work.on_run(1, fail)
    work.delay_many([{}] * 5)

    pipeline.run_until_idle()

    assert not {"ServiceErrors", "NoTimeLeft"} & set(metrics(capsys))


def test_usage_is_measured(deploy):
    work = ScriptedTask()
    pipeline = deploy(work)
    work.on_run(1, lambda: sum(range(200_000)))
    job = work.delay("a")

    pipeline.drain()

    usage = job.record().usage
    assert set(usage) == {"duration_ms", "cpu_ms", "memory_mb"}
    assert usage["memory_mb"] > 10


# Metrics of the task's own


def test_metrics_of_a_task_and_of_the_worker_never_mix(deploy, capsys):
    from aws_lambda_powertools import Metrics

    work = ScriptedTask(batch_size=2)
    pipeline = deploy(work)

    def sell():
        metrics = Metrics(namespace="Shop", service="cart")
        metrics.set_default_dimensions(stage="test")
        metrics.add_dimension("shop", "north")
        metrics.add_metadata("order", "7")
        metrics.add_metric("Sold", "Count", 1)

    work.on_every_run(sell)
    work.delay("a")
    work.delay("b")
    pipeline.poll()
    (own,) = capsys.readouterr().out.splitlines()
    mine = Metrics(namespace="Shop", service="cart")
    try:
        assert list(mine.metric_set) == ["Sold"], "what the task counts is written when the task says so"
        mine.flush_metrics()
    finally:
        mine.clear_default_dimensions()
        mine.clear_metrics()
    (others,) = capsys.readouterr().out.splitlines()

    for line, namespace, dimensions, names in (
        (own, "Offload", ["service"], {"JobsSucceeded", "JobDuration", "QueueLatency"}),
        (others, "Shop", ["stage", "service", "shop"], {"Sold"}),
    ):
        entry = json.loads(line)
        (spec,) = entry["_aws"]["CloudWatchMetrics"]
        assert spec["Namespace"] == namespace
        assert sorted(spec["Dimensions"][0]) == sorted(dimensions)
        assert {metric["Name"] for metric in spec["Metrics"]} == names
    assert "order" not in json.loads(own)


def test_the_workers_of_two_tasks_count_apart(capsys):
    from offload.core.jobs.state import State
    from offload.runtime.telemetry import Telemetry

    first, second = Telemetry("first"), Telemetry("second")
    first.ended_without_run("first", "a", State.FAILED, None)
    second.invocation_ended()
    assert capsys.readouterr().out == ""
    first.invocation_ended()
    assert json.loads(capsys.readouterr().out)["service"] == "first"
