"""Services that throttle, fail or lose an answer: nothing unwritten is acknowledged, and nobody is charged for it."""

from __future__ import annotations

import itertools
import json

import pytest

from offload import OffloadError, Permanent, Refused, Retry, State, Unavailable, current_job, task
from offload.core.writes import Conflict, holds
from offload.testing.lambdas import Context, record

TROUBLE = [Unavailable("throttled"), Refused("no permission")]


@pytest.fixture(params=TROUBLE, ids=["unavailable", "refused"])
def trouble(request):
    return request.param


def counting(**settings):
    runs = []

    @task(**settings)
    def work(fail: bool = False) -> str:
        runs.append(current_job().attempt)
        if fail:
            raise Permanent("no")
        return "done"

    work.runs = runs
    return work


def of_state(state):
    return lambda write: write.set.get("state") == state


def outage(port, method="apply", error=TROUBLE[0], *, where=lambda *_: True, after=False):
    """Fail requests until the list that is returned is cleared."""
    lasting = [True]
    port.fail(method, error, times=10**9, after=after, where=lambda *given: bool(lasting) and where(*given))
    return lasting


# The claim


def test_trouble_at_the_claim_charges_nothing(stage, trouble):
    work = counting(retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay()
    lasting = outage(world.store, error=trouble)
    for _ in range(3):
        world.poll()
        assert len(world.waiting()) == 1
        assert (work.runs, job.record().attempt) == ([], 0)
        world.clock.advance(900)
    lasting.clear()
    world.run_until_idle()
    assert work.runs == [1]
    assert job.result(0) == "done"


@pytest.mark.parametrize("before", ["nothing", "a dead worker", "a redrive"])
def test_a_claim_whose_answer_was_lost_is_known_again_after_the_batch(stage, before):
    runs = []

    @task(retry=Retry(max_attempts=1 + (before == "a dead worker")), timeout="1m", soft_timeout="10s")
    def work(name: str):
        runs.append(name)
        if name == "b" and runs.count("b") == 1:
            if before == "a dead worker":
                world.kill()
            if before == "a redrive":
                raise ValueError("boom")

    world = stage(work)
    if before == "nothing":
        runs.append("b")
    jobs = [work.delay("b")]
    if before == "a dead worker":
        world.poll()
        world.clock.advance(360)
    if before == "a redrive":
        world.run_until_idle()
        world.clock.advance(60)
        world.redrive()
    jobs += [work.delay("a"), work.delay("c")]
    claims = []

    def takes_effect(write):
        if write.id != jobs[0].id or write.set.get("state") != "RUNNING":
            return False
        claims.append(write)
        return holds(write.when, world.item(write.id))

    world.store.fail("apply", Unavailable("answer lost"), times=9, after=True, where=takes_effect)
    world.poll()
    assert runs == ["b", "a", "c", "b"]
    assert [job.status() for job in jobs] == [State.SUCCEEDED] * 3
    assert [job.record().attempt for job in jobs] == [1 + (before == "a dead worker"), 1, 1]
    assert len(claims) >= 2
    assert len({write.set["lease"] for write in claims}) == 1
    assert world.waiting() == world.dead() == []


@pytest.mark.parametrize("suspect", [False, True])
def test_a_job_that_killed_a_worker_runs_after_the_claims_without_answer(stage, suspect):
    """Whether its own claim was answered or not."""
    runs = []

    @task(batch_size=10, retry=Retry(max_attempts=2), timeout="1m", soft_timeout="10s")
    def work(name: str):
        runs.append(name)
        if name == "killer":
            world.kill()

    world = stage(work)
    killer = work.delay("killer")
    world.poll()
    world.clock.advance(360)
    innocent = [work.delay(name) for name in "ab"]
    lost = [job.id for job in innocent] + ([killer.id] if suspect else [])
    for job_id in lost:
        world.store.fail("apply", Unavailable("no answer"), where=lambda write, job_id=job_id: write.id == job_id)
    world.poll()
    assert runs == ["killer", "a", "b", "killer"]
    assert [(job.status(), job.record().attempt) for job in innocent] == [(State.SUCCEEDED, 1)] * 2


def test_a_claim_without_answer_is_given_back_when_no_time_is_left_to_run(stage):
    runs = []

    @task(retry=Retry(max_attempts=1), timeout="1m", soft_timeout="30s")
    def work(name: str):
        runs.append(name)
        if name == "slow":
            world.clock.advance(45)

    world = stage(work)
    first, _slow = work.delay("first"), work.delay("slow")
    world.store.fail("apply", Unavailable("answer lost"), after=True, where=lambda write: write.id == first.id)
    world.poll()
    assert runs == ["slow"]
    assert first.record().attempt == 0
    assert [message.visible_at for message in world.waiting()] == [world.clock.now()]
    world.run_until_idle()
    assert runs == ["slow", "first"]
    record = first.record()
    assert (record.state, record.attempt) == (State.SUCCEEDED, 1)
    assert [entry.get("note") for entry in record.history if entry["state"] == "RUNNING"] == [
        None, "its last start was given back"
    ]  # fmt: skip


def test_a_claim_without_answer_is_given_back_when_trying_again_did_not_help(stage):
    work = counting(retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay()
    is_claim = of_state("RUNNING")
    world.store.fail("apply", Unavailable("answer lost"), after=True, where=is_claim)
    lasting = outage(world.store, where=is_claim)
    world.poll()
    assert (work.runs, job.record().attempt) == ([], 0)
    lasting.clear()
    world.run_until_idle()
    assert work.runs == [1]
    assert job.status() is State.SUCCEEDED


def test_a_claim_is_tried_again_only_while_its_job_could_still_run(stage):
    work = counting(retry=Retry(max_attempts=1), timeout="1m", soft_timeout="30s")
    world = stage(work)
    job = work.delay()
    begin = world.clock.now()
    tries = []
    outage(world.store, where=lambda _: not tries.append((world.clock.now() - begin) / 1000))
    world.poll()
    assert len(tries) > 8
    assert 24 < tries[-1] <= 30
    assert (work.runs, job.record().attempt) == ([], 0)
    assert len(world.waiting()) == 1


def test_a_claim_nobody_can_tell_of_is_charged(stage):
    """The one case in which an attempt is charged that never ran: nothing got through, to claim or to give back."""
    work = counting(retry=Retry(max_attempts=2))
    world = stage(work)
    job = work.delay()
    world.store.fail("apply", Unavailable("answer lost"), after=True)
    lasting = outage(world.store)
    world.poll()
    assert (work.runs, job.record().attempt) == ([], 1)
    lasting.clear()
    world.run_until_idle()
    assert work.runs == [2]
    assert job.status() is State.SUCCEEDED


# The end


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "RETRYING"])
def test_an_end_is_written_when_the_table_answers_again(stage, state, lost):
    runs = []

    @task(batch_size=3, retry=Retry(max_attempts=2, base="1s"), timeout="1m", soft_timeout="5s")
    def work(name: str):
        runs.append(name)
        if name == "b" and (state == "FAILED" or (state == "RETRYING" and runs.count("b") == 1)):
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    jobs = [work.delay(name) for name in "abc"]
    tries = []

    def of_b(write):
        return write.id == jobs[1].id and write.set.get("state") == state and not tries.append(write)

    world.store.fail("apply", Unavailable("no answer"), times=6, after=lost, where=of_b)
    begin = world.clock.now()
    world.poll()
    assert jobs[1].status() is State(state)
    assert jobs[1].record().attempt == 1
    assert [jobs[n].record().attempt for n in (0, 2)] == [1, 1]
    assert [jobs[n].status() for n in (0, 2)] == [State.SUCCEEDED] * 2
    assert all(write is tries[0] for write in tries)
    assert len(tries) == (2 if lost else 6)
    assert world.clock.now() < begin + 20_000
    world.run_until_idle()
    assert runs.count("b") == jobs[1].record().attempt == (2 if state == "RETRYING" else 1)
    assert len(world.dead()) == (state == "FAILED")


def test_an_end_is_insisted_on_until_shortly_before_the_invocation_ends(stage):
    work = counting(batch_size=3, retry=Retry(max_attempts=2), timeout="1m", soft_timeout="20s")
    world = stage(work)
    jobs = [work.delay() for _ in range(3)]
    begin = world.clock.now()
    tries = []
    lasting = outage(
        world.store, where=lambda write: of_state("SUCCEEDED")(write) and not tries.append(world.clock.now())
    )
    world.poll()
    assert 53_000 < tries[-1] - begin <= 58_000
    assert world.clock.now() - begin <= 58_000
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert 1_500 < max(pauses) <= 5_000
    assert sorted(pauses) != pauses  # they are drawn
    # The others do not fit any more: back they go, uncharged, and at once.
    assert [job.record().attempt for job in jobs] == [1, 0, 0]
    assert [message.visible_at - world.clock.now() for message in world.waiting()][1:] == [0, 0]
    assert len(work.runs) == 1
    lasting.clear()
    world.run_until_idle()
    assert [job.record().attempt for job in jobs] == [2, 1, 1]
    assert [job.status() for job in jobs] == [State.SUCCEEDED] * 3


def test_a_cancel_that_comes_while_a_failed_attempt_cannot_be_written_is_heeded(stage):
    @task(retry=Retry(max_attempts=3))
    def work():
        raise ValueError("boom")

    world = stage(work)
    job = work.delay()

    def cancel(write):
        return write.set.get("state") == "RETRYING" and bool(job.cancel())

    world.store.fail("apply", Unavailable("throttled"), where=cancel)
    world.poll()
    assert job.status() is State.CANCELLED
    assert world.waiting() == world.dead() == []


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "RETRYING"])
def test_an_end_that_was_not_written_is_not_acknowledged(stage, trouble, state):
    runs = []

    @task(retry=Retry(max_attempts=3, base="1s"))
    def work():
        runs.append(1)
        if len(runs) == 1 and state != "SUCCEEDED":
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    lasting = outage(world.store, error=trouble, where=of_state(state))
    world.poll()
    lasting.clear()
    assert job.status() is State.RUNNING
    assert len(world.waiting()) == 1
    world.run_until_idle()
    # The run's outcome was unknown, so it ran again, and that start was charged as every start is.
    assert len(runs) == job.record().attempt == 2
    assert job.status() is State.SUCCEEDED


def test_an_end_of_the_last_attempt_that_was_not_written_fails_the_job(stage):
    """Nothing can tell this from a worker that died; the effect may have happened, so it is not run once more."""
    work = counting(retry=Retry(max_attempts=1))
    world = stage(work)
    job = work.delay()
    outage(world.store, where=of_state("SUCCEEDED"))
    world.run_until_idle()
    record = job.record()
    assert (work.runs, record.state, record.error["type"]) == ([1], State.FAILED, "WorkerLost")
    assert "could not record" in record.error["message"]
    assert len(world.dead()) == 1


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "RETRYING"])
def test_an_end_whose_answer_was_lost_stands(stage, state):
    runs = []

    @task(retry=Retry(max_attempts=2, base="1s"))
    def work():
        runs.append(1)
        if state == "FAILED" or (state == "RETRYING" and len(runs) == 1):
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    world.store.fail("apply", Unavailable("answer lost"), where=of_state(state), after=True)
    world.poll()
    assert job.status() is State(state)
    now = [message.visible_at <= world.clock.now() + 1_000 for message in world.waiting()]
    assert now == ([] if state == "SUCCEEDED" else [True]), "it goes on at once: no lease is waited for"
    world.run_until_idle()
    assert len(runs) == (2 if state == "RETRYING" else 1)
    assert job.record().attempt == len(runs)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)
    assert len(world.dead()) == (state == "FAILED")


@pytest.mark.parametrize("state", ["RUNNING", "SUCCEEDED", "RETRYING", "FAILED"])
def test_a_write_that_meets_its_own_effect_counts_as_done(stage, state):
    """The transport sends a request again whose answer was lost; the second one conflicts with the first."""
    runs = []

    @task(retry=Retry(max_attempts=2, base="1s"))
    def work():
        runs.append(1)
        if state == "FAILED" or (state == "RETRYING" and len(runs) == 1):
            raise Permanent("no") if state == "FAILED" else ValueError("again")

    world = stage(work)
    job = work.delay()
    original, repeated = world.store.port.apply, []

    def twice(write):
        after = original(write)
        if write.set.get("state") == state and not repeated:
            repeated.append(1)
            raise Conflict(after)
        return after

    world.store.port.apply = twice
    world.run_until_idle()
    assert repeated
    assert len(runs) == job.record().attempt == (2 if state == "RETRYING" else 1)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)


# The bucket


def large_results(**settings):
    runs = []

    @task(timeout="1m", soft_timeout="30s", **settings)
    def large() -> str:
        runs.append(current_job().attempt)
        return "x" * 10_000

    large.runs = runs
    return large


def test_a_bucket_that_answers_again_costs_no_attempt(stage):
    large = large_results(retry=Retry(max_attempts=1))
    world = stage(large)
    job = large.delay()
    world.blobs.fail("put", Unavailable("slow down"), times=6)
    world.poll()
    assert large.runs == [1]
    assert job.result(0) == "x" * 10_000


def test_a_bucket_that_refuses_a_result_fails_the_attempt_with_the_reason(stage, trouble):
    large = large_results(retry=Retry(max_attempts=3, base="10s", jitter=False))
    world = stage(large)
    job = large.delay()
    outage(world.blobs, "put", trouble)
    world.run_until_idle()
    record = job.record()
    assert large.runs == [1, 2, 3]
    assert (record.state, record.error["type"], record.error["attempt"]) == (State.FAILED, type(trouble).__name__, 3)
    assert record.error["message"] == f"the result of 10002 bytes could not be stored: {trouble}"
    assert world.states(job.id).count("RETRYING/1") == 1
    assert len(world.dead()) == 1


def test_a_refused_result_follows_the_retry_policy(stage):
    large = large_results(retry=Retry(max_attempts=3, never=(Refused,)))
    world = stage(large)
    job = large.delay()
    world.blobs.fail("put", Refused("AccessDenied"))
    world.poll()
    assert (large.runs, job.status()) == ([1], State.FAILED)


def test_a_bucket_in_an_outage_leaves_time_to_record_it(stage):
    large = large_results(retry=Retry(max_attempts=1))
    world = stage(large)
    job = large.delay()
    begin = world.clock.now()
    outage(world.blobs, "put")
    world.poll()
    assert 53_000 < world.clock.now() - begin <= 58_000
    assert (job.status(), job.record().error["type"]) == (State.FAILED, "Unavailable")


@pytest.mark.parametrize("how", ["unavailable", "gone"])
def test_a_payload_that_cannot_be_read_now_is_told_from_one_that_is_gone(stage, how):
    runs = []

    @task
    def size(text: str) -> int:
        runs.append(1)
        return len(text)

    world = stage(size)
    job = size.delay("x" * 300_000)
    world.blobs.fail("get", Unavailable("slow down") if how == "unavailable" else Refused("NoSuchKey"))
    world.run_until_idle()
    assert job.status() is (State.SUCCEEDED if how == "unavailable" else State.FAILED)
    assert len(runs) == (how == "unavailable")


def test_backoff_of_our_own_trouble_grows_and_is_bounded(stage):
    work = counting(retry=Retry(max_attempts=10))
    world = stage(work)
    work.delay()
    waits = []
    for _ in range(12):
        lasting = outage(world.store)
        world.poll()
        lasting.clear()
        (message,) = world.waiting()
        waits.append((message.visible_at - world.clock.now()) / 1000)
        world.clock.advance_to(message.visible_at)
    assert all(min(900, 2**n) / 2 <= wait <= min(900, 2**n) + 1 for n, wait in enumerate(waits, 1))


def test_a_message_whose_visibility_cannot_be_changed_comes_back_by_itself(stage, trouble):
    work = counting(retry=Retry(max_attempts=2))
    world = stage(work)
    job = work.delay(fail=True)
    world.queues.fail("change_visibility", trouble, times=50)
    begin = world.clock.now()
    world.poll()
    assert [message.visible_at for message in world.waiting()] == [begin + 360_000]
    world.run_until_idle()
    assert work.runs == [1]
    assert job.status() is State.FAILED
    assert len(world.dead()) == 1


def test_a_rejection_that_could_not_be_written_is_tried_again(stage):
    work = counting()
    world = stage(work)
    job_id = world.send("no json")
    world.store.fail("apply", Unavailable("throttled"), times=2)
    world.run_until_idle()
    assert world.job(job_id).error["type"] == "MessageError"
    assert [message.body for message in world.dead()] == ["no json"]


def test_a_poison_body_in_an_endless_outage_ends_in_the_dead_letter_queue_unchanged(stage):
    work = counting()
    world = stage(work)
    world.send("no json")
    world.store.fail("apply", Unavailable("throttled"), times=1000)
    world.run_until_idle()
    assert [message.body for message in world.dead()] == ["no json"]


def test_one_job_in_trouble_does_not_hold_up_its_batch(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(3)]
    outage(world.store, where=lambda write: write.id == jobs[0].id)
    world.poll()
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED, State.SUCCEEDED]
    assert [failure["itemIdentifier"] for failure in world.mapping().responses[0]["batchItemFailures"]] == [
        message.message_id for message in world.waiting()
    ]


def test_a_fault_of_our_own_fails_its_message_only(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(2)]
    world.store.fail("apply", ZeroDivisionError("a defect"), where=lambda write: write.id == jobs[0].id)
    world.poll()
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    world.run_until_idle()
    assert jobs[0].status() is State.SUCCEEDED


def test_a_record_without_the_attributes_of_a_receive_fails_alone(stage):
    work = counting(batch_size=10)
    world = stage(work)
    jobs = [work.delay() for _ in range(2)]
    batch = world.queues.receive(world.queue(), limit=10, visibility=360)
    records = [record(world.queue(), message) for message in batch]
    del records[0]["attributes"]["SentTimestamp"]
    response = world.worker()({"Records": records}, Context("f", world.clock, world.clock.now() + 60_000))
    assert response == {"batchItemFailures": [{"itemIdentifier": batch[0].message_id}]}
    assert [job.status() for job in jobs] == [State.PENDING, State.SUCCEEDED]
    assert "the worker failed on a message" in world.log.getvalue()


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"detail": {}}])
def test_an_event_that_is_no_batch_is_an_error(stage, event):
    world = stage(counting())
    with pytest.raises(Exception, match="Unexpected batch event type"):
        world.worker()(event, Context("f", world.clock, world.clock.now() + 60_000))


# Progress


def test_progress_is_written_once_a_second_and_its_last_word_with_the_end(stage):
    @task
    def steps():
        for n in range(30):
            current_job().progress(n, 30, stage=f"step {n}")
            world.clock.advance(0.1)

    world = stage(steps)
    job = steps.delay()
    world.store.calls.clear()
    world.poll()
    writes = [write for (write,) in world.store.called("apply") if "progress" in write.set and "state" not in write.set]
    assert [write.set["progress"]["current"] for write in writes] == [0, 10, 20]
    assert job.record().progress == {"current": 29, "total": 30, "stage": "step 29", "at": world.clock.now() - 100}


def test_progress_is_no_reason_to_fail(stage):
    @task(retry=Retry(max_attempts=1))
    def steps() -> str:
        current_job().progress(1)
        return "done"

    world = stage(steps)
    job = steps.delay()
    world.store.fail("apply", Unavailable("throttled"), where=lambda write: "state" not in write.set)
    world.poll()
    assert job.result(0) == "done"
    assert job.record().progress["current"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**40, "many"])
def test_progress_that_cannot_be_stored_fails_where_it_is_said(stage, value):
    @task(retry=Retry(max_attempts=1))
    def steps():
        current_job().progress(1)
        current_job().progress(value)  # within the pace: only remembered

    world = stage(steps)
    job = steps.delay()
    world.run_until_idle()
    assert job.record().error["type"] == "ValueError"
    assert "in steps" in job.record().error["traceback"]


def test_a_cancel_is_looked_for_once_a_second(stage):
    @task
    def steps():
        for _ in range(40):
            assert not current_job().cancelled
            world.clock.advance(0.1)

    world = stage(steps)
    job = steps.delay()
    world.store.calls.clear()
    world.poll()
    assert job.status() is State.SUCCEEDED
    assert len(world.store.called("get")) - 1 == 3  # one is the line above


def test_current_job_knows_its_place(stage):
    seen = {}

    @task(timeout="1m", soft_timeout="50s")
    def look():
        job = current_job()
        seen.update(id=job.id, task=job.task, attempt=job.attempt, tenant=job.tenant, hops=job.hops, left=job.remaining)
        world.clock.advance(20)
        seen["later"] = job.remaining

    world = stage(look)
    job = look.options(tenant="acme").delay()
    world.poll()
    assert seen == {
        "id": job.id,
        "task": "look",
        "attempt": 1,
        "tenant": "acme",
        "hops": 0,
        "left": 50.0,
        "later": 30.0,
    }
    plain = current_job()
    plain.progress(1, 2, stage="said to nobody")
    assert (plain.attempt, plain.cancelled, plain.tenant, plain.hops) == (1, False, None, 0)
    for missing in ("id", "task"):
        with pytest.raises(OffloadError, match="only there while a job runs"):
            getattr(plain, missing)


# The price of a job


def writes(world):
    return [write for (write,) in world.store.called("apply")]


@pytest.mark.parametrize(("tracked", "expected"), [(False, 2), (True, 3)])
def test_a_job_that_simply_succeeds_costs_no_more_writes(stage, tracked, expected):
    work = counting()
    world = stage(work)
    if tracked:
        work.delay()
    else:
        world.send('{"payload": {}}')
    world.drain()
    assert len(writes(world)) == expected
    assert world.store.called("get") == world.store.called("find") == []
    assert not any("idx" in {*write.set, *write.default} for write in writes(world))
    (item,) = world.store.items()
    assert "idx" not in item
    assert len(json.dumps(item)) < 1024  # a write unit


def test_a_duplicate_costs_one_write(stage):
    work = counting()
    world = stage(work)
    world.send('{"id": "a", "payload": {}}')
    world.send('{"id": "a", "payload": {}}')
    world.drain()
    assert len(writes(world)) == 3


def test_the_client_costs_one_send_and_one_write(stage):
    work = counting()
    world = stage(work)
    work.delay_many([{}] * 25)
    assert len(world.queues.called("send_batch")) == 1
    assert len(writes(world)) == 25
