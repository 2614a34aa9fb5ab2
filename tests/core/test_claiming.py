"""What a delivery means for its job: every state, lease, message and time, as a table."""

from __future__ import annotations

import itertools

import pytest

from offload.core import claiming
from offload.core.claiming import EARLY_MS, Bury, Cancel, Claim, Drop, Fail, Ours, Wait
from offload.core.delivery import Delivery
from offload.core.jobs import Job, State
from offload.core.messages import Message
from offload.core.writes import Conflict
from offload.memory.clock import VirtualClock
from offload.memory.table import MemoryTable

NOW = 1_767_225_600_000
LEASE = NOW + 60_000
ATTEMPTS = 3


def delivery(token="mine", message_id="m1", sent_at=NOW - 1000, **message):
    return Delivery("work", "job", message_id, Message(payload={}, id="job", **message), sent_at, token)


def record(state, **rest):
    return {
        "id": "job", "state": state, "task": "work", "attempt": 1, "message_id": "m1",
        "history": [["PENDING", 1, 0]], **rest,
    }  # fmt: skip


def met(item, given=None, now=NOW):
    return claiming.meet(item, given or delivery(), now, LEASE, ATTEMPTS)


def applied(item, write):
    """Carry out a write on a record; None when its condition refuses."""
    table = MemoryTable(VirtualClock(NOW))
    if item is not None:
        table._items["job"] = dict(item)
    try:
        return table.apply(write)
    except Conflict:
        return None


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
        (record("BLOCKED"), False),
        (record("SUCCEEDED"), False),
        (record("FAILED"), False),
        (record("CANCELLED"), False),
        (record("EXPIRED"), False),
    ],
)
def test_a_claim_takes_what_is_due_and_nothing_else(item, claimed):
    after = applied(item, claiming.claim(delivery(), NOW, LEASE, ATTEMPTS))
    assert (after is not None) is claimed
    if after is not None:
        assert after["state"] == "RUNNING"
        assert after["attempt"] == (item or {"attempt": 0})["attempt"] + 1
        assert (after["lease"], after["lease_until"], after["message_id"]) == ("mine", LEASE, "m1")
        assert not {"next_at", "idx", "idx_at", "slot_at"} & set(after)
        assert Job.read(after).history[-1] == {"state": "RUNNING", "at": NOW, "attempt": after["attempt"]}


def test_a_claim_of_a_job_without_a_record_makes_one():
    given = delivery(tenant="acme", key="k", expires_at=NOW + 1, parent="p", lane="high", workflow="w")
    after = applied(None, claiming.claim(given, NOW, LEASE, ATTEMPTS))
    told = {"task": "work", "tenant": "acme", "key": "k", "parent": "p", "lane": "high", "workflow": "w"}
    assert {name: after[name] for name in told} == told
    assert after["created_at"] == given.sent_at
    assert after["ttl"] > (NOW + 34 * 86_400_000) // 1000


# What the record answers


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED", "EXPIRED"])
@pytest.mark.parametrize("message_id", ["m1", "m2"])
@pytest.mark.parametrize("sent_at", [0, NOW + 10**9])
def test_a_job_that_has_ended_well_is_dropped_whatever_message_comes(state, message_id, sent_at):
    assert met(record(state, finished_at=NOW - 5000), delivery(message_id=message_id, sent_at=sent_at)) == Drop(
        State(state)
    )


RUNNING = {
    # lease token, lease over, attempt, message id, sent after the lease, cancel asked -> verdict
    ("mine", False, 1, "m1", False, False): Ours,
    ("mine", True, 1, "m1", False, False): Ours,
    ("other", False, 1, "m1", False, False): Wait,
    ("other", False, 3, "m2", True, True): Wait,
    ("other", True, 1, "m1", False, False): Claim,
    ("other", True, 2, "m2", False, False): Claim,
    ("other", True, 3, "m1", False, False): Fail,
    ("other", True, 4, "m2", False, False): Fail,
    ("other", True, 3, "m1", True, False): Fail,
    ("other", True, 3, "m2", True, False): Claim,
    ("other", True, 1, "m2", True, False): Claim,
    ("other", True, 1, "m1", False, True): Cancel,
    ("other", True, 3, "m1", False, True): Cancel,
    ("other", True, 3, "m2", True, True): Claim,
}


@pytest.mark.parametrize("case", RUNNING, ids=str)
def test_a_running_job(case):
    token, over, attempt, message_id, after, cancel = case
    lease_until = NOW - 10_000 if over else NOW + 10_000
    extra = {"cancel_requested_at": NOW - 1} if cancel else {}
    item = record("RUNNING", lease=token, lease_until=lease_until, attempt=attempt, **extra)
    verdict = met(item, delivery(message_id=message_id, sent_at=lease_until + (1 if after else -1)))
    assert type(verdict) is RUNNING[case]
    if isinstance(verdict, Wait):
        assert verdict.until >= lease_until
    if isinstance(verdict, Claim):
        fresh = message_id == "m2" and after
        taken = applied(item, verdict.write)
        assert taken["attempt"] == (1 if fresh else attempt + 1)
        assert taken.get("redrives", 0) == fresh
        assert verdict.suspect
        assert ("cancel_requested_at" in taken) is False
    if isinstance(verdict, Fail):
        ended = applied(item, verdict.write)
        assert (ended["state"], ended["error"]["type"], ended["attempt"]) == ("FAILED", "WorkerLost", attempt)
        assert ended["message_id"] == message_id
    if isinstance(verdict, Cancel):
        assert applied(item, verdict.write)["state"] == "CANCELLED"
    # None of these writes may touch a job that another worker has taken meanwhile.
    if not isinstance(verdict, Ours | Wait):
        assert applied({**item, "lease": "third"}, verdict.write) is None
        assert applied({**item, "state": "SUCCEEDED"}, verdict.write) is None


def test_a_claim_that_is_given_back_charges_nothing():
    for before in (None, record("PENDING", attempt=0), record("RETRYING", attempt=2, next_at=NOW)):
        claimed = applied(before, claiming.claim(delivery(), NOW, LEASE, ATTEMPTS))
        returned = applied(claimed, claiming.give_back(delivery(), NOW + 10))
        verdict = met(returned, delivery(token="next"), now=NOW + 10)
        assert type(verdict) is Claim
        assert not verdict.suspect  # nothing died on it: it need not wait for its batch
        again = applied(returned, verdict.write)
        assert (again["attempt"], again["lease"]) == (claimed["attempt"], "next")
        assert applied(again, claiming.give_back(delivery(), NOW + 20)) is None
        assert applied(returned, claiming.give_back(delivery(), NOW + 20)) is None  # the second try of a lost answer


@pytest.mark.parametrize(
    "item", [None, *(record(state.value, lease="mine") for state in State if state is not State.RUNNING)]
)
def test_only_a_claim_in_force_is_given_back(item):
    assert applied(item, claiming.give_back(delivery(), NOW)) is None
    assert applied(record("RUNNING", lease="other"), claiming.give_back(delivery(), NOW)) is None


FAILED = {
    # message id, sent relative to the failure, took the place of -> verdict
    ("m1", -1, ()): Bury,
    ("m1", 1, ()): Bury,
    ("m2", -1, ()): Bury,
    ("m2", 0, ()): Bury,
    ("m2", 1, ()): Claim,
    ("m2", 1, ("m0",)): Claim,
    ("m2", 1, ("m1",)): "adopted",
    ("m2", 1, ("m0", "m1")): "adopted",
    ("m2", -1, ("m1",)): "adopted",
}


@pytest.mark.parametrize("case", FAILED, ids=str)
def test_a_failed_job(case):
    message_id, offset, renewed = case
    item = record("FAILED", finished_at=NOW - 5000, attempt=3, reason="x", idx="i", idx_at=1, cancel_requested_at=1)
    given = delivery(message_id=message_id, sent_at=NOW - 5000 + offset, renewed=renewed)
    verdict = met(item, given)
    if FAILED[case] == "adopted":
        after = applied(item, verdict.adopt)
        assert (after.pop("message_id"), after.pop("message_at")) == ("m2", given.sent_at)
        assert {**after, "message_id": "m1"} == item
        after = applied(item, verdict.adopt)
        # From now on the copy is the failed message, and a redrive of it is told apart.
        assert met(after, given) == Bury()
        redriven = delivery(message_id="m3", sent_at=NOW, renewed=renewed)
        assert isinstance(met(after, redriven), Claim)
        return
    assert type(verdict) is FAILED[case]
    if isinstance(verdict, Claim):
        after = applied(item, verdict.write)
        assert (after["state"], after["attempt"], after["redrives"], verdict.suspect) == ("RUNNING", 1, 1, False)
        assert not {"finished_at", "reason", "idx", "idx_at", "cancel_requested_at"} & set(after)
        assert [entry[0] for entry in after["history"]] == ["PENDING", "RUNNING"]
        # Two redriven copies at once: one gets it.
        assert applied({**item, "finished_at": NOW}, verdict.write) is None
        assert applied(after, verdict.write) is None
    else:
        assert verdict == Bury()


def test_a_late_delivery_of_a_message_that_was_renewed_twice_is_no_redrive():
    failed_at = NOW - 50_000
    item = record("FAILED", finished_at=failed_at, attempt=3)  # by m1; m2 took its place, and m3 that of m2
    second = delivery(message_id="m2", sent_at=failed_at + 1_000, renewed=("m1",))
    third = delivery(message_id="m3", sent_at=failed_at + 2_000, renewed=("m1", "m2"))
    late = met(item, second).adopt
    item = applied(item, met(item, third).adopt)
    assert met(item, second) == Bury()
    assert applied(item, late) is None  # its worker stood still meanwhile: the record goes by m3 now
    redriven = delivery(message_id="m4", sent_at=failed_at + 3_000, renewed=("m1", "m2"))
    after = applied(item, met(item, redriven).write)
    assert (after["attempt"], after["message_id"], "message_at" in after) == (1, "m4", False)


@pytest.mark.parametrize(
    ("item", "until"), [(record("RETRYING", next_at=NOW + 9000), NOW + 9000), (record("PENDING"), NOW)]
)
def test_what_is_not_due_waits(item, until):
    assert met(item) == Wait(until, "not due yet")


def test_every_state_has_an_answer():
    for state, message_id, renewed, offset in itertools.product(State, ["m1", "m2"], [(), ("m1",)], [-(10**9), 10**9]):
        item = record(state.value)
        assert met(item, delivery(message_id=message_id, renewed=renewed, sent_at=NOW + offset)) is not None
