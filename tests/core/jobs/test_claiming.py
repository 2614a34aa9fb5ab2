"""What a delivery means for its job: every state, lease, message and time, as a table."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest

from offload.core.jobs.claiming import (
    EARLY_MS,
    AlreadyClaimed,
    Cancel,
    Claim,
    Drop,
    Fail,
    FailMessage,
    Wait,
    claim,
    release_claim,
    resolve_conflict,
)
from offload.core.jobs.job import Job
from offload.core.jobs.record import record_ttl
from offload.core.jobs.state import State
from offload.core.messages.copying import LATEST_COPY_MS
from tests.core.deliveries import LEASE_UNTIL, NOW, carried_out, claim_request, delivery

FAILED_AT = NOW - 5_000


def record(state, **attributes):
    """Return a job's record in some state, last claimed by the message `m1` in attempt 1."""
    return {
        "id": "job", "state": state, "task": "work", "attempt": 1, "message_id": "m1",
        "history": [["PENDING", 1, 0]], **attributes,
    }  # fmt: skip


def decision_on(item, given=None, now=NOW):
    """Return what a delivery means whose claim this record has refused."""
    return resolve_conflict(item, claim_request(given or delivery(), now=now))


def claimed_by(given, item):
    """Return the record after a first try to claim the job; None when the record refuses it."""
    return carried_out(claim(claim_request(given)), item)


# The first try


@pytest.mark.parametrize(
    ("item", "claimed"),
    [
        (None, True),
        (record("PENDING", attempt=0), True),
        (record("SCHEDULED", attempt=0, next_at=NOW + 10**9), True),
        (record("RETRYING", next_at=NOW), True),
        (record("RETRYING", next_at=NOW + EARLY_MS), True),
        (record("RETRYING", next_at=NOW + EARLY_MS + 1), False),
        (record("RUNNING", lease="other", lease_until=NOW - 1), False),
        (record("SUCCEEDED"), False),
        (record("FAILED"), False),
        (record("CANCELLED"), False),
        (record("EXPIRED"), False),
    ],
)
def test_a_claim_takes_what_is_due_and_nothing_else(item, claimed):
    after = claimed_by(delivery(), item)
    assert (after is not None) is claimed
    if after is not None:
        assert after["state"] == "RUNNING"
        assert after["attempt"] == (item or {"attempt": 0})["attempt"] + 1
        assert (after["lease"], after["lease_until"], after["message_id"]) == ("mine", LEASE_UNTIL, "m1")
        assert after["max_attempts"] == 3
        assert not {"next_at", "timer_until", "place_at", "line_number", "idx", "idx_at"} & set(after)
        assert Job.read(after).history[-1] == {"state": "RUNNING", "at": NOW, "attempt": after["attempt"]}


def test_a_claim_takes_away_what_served_the_waiting():
    item = record("RETRYING", next_at=NOW, timer_until=NOW, place_at=7, line_number=7, idx="i", idx_at=1)
    after = claimed_by(delivery(), item)
    assert not {"next_at", "timer_until", "place_at", "line_number", "idx", "idx_at"} & set(after)


def test_a_claim_of_a_job_without_a_record_makes_one():
    told = {"tenant": "acme", "key": "k", "expires_at": NOW + 1, "parent": "p", "lane": "high", "workflow": "w"}
    after = claimed_by(delivery(sent_at=NOW - 1000, **told), None)
    assert {name: after[name] for name in told} == told
    assert (after["task"], after["created_at"]) == ("work", NOW - 1000)
    assert after["ttl"] == record_ttl(NOW) > (NOW + 34 * 86_400_000) // 1000
    assert Job.read(after).history[0] == {"state": "PENDING", "at": NOW - 1000, "attempt": 0}


# The record has refused it: a job that has ended


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED", "EXPIRED"])
@pytest.mark.parametrize("message_id", ["m1", "m2"])
@pytest.mark.parametrize("sent_at", [0, NOW + 10**9])
def test_a_message_of_a_job_that_has_ended_well_is_dropped_whatever_message_it_is(state, message_id, sent_at):
    item = record(state, finished_at=FAILED_AT)
    assert isinstance(decision_on(item, delivery(message_id=message_id, sent_at=sent_at)), Drop)


@dataclass(frozen=True)
class FailedCase:
    """A delivery of a job that has failed by the message `m1`.

    Attributes:
        decision: What is decided; `noted` stands for a dead letter whose record notes the message first.
        message_id: The delivery's message.
        sent_after: Milliseconds between the failure and the send of that message.
        replaces: Messages that it replaces.
        copied: Milliseconds between the failure and each copy that led to the message.
        first_sent: Milliseconds between the failure and the send of the message that the first copy replaced.
        failed_copy: Milliseconds between the failure and the copy `m1`; None when `m1` is no copy.
        timed: Whether a timer has sent the message.
    """

    decision: type | str
    message_id: str
    sent_after: int
    replaces: tuple[str, ...] = ()
    copied: tuple[int, ...] = ()
    first_sent: int | None = None
    failed_copy: int | None = None
    timed: bool = False


FAILED = {
    "the message that failed": FailedCase(FailMessage, "m1", -1),
    "the message that failed, by a clock that is behind": FailedCase(FailMessage, "m1", 1),
    "another message from before the failure": FailedCase(FailMessage, "m2", -1),
    "another message from the moment of the failure": FailedCase(FailMessage, "m2", 0),
    "another message from after the failure": FailedCase(Claim, "m2", 1),
    "a redriven copy of another message": FailedCase(Claim, "m2", 1, replaces=("m0",)),
    "a late copy of a second message": FailedCase(
        FailMessage, "m2", 5, replaces=("m0",), copied=(4,), first_sent=-9, failed_copy=-3
    ),
    "a copy of a second message, made before the failure": FailedCase(
        FailMessage, "m2", 5, replaces=("m0",), copied=(-4,), first_sent=-9, failed_copy=-3
    ),
    "a copy of a copy of a second message": FailedCase(
        FailMessage, "m2", 5, replaces=("m0", "m9"), copied=(-4, 4), first_sent=-9, failed_copy=-3
    ),
    "a copy of a second message, sent long after it was made": FailedCase(
        Claim, "m2", LATEST_COPY_MS + 1, replaces=("m0",), copied=(0,), first_sent=-9, failed_copy=-3
    ),
    "a copy of a second message, sent by a timer that is twenty hours late": FailedCase(
        FailMessage, "m2", 20 * 3_600_000, replaces=("m0",), copied=(0,), first_sent=-9, failed_copy=-3, timed=True
    ),
    "the copy that failed, redriven": FailedCase(
        Claim, "m2", 5, replaces=("m0",), copied=(-3,), first_sent=-9, failed_copy=-3
    ),
    "a copy of the redriven copy": FailedCase(
        Claim, "m2", 7, replaces=("m0", "m9"), copied=(-3, 6), first_sent=-9, failed_copy=-3
    ),
    "a copy of the redriven message": FailedCase(
        Claim, "m2", 7, replaces=("m9",), copied=(6,), first_sent=5, failed_copy=None
    ),
    "a copy of the message that failed": FailedCase("noted", "m2", 1, replaces=("m1",)),
    "a copy of a copy": FailedCase("noted", "m2", 1, replaces=("m0", "m1")),
    "a copy of the message that failed, from before the failure": FailedCase("noted", "m2", -1, replaces=("m1",)),
}


def failed_record_and_delivery(case):
    """Return the record and the delivery of a case."""
    item = record("FAILED", finished_at=FAILED_AT, attempt=3, reason="x", idx="i", idx_at=1, cancel_requested_at=1)
    item["message_copied_at"] = 0 if case.failed_copy is None else FAILED_AT + case.failed_copy
    given = delivery(
        message_id=case.message_id,
        sent_at=FAILED_AT + case.sent_after,
        replaces=case.replaces,
        copied_at=tuple(FAILED_AT + each for each in case.copied),
        first_sent_at=None if case.first_sent is None else FAILED_AT + case.first_sent,
        timed=case.timed,
    )
    return item, given


def cases(table, *decisions):
    """Parametrize a test with the cases of a table, or with those that have certain decisions."""
    chosen = {name: case for name, case in table.items() if not decisions or case.decision in decisions}
    return pytest.mark.parametrize("case", chosen.values(), ids=list(chosen))


@cases(FAILED, FailMessage)
def test_a_failed_jobs_own_message_goes_to_the_dead_letter_queue(case):
    assert decision_on(*failed_record_and_delivery(case)) == FailMessage()


@cases(FAILED, Claim)
def test_a_failed_job_that_was_redriven_begins_anew(case):
    item, given = failed_record_and_delivery(case)
    decision = decision_on(item, given)
    assert type(decision) is Claim
    assert not decision.after_crash
    after = carried_out(decision.write, item)
    assert (after["state"], after["attempt"], after["redrives"]) == ("RUNNING", 1, 1)
    assert not {"finished_at", "reason", "idx", "idx_at", "cancel_requested_at"} & set(after)
    assert [entry[0] for entry in after["history"]] == ["PENDING", "RUNNING"]
    # Of two redriven copies that come at once, one gets the job.
    assert carried_out(decision.write, {**item, "finished_at": NOW}) is None
    assert carried_out(decision.write, after) is None


@cases(FAILED, "noted")
def test_a_copy_of_the_failed_message_is_noted_in_the_record(case):
    item, given = failed_record_and_delivery(case)
    decision = decision_on(item, given)
    assert type(decision) is FailMessage
    after = carried_out(decision.first, item)
    assert after == {**item, "message_id": "m2", "message_copied_at": 0, "message_sent_at": given.sent_at}
    # From now on the copy is the failed message, and a redrive of the copy is told from it.
    assert decision_on(after, given) == FailMessage()
    redriven = delivery(message_id="m3", sent_at=NOW, replaces=case.replaces)
    assert isinstance(decision_on(after, redriven), Claim)


def test_a_late_delivery_of_a_message_that_was_replaced_twice_is_no_redrive():
    item = record("FAILED", finished_at=FAILED_AT, attempt=3)  # by m1; m2 replaced m1, and m3 replaced m2
    second = delivery(message_id="m2", sent_at=FAILED_AT + 1_000, replaces=("m1",))
    third = delivery(message_id="m3", sent_at=FAILED_AT + 2_000, replaces=("m1", "m2"))
    late_note = decision_on(item, second).first
    item = carried_out(decision_on(item, third).first, item)
    assert decision_on(item, second) == FailMessage()
    assert carried_out(late_note, item) is None  # its worker stood still meanwhile: the record goes by m3 now
    redriven = delivery(message_id="m4", sent_at=FAILED_AT + 3_000, replaces=("m1", "m2"))
    after = carried_out(decision_on(item, redriven).write, item)
    assert (after["attempt"], after["message_id"], "message_sent_at" in after) == (1, "m4", False)


# The record has refused it: a job that runs


@dataclass(frozen=True)
class RunningCase:
    """A job that was claimed by the message `m1`, and a delivery that comes meanwhile.

    Attributes:
        decision: What is decided.
        attempt: The attempt that runs, of three.
        own_lease: The job runs under the delivery's own lease.
        lease_over: Its lease has ended.
        other_message: The delivery is of the message `m2`.
        sent_after: Its message was sent after the lease had ended.
        cancel_requested: The job was asked to stop.
    """

    decision: type
    attempt: int = 1
    own_lease: bool = False
    lease_over: bool = False
    other_message: bool = False
    sent_after: bool = False
    cancel_requested: bool = False

    @property
    def lease_until(self):
        return NOW - 10_000 if self.lease_over else NOW + 10_000

    @property
    def record(self):
        asked = {"cancel_requested_at": NOW - 1} if self.cancel_requested else {}
        lease = "mine" if self.own_lease else "other"
        return record("RUNNING", lease=lease, lease_until=self.lease_until, attempt=self.attempt, **asked)

    @property
    def message_id(self):
        return "m2" if self.other_message else "m1"

    @property
    def redriven(self):
        return self.other_message and self.sent_after

    def decide(self):
        sent_at = self.lease_until + (1 if self.sent_after else -1)
        return decision_on(self.record, delivery(message_id=self.message_id, sent_at=sent_at))


def worker_died(decision, **rest):
    """Return a case in which the lease of another worker has ended."""
    return RunningCase(decision, lease_over=True, **rest)


RUNNING = {
    "claimed by this delivery": RunningCase(AlreadyClaimed, own_lease=True),
    "claimed by this delivery, lease over": RunningCase(AlreadyClaimed, own_lease=True, lease_over=True),
    "another worker holds it": RunningCase(Wait),
    "another worker holds it, whatever else is true": RunningCase(
        Wait, attempt=3, other_message=True, sent_after=True, cancel_requested=True
    ),
    "attempts left": worker_died(Claim, attempt=1),
    "attempts left, second message": worker_died(Claim, attempt=2, other_message=True),
    "last attempt": worker_died(Fail, attempt=3),
    "more attempts than allowed by now": worker_died(Fail, attempt=4, other_message=True),
    "last attempt, by a clock that is ahead": worker_died(Fail, attempt=3, sent_after=True),
    "last attempt, redriven": worker_died(Claim, attempt=3, other_message=True, sent_after=True),
    "attempts left, redriven": worker_died(Claim, attempt=1, other_message=True, sent_after=True),
    "asked to stop": worker_died(Cancel, attempt=1, cancel_requested=True),
    "last attempt, asked to stop": worker_died(Cancel, attempt=3, cancel_requested=True),
    "last attempt, asked to stop, redriven": worker_died(
        Claim, attempt=3, other_message=True, sent_after=True, cancel_requested=True
    ),
}


@cases(RUNNING)
def test_each_delivery_of_a_job_that_runs_has_its_decision(case):
    decision = case.decide()
    assert type(decision) is case.decision
    if not isinstance(decision, AlreadyClaimed | Wait):
        # No write that was decided on may touch a job that another worker has taken meanwhile.
        assert carried_out(decision.write, {**case.record, "lease": "third"}) is None
        assert carried_out(decision.write, {**case.record, "state": "SUCCEEDED"}) is None


@cases(RUNNING, Wait)
def test_a_delivery_waits_for_the_end_of_the_lease(case):
    assert case.decide().until >= case.lease_until


@cases(RUNNING, Claim)
def test_a_claim_after_a_dead_worker_counts_on_unless_the_job_was_redriven(case):
    decision = case.decide()
    after = carried_out(decision.write, case.record)
    assert after["attempt"] == (1 if case.redriven else case.attempt + 1)
    assert after.get("redrives", 0) == (1 if case.redriven else 0)
    assert decision.after_crash
    assert "cancel_requested_at" not in after


@cases(RUNNING, Fail)
def test_a_worker_that_died_on_the_last_attempt_fails_the_job(case):
    after = carried_out(case.decide().write, case.record)
    assert (after["state"], after["error"]["type"], after["attempt"]) == ("FAILED", "WorkerLost", case.attempt)
    assert after["message_id"] == case.message_id


@cases(RUNNING, Cancel)
def test_a_job_that_was_to_stop_when_its_worker_died_is_cancelled(case):
    assert carried_out(case.decide().write, case.record)["state"] == "CANCELLED"


# Releasing a claim


@pytest.mark.parametrize(
    "before", [None, record("PENDING", attempt=0), record("RETRYING", attempt=2, next_at=NOW)], ids=str
)
def test_a_claim_that_is_released_charges_nothing(before):
    claimed = claimed_by(delivery(), before)
    released = carried_out(release_claim(delivery(), NOW + 10), claimed)
    decision = decision_on(released, delivery(lease="next"), now=NOW + 10)
    assert type(decision) is Claim
    assert not decision.after_crash  # nothing died on it: it need not wait for its batch
    claimed_again = carried_out(decision.write, released)
    assert (claimed_again["attempt"], claimed_again["lease"]) == (claimed["attempt"], "next")
    assert carried_out(release_claim(delivery(), NOW + 20), claimed_again) is None
    # The answer to the release was lost, and the worker tries once more.
    assert carried_out(release_claim(delivery(), NOW + 20), released) is None


@pytest.mark.parametrize(
    "item",
    [
        None,
        record("RUNNING", lease="other"),
        *(record(state.value, lease="mine") for state in State if state is not State.RUNNING),
    ],
    ids=str,
)
def test_only_a_claim_in_force_is_released(item):
    assert carried_out(release_claim(delivery(), NOW), item) is None


# A worker that died, and a copy that was sent after its lease


def test_a_late_copy_of_a_dead_workers_job_does_not_start_its_attempts_over():
    item = record("RUNNING", lease="other", lease_until=NOW - 10, attempt=2, message_copied_at=NOW - 50)
    late = delivery(message_id="m2", sent_at=NOW - 5, replaces=("m0",), copied_at=(NOW - 6,), first_sent_at=NOW - 90)
    after = carried_out(decision_on(item, late).write, item)
    assert (after["attempt"], after.get("redrives", 0)) == (3, 0)
    assert (after["message_id"], after["message_copied_at"]) == ("m2", NOW - 6)


# The rest


@pytest.mark.parametrize(
    ("item", "until"), [(record("RETRYING", next_at=NOW + 9000), NOW + 9000), (record("PENDING"), NOW)]
)
def test_what_is_not_due_waits(item, until):
    assert decision_on(item) == Wait(until, "not due yet")


def test_every_state_has_a_decision():
    days = 10**9
    for state, message_id, replaces, sent in itertools.product(State, ["m1", "m2"], [(), ("m1",)], [-days, days]):
        given = delivery(message_id=message_id, replaces=replaces, sent_at=NOW + sent)
        assert decision_on(record(state.value), given) is not None
