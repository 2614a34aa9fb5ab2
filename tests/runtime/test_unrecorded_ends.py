"""The end of a run is recorded before its message is acknowledged, and repeated while the table does not answer."""

from __future__ import annotations

import itertools

import pytest

from offload import Refused, Retry, State
from offload.core.writes import Conflict
from tests.runtime.interference import NO_ANSWER, outage, to_record, to_state
from tests.runtime.scripted_task import ScriptedTask, fail, fail_for_good

ENDS = ["SUCCEEDED", "FAILED", "RETRYING"]


def end_first_run_in(work, state, *, of=None):
    """Let a job's first run end in a state; for RETRYING, the next one succeeds."""
    if state != "SUCCEEDED":
        work.on_run(1, {"FAILED": fail_for_good, "RETRYING": fail}[state], of=of)


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("state", ENDS)
def test_an_end_is_recorded_as_soon_as_the_table_answers_again(deploy, state, lost):
    work = ScriptedTask(batch_size=3, retry=Retry(max_attempts=2, base="1s"), timeout="1m", soft_timeout="5s")
    pipeline = deploy(work)
    end_first_run_in(work, state, of="b")
    first, unanswered, last = [work.delay(name) for name in "abc"]
    tries = []

    def is_end(write):
        if not (to_record(unanswered.id)(write) and to_state(state)(write)):
            return False
        tries.append(write)
        return True

    began_at = pipeline.clock.now()
    pipeline.store.fail("apply", NO_ANSWER, times=6, after=lost, where=is_end)
    pipeline.poll()

    assert unanswered.status() is State(state)
    assert unanswered.record().attempt == 1
    assert [job.record().attempt for job in (first, last)] == [1, 1]
    assert [job.status() for job in (first, last)] == [State.SUCCEEDED] * 2
    assert all(write is tries[0] for write in tries)
    assert len(tries) == (2 if lost else 6)
    assert pipeline.clock.now() < began_at + 20_000

    pipeline.run_until_idle()

    runs = 2 if state == "RETRYING" else 1
    assert work.names.count("b") == unanswered.record().attempt == runs
    assert len(pipeline.dead()) == (state == "FAILED")


def test_recording_an_end_is_repeated_until_shortly_before_the_invocation_ends(deploy):
    work = ScriptedTask(batch_size=3, retry=Retry(max_attempts=2), timeout="1m", soft_timeout="20s")
    pipeline = deploy(work)
    jobs = [work.delay(name) for name in "abc"]
    began_at = pipeline.clock.now()
    tried_at = []

    def is_end(write):
        if not to_state("SUCCEEDED")(write):
            return False
        tried_at.append(pipeline.clock.now())
        return True

    with outage(pipeline.store, where=is_end):
        pipeline.poll()

    assert 53_000 < tried_at[-1] - began_at <= 58_000
    assert pipeline.clock.now() - began_at <= 58_000
    pauses = [after - before for before, after in itertools.pairwise(tried_at)]
    assert 1_500 < max(pauses) <= 5_000
    assert sorted(pauses) != pauses, "pauses are drawn at random"
    # The other jobs do not fit any more: they are returned at once, and not charged.
    assert [job.record().attempt for job in jobs] == [1, 0, 0]
    assert [message.visible_at - pipeline.clock.now() for message in pipeline.waiting()][1:] == [0, 0]
    assert len(work.runs) == 1

    pipeline.run_until_idle()

    assert [job.record().attempt for job in jobs] == [2, 1, 1]
    assert [job.status() for job in jobs] == [State.SUCCEEDED] * 3


@pytest.mark.parametrize("state", ENDS)
def test_an_end_that_was_not_recorded_is_not_acknowledged(deploy, service_error, state):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="1s"))
    pipeline = deploy(work)
    end_first_run_in(work, state)
    job = work.delay("a")

    with outage(pipeline.store, error=service_error, where=to_state(state)):
        pipeline.poll()
    assert job.status() is State.RUNNING
    assert len(pipeline.waiting()) == 1
    pipeline.run_until_idle()

    # Nobody knew how the first run came out, so the job ran again, and its second start was charged like any other.
    assert work.attempts == [1, 2]
    assert job.record().attempt == 2
    assert job.status() is State.SUCCEEDED


def test_an_end_of_the_last_attempt_that_was_not_recorded_fails_the_job(deploy):
    """Nothing tells this from a worker that died. The effect may have happened, so the job does not run once more."""
    work = ScriptedTask(retry=Retry(max_attempts=1))
    pipeline = deploy(work)
    job = work.delay("a")

    with outage(pipeline.store, where=to_state("SUCCEEDED")):
        pipeline.run_until_idle()

    record = job.record()
    assert (work.attempts, record.state, record.error["type"]) == ([1], State.FAILED, "WorkerLost")
    assert "could not record" in record.error["message"]
    assert len(pipeline.dead()) == 1


@pytest.mark.parametrize("state", ENDS)
def test_an_end_whose_answer_was_lost_stands(deploy, state):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"))
    pipeline = deploy(work)
    end_first_run_in(work, state)
    job = work.delay("a")

    pipeline.store.fail("apply", NO_ANSWER, where=to_state(state), after=True)
    pipeline.poll()

    assert job.status() is State(state)
    within_a_second = [message.visible_at <= pipeline.clock.now() + 1_000 for message in pipeline.waiting()]
    assert within_a_second == ([] if state == "SUCCEEDED" else [True]), "no lease is waited for"

    pipeline.run_until_idle()

    assert work.attempts == ([1, 2] if state == "RETRYING" else [1])
    assert job.record().attempt == len(work.runs)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)
    assert len(pipeline.dead()) == (state == "FAILED")


@pytest.mark.parametrize("state", ["RUNNING", *ENDS])
def test_a_write_that_meets_its_own_effect_counts_as_done(deploy, state):
    """The transport repeats a request whose answer was lost, and the repetition conflicts with the first request."""
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"))
    pipeline = deploy(work)
    if state != "RUNNING":
        end_first_run_in(work, state)
    job = work.delay("a")
    apply, repeated = pipeline.store.port.apply, []

    def apply_and_repeat(write):
        after = apply(write)
        if to_state(state)(write) and not repeated:
            repeated.append(write)
            raise Conflict(after)
        return after

    pipeline.store.port.apply = apply_and_repeat
    pipeline.run_until_idle()

    assert repeated
    assert len(work.runs) == job.record().attempt == (2 if state == "RETRYING" else 1)
    assert job.status() is (State.FAILED if state == "FAILED" else State.SUCCEEDED)


# Every error that time or fresh credentials may cure

EXPIRED = Refused("UpdateItem: ExpiredTokenException", lasting=False)
DENIED = Refused("UpdateItem: AccessDeniedException", lasting=False)
GONE = Refused("UpdateItem: ResourceNotFoundException", lasting=False)
TOO_LARGE = Refused("UpdateItem: ValidationException: Item size has exceeded the maximum", lasting=True)


@pytest.mark.parametrize("error", [EXPIRED, DENIED, GONE], ids=str)
@pytest.mark.parametrize("state", ENDS)
def test_an_end_that_is_refused_for_a_while_is_recorded_as_soon_as_it_is_not(deploy, state, error):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"), timeout="1m", soft_timeout="5s")
    pipeline = deploy(work)
    end_first_run_in(work, state)
    job = work.delay("a")

    pipeline.store.fail("apply", error, times=9, where=to_state(state))
    pipeline.poll()

    assert (job.status(), job.record().attempt, work.attempts) == (State(state), 1, [1])


@pytest.mark.parametrize("error", [EXPIRED, DENIED, GONE], ids=str)
def test_an_end_is_insisted_on_until_two_seconds_before_the_invocation_ends(deploy, error):
    work = ScriptedTask(retry=Retry(max_attempts=2), timeout="1m", soft_timeout="20s")
    pipeline = deploy(work)
    work.delay("a")
    began_at = pipeline.clock.now()

    with outage(pipeline.store, error=error, where=to_state("SUCCEEDED")):
        pipeline.poll()

    assert 53_000 < pipeline.clock.now() - began_at <= 58_000


# A request that can never be right


def told_of_itself(write):
    return "usage" in write.set


@pytest.mark.parametrize("state", ENDS)
def test_an_end_that_cannot_be_stored_is_recorded_without_what_the_run_told_of_itself(deploy, state):
    work = ScriptedTask(retry=Retry(max_attempts=2, base="1s"))
    pipeline = deploy(work)
    end_first_run_in(work, state)
    job = work.delay("a")
    began_at = pipeline.clock.now()

    with outage(pipeline.store, error=TOO_LARGE, where=told_of_itself):
        pipeline.poll()

    assert (job.status(), job.record().attempt) == (State(state), 1)
    assert pipeline.clock.now() == began_at, "what can never be right is not repeated"
    if state == "SUCCEEDED":
        assert job.result(0) == "a"


@pytest.mark.parametrize("state", ["SUCCEEDED", "RETRYING"])
def test_an_end_that_can_never_be_stored_fails_the_job_which_does_not_run_again(deploy, state):
    work = ScriptedTask(retry=Retry(max_attempts=3, base="1s"))
    pipeline = deploy(work)
    end_first_run_in(work, state)
    job = work.delay("a")

    with outage(pipeline.store, error=TOO_LARGE, where=to_state(state)):
        pipeline.run_until_idle()

    record = job.record()
    assert (record.state, record.attempt, work.attempts) == (State.FAILED, 1, [1])
    assert record.error["type"] == "Refused"
    assert record.error["message"] == f"the end of the run cannot be recorded: {TOO_LARGE}"
    assert len(pipeline.dead()) == 1
