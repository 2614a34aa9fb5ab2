"""The task that follows an end is enqueued once, whatever is repeated or lost, and no chain of tasks is endless."""

from __future__ import annotations

import json
from typing import Any

import pytest

from offload import Permanent, Refused, Retry, State, Unavailable, current_job, task
from tests.runtime.interference import just_before, outage

OUTCOMES = pytest.mark.parametrize("fails", [False, True], ids=["succeeds", "fails"])


class Followed:
    """A task `first` and the two that follow its end: `cheer` on success, `alert` on failure.

    Attributes:
        tasks: The three, to deploy.
        told: What the followers were told: their name, how many hops they are away, and the job that ended.
    """

    def __init__(self, *, fails: bool = False) -> None:
        self.told: list[tuple[str, int, dict[str, Any]]] = []

        @task(on_success="cheer", on_failure="alert", retry=Retry(max_attempts=1))
        def first(x: int = 1) -> int:
            if fails:
                raise Permanent("no")
            return x

        @task
        def cheer(job: dict[str, Any]) -> None:
            self.told.append(("cheer", current_job().hops, job))

        @task
        def alert(job: dict[str, Any]) -> None:
            self.told.append(("alert", current_job().hops, job))

        self.first, self.tasks = first, [first, cheer, alert]

    @property
    def followers(self) -> list[str]:
        """The names of the followers that ran, in order."""
        return [name for name, _, _ in self.told]


@OUTCOMES
def test_the_follow_up_gets_the_outcome(deploy, fails):
    followed = Followed(fails=fails)
    pipeline = deploy(*followed.tasks)

    job = followed.first.options(tenant="acme").delay(7)
    pipeline.run_until_idle()

    ((name, hops, outcome),) = followed.told
    assert (name, hops) == (("alert" if fails else "cheer"), 1)
    assert (outcome["id"], outcome["task"], outcome["state"]) == (job.id, "first", "FAILED" if fails else "SUCCEEDED")
    if fails:
        assert outcome["error"] == {"type": "Permanent", "message": "no"}
    else:
        assert outcome["result"] == "7"
    (follow_up,) = [record for record in pipeline.store.items() if record["task"] == name]
    assert (follow_up["tenant"], follow_up["parent"]) == ("acme", job.id)
    assert "follow_up" not in pipeline.record(job.id)


# Once, whatever is repeated or lost


@OUTCOMES
@pytest.mark.parametrize("answer_lost", [False, True])
def test_a_follow_up_that_could_not_be_sent_is_sent_later_and_once(deploy, fails, answer_lost):
    followed = Followed(fails=fails)
    pipeline = deploy(*followed.tasks)
    followed.first.delay()

    pipeline.queues.fail("send", Unavailable("throttled"), after=answer_lost, times=2)
    pipeline.run_until_idle()

    assert len(followed.told) == 1
    assert len(pipeline.dead("first")) == fails


def test_an_outage_does_not_use_up_the_receives_of_a_failed_job(deploy):
    followed = Followed(fails=True)
    pipeline = deploy(*followed.tasks)
    followed.first.delay()
    ends_at = pipeline.clock.now() + 60_000

    pipeline.queues.fail("send", Unavailable("down"), times=1000, where=lambda *_: pipeline.clock.now() < ends_at)
    pipeline.run_until_idle()

    assert followed.followers == ["alert"]
    assert len(pipeline.dead("first")) == 1


def test_a_follow_up_is_sent_after_a_crash_between_it_and_the_end(deploy):
    followed = Followed()
    pipeline = deploy(*followed.tasks)
    followed.first.delay()

    just_before(pipeline.queues, "send", pipeline.kill)
    pipeline.run_until_idle()

    assert followed.followers == ["cheer"]


def test_a_rejected_message_has_a_follow_up_too(deploy):
    followed = Followed()
    pipeline = deploy(*followed.tasks)

    pipeline.send("no json", "first")
    pipeline.run_until_idle()

    assert followed.followers == ["alert"]


def test_a_redriven_job_has_another_follow_up(deploy):
    followed = Followed(fails=True)
    pipeline = deploy(*followed.tasks)
    followed.first.delay()
    pipeline.run_until_idle()

    pipeline.clock.advance(60)
    pipeline.redrive("first")
    pipeline.run_until_idle()

    assert followed.followers == ["alert", "alert"]


# One that can never be sent


@pytest.mark.parametrize("tenant", ["x" * 200, ""])
def test_a_follow_up_that_no_option_allows_does_not_spoil_the_end(deploy, tenant):
    followed = Followed()
    pipeline = deploy(*followed.tasks)

    pipeline.send(json.dumps({"id": "a", "payload": {}, "tenant": tenant}), "first")
    pipeline.run_until_idle()

    assert pipeline.job("a").state is State.SUCCEEDED
    assert pipeline.dead("first") == []
    assert len(followed.told) <= 1


def test_a_follow_up_that_is_not_deployed_does_not_spoil_the_end(deploy):
    followed = Followed()
    pipeline = deploy(*followed.tasks)
    for name in ("cheer", "alert"):  # another deployment has taken them away
        del pipeline.manifest.tasks[name], pipeline.tasks[name]

    job = followed.first.delay()
    pipeline.run_until_idle()

    assert job.status() is State.SUCCEEDED
    assert (pipeline.dead(), pipeline.waiting()) == ([], [])


# Without end


@pytest.mark.parametrize("end", ["on_success", "on_failure"])
def test_tasks_that_follow_each_other_do_not_do_so_for_ever(deploy, end):
    runs = []

    def run(name):
        runs.append(name)
        if end == "on_failure":
            raise Permanent("no")

    @task(**{end: "pong"}, retry=Retry(max_attempts=1))
    def ping(job: dict[str, Any] | None = None) -> None:
        run("ping")

    @task(**{end: "ping"}, retry=Retry(max_attempts=1))
    def pong(job: dict[str, Any] | None = None) -> None:
        run("pong")

    pipeline = deploy(ping, pong)
    ping.delay()
    pipeline.run_until_idle()

    assert len(runs) == 51


def test_a_task_that_enqueues_itself_does_not_do_so_for_ever(deploy):
    hops = []

    @task(retry=Retry(max_attempts=1))
    def again() -> None:
        hops.append(current_job().hops)
        again.delay()

    pipeline = deploy(again)
    again.delay()
    pipeline.run_until_idle()

    assert hops == list(range(51))
    (dead,) = pipeline.dead()
    (record,) = [record for record in pipeline.store.items() if record["state"] == "FAILED"]
    assert "break the loop" in record["error"]["message"]
    assert record["parent"]
    assert record["id"] in dead.body


OUT = pytest.mark.parametrize("error", [Refused("denied"), Unavailable("out")], ids=["refused", "unavailable"])


def keep_out(pipeline, name, error):
    """Refuse every message to one task's queue."""
    return outage(pipeline.queues, "send", error, where=lambda queue, *_: name in queue)


@OUT
@OUTCOMES
def test_a_follow_up_whose_queue_is_out_for_a_day_is_enqueued_after_it(deploy, fails, error):
    followed = Followed(fails=fails)
    pipeline = deploy(*followed.tasks)
    job = followed.first.delay()
    name = "alert" if fails else "cheer"

    with keep_out(pipeline, name, error):
        pipeline.advance("24h")
    assert followed.told == []
    assert pipeline.dead("first") == [], "the message waits for its follow-up"
    pipeline.run_until_idle()

    assert followed.followers == [name]
    assert [letter.job_id for letter in pipeline.dead_letters("first")] == [job.id] * fails
    assert pipeline.waiting() == []


@OUT
@OUTCOMES
def test_a_follow_up_that_is_refused_for_good_is_given_up_after_three_days(deploy, worker_log, fails, error):
    followed = Followed(fails=fails)
    pipeline = deploy(*followed.tasks)
    job = followed.first.delay()

    with keep_out(pipeline, "alert" if fails else "cheer", error):
        pipeline.advance("71h")
        assert len(pipeline.waiting("first")) == 1
        pipeline.advance("2h")
        assert pipeline.waiting() == []
        assert [letter.job_id for letter in pipeline.dead_letters("first")] == [job.id] * fails
        assert len(pipeline.mapping("first").responses) < 1_000
        pipeline.advance("40d")

    assert [run.job_id for run in pipeline.runs] == [job.id], "it did not run again when its record was gone"
    line = worker_log.line("follow-up given up")
    assert (line["level"], line["job_id"], line["detail"]) == ("ERROR", job.id, str(error))
    assert followed.told == []


def test_a_follow_up_of_a_body_that_cannot_be_copied_is_tried_for_half_a_day_and_then_given_up(deploy, worker_log):
    followed = Followed()
    pipeline = deploy(*followed.tasks)
    pipeline.send("no json", "first")

    with keep_out(pipeline, "alert", Unavailable("out")):
        pipeline.advance("10h")
        assert pipeline.dead("first") == []
        pipeline.advance("2h")

    assert [letter.body for letter in pipeline.dead_letters("first")] == ["no json"]
    assert worker_log.line("follow-up given up")["follow_up"] == "alert"


def test_a_rejected_message_whose_follow_up_was_late_keeps_what_it_said(deploy):
    followed = Followed()
    pipeline = deploy(*followed.tasks)
    body = {"payload": {"nope": 1}, "note": "mine"}

    pipeline.queues.fail("send", Unavailable("out"), times=11, where=lambda queue, *_: "alert" in queue)
    job_id = pipeline.send(json.dumps(body), "first")
    pipeline.run_until_idle()

    (dead,) = pipeline.dead("first")
    assert json.loads(dead.body) | body | {"id": job_id} == json.loads(dead.body)
    assert followed.followers == ["alert"]


# Large results


@pytest.mark.parametrize("size", [5, 8_190, 8_300, 150_000, 400_000])
def test_a_follow_up_gets_the_whole_result(deploy, size):
    told = []

    @task(on_success="reader", retry=Retry(max_attempts=1))
    def writer() -> str:
        return "x" * size

    @task
    def reader(job: dict[str, Any]) -> None:
        told.append(json.loads(job["result"]))

    pipeline = deploy(writer, reader)
    writer.delay()
    pipeline.run_until_idle()

    assert told == ["x" * size]


def test_a_follow_up_waits_for_a_bucket_that_does_not_give_the_result(deploy, service_error):
    told = []

    @task(on_success="reader", retry=Retry(max_attempts=1))
    def writer() -> str:
        return "x" * 9_000

    @task
    def reader(job: dict[str, Any]) -> None:
        told.append(len(job["result"]))

    pipeline = deploy(writer, reader)
    writer.delay()
    pipeline.blobs.fail("get", service_error, times=5)
    pipeline.run_until_idle()

    assert told == [9_002]
    assert [run.task for run in pipeline.runs] == ["writer", "reader"]
