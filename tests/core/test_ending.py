"""How a job's end is recorded: under which condition, and what stays in the record."""

from __future__ import annotations

import pytest

from offload.core import claiming, ending
from offload.core.cancelling import cancel, request_cancel
from offload.core.delivery import Delivery
from offload.core.jobs import DAY_MS, Job, index_keys
from offload.core.messages import Message
from offload.core.writes import Conflict
from offload.memory.clock import VirtualClock
from offload.memory.table import MemoryTable

NOW = 1_767_225_600_000
ERROR = {"type": "ValueError", "message": "line one\nline two", "traceback": "…", "attempt": 1}
STATES = ["PENDING", "SCHEDULED", "BLOCKED", "RUNNING", "RETRYING", "SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"]


@pytest.fixture
def table():
    return MemoryTable(VirtualClock(NOW))


def delivery(token="mine", message_id="m1", sent_at=NOW, **message):
    return Delivery("work", "job", message_id, Message(payload={}, id="job", **message), sent_at, token)


@pytest.fixture
def running(table):
    return table.apply(claiming.claim(delivery(), NOW, NOW + 60_000, 3))


ENDS = {
    "SUCCEEDED": lambda item, given: ending.succeed(
        item, given, NOW + 5, result={"result": "1"}, extra={"usage": {}}, result_until=NOW + 7 * DAY_MS
    ),
    "RETRYING": lambda item, given: ending.retry_at(item, given, NOW + 5, error=ERROR, due=NOW + 9, extra={}),
    "FAILED": lambda item, given: ending.fail(item, given, NOW + 5, error=ERROR, extra={}),
    "CANCELLED": lambda item, given: ending.cancelled(item, given, NOW + 5),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", [*STATES, "absent", "another's lease"])
def test_an_end_is_written_under_the_lease_alone(table, running, end, state):
    if state == "absent":
        table._items.clear()
    elif state == "another's lease":
        table._items["job"]["lease"] = "theirs"
    else:
        table._items["job"]["state"] = state
    write = ENDS[end](running, delivery())
    if state == "RUNNING":
        after = table.apply(write)
        assert after["state"] == end
        assert "lease_until" not in after
        assert [entry["attempt"] for entry in Job.read(after).history] == [0, 1, 1]
        assert ending.applied(after, delivery())
        assert not ending.applied(after, delivery(token="theirs"))
    with pytest.raises(Conflict):
        table.apply(write)


def test_an_end_is_told_from_the_run_it_ends(running):
    assert not ending.applied(running, delivery())
    assert not ending.applied(None, delivery())


@pytest.mark.parametrize(
    ("end", "listed"), [("SUCCEEDED", False), ("CANCELLED", False), ("RETRYING", True), ("FAILED", True)]
)
def test_only_what_needs_attention_is_listed(table, running, end, listed):
    after = table.apply(ENDS[end](running, delivery()))
    assert ("idx" in after) is listed
    if listed:
        assert after["idx"] in index_keys("work", end)
        assert after["reason"] == "ValueError: line one line two"


def test_a_retry_gives_way_to_a_cancel_that_was_asked_for(table, running):
    table._items["job"]["cancel_requested_at"] = NOW
    with pytest.raises(Conflict):
        table.apply(ENDS["RETRYING"](running, delivery()))
    assert table.apply(ENDS["CANCELLED"](running, delivery()))["state"] == "CANCELLED"


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED"])
def test_an_end_stands_although_a_cancel_was_asked_for(table, running, end):
    table._items["job"]["cancel_requested_at"] = NOW
    assert table.apply(ENDS[end](running, delivery()))["state"] == end


def test_a_record_outlives_every_message_and_its_result(table, running):
    month = 28 * DAY_MS // 1000
    for end in ENDS:
        assert ENDS[end](running, delivery()).set["ttl"] > NOW // 1000 + month
    long = ending.succeed(running, delivery(), NOW, result={}, extra={}, result_until=NOW + 365 * DAY_MS)
    assert long.set["ttl"] >= (NOW + 365 * DAY_MS) // 1000
    late = ending.retry_at(running, delivery(), NOW, error=ERROR, due=NOW + 100 * DAY_MS, extra={})
    assert late.set["ttl"] > (NOW + 100 * DAY_MS) // 1000 + month


def test_a_history_stays_short_and_keeps_its_beginning(table):
    item = None
    for n in range(40):
        item = table.apply(claiming.claim(delivery(token=str(n)), NOW + 10 * n, NOW + 10 * n, 99))
        item = table.apply(
            ending.retry_at(item, delivery(token=str(n)), NOW + 10 * n, error=ERROR, due=NOW + 10 * n, extra={})
        )
    history = Job.read(item).history
    assert len(history) == 24
    assert [(entry["state"], entry["attempt"]) for entry in history[:4]] == [
        ("PENDING", 0), ("RUNNING", 1), ("RETRYING", 1), ("RUNNING", 2)
    ]  # fmt: skip
    assert history[-1] == {"state": "RETRYING", "at": NOW + 390, "attempt": 40, "note": "ValueError: line one line two"}


# Accepting


def test_a_producer_never_overwrites_what_a_worker_has_written(table, running):
    with pytest.raises(Conflict):
        table.apply(ending.accept("work", "job", Message(payload={}), NOW, due=None, max_attempts=3))


@pytest.mark.parametrize(("due", "state"), [(None, "PENDING"), (NOW + 3000, "SCHEDULED")])
def test_an_accepted_job(table, due, state):
    message = Message(payload={}, id="job", enqueued_at=NOW - 5, tenant="acme")
    item = table.apply(ending.accept("work", "job", message, NOW, due=due, max_attempts=3))
    assert (item["state"], item["attempt"], item["created_at"], item["tenant"]) == (state, 0, NOW - 5, "acme")
    assert ("idx" in item) is (due is not None)
    assert item.get("next_at") == due


# Expiring, rejecting


@pytest.mark.parametrize("state", [*STATES, "absent"])
def test_only_a_job_that_has_not_started_expires(table, running, state):
    if state == "absent":
        table._items.clear()
    else:
        table._items["job"]["state"] = state
    if state in ("absent", "PENDING", "SCHEDULED"):
        assert table.apply(ending.expire(delivery(), NOW))["state"] == "EXPIRED"
    else:
        with pytest.raises(Conflict):
            table.apply(ending.expire(delivery(), NOW))


REJECTED = {
    # state, other message, sent after the failure, took its place -> (unreadable, readable) may be recorded
    ("absent", False, False, False): (True, True),
    ("PENDING", False, False, False): (True, True),
    ("SCHEDULED", False, False, False): (True, True),
    ("RETRYING", False, False, False): (False, True),
    ("RUNNING", False, False, False): (False, False),
    ("stale", False, False, False): (False, True),
    ("SUCCEEDED", True, True, False): (False, False),
    ("CANCELLED", True, True, False): (False, False),
    ("EXPIRED", True, True, False): (False, False),
    ("FAILED", False, True, False): (False, False),
    ("FAILED", True, False, False): (False, False),
    ("FAILED", True, True, False): (True, True),
    ("FAILED", True, True, True): (False, False),
}


@pytest.mark.parametrize("readable", [False, True])
@pytest.mark.parametrize("case", REJECTED, ids=str)
def test_a_rejected_message_speaks_for_its_own_job_alone(table, running, case, readable):
    state, other, after, took = case
    item = table._items["job"]
    if state == "absent":
        table._items.clear()
    elif state == "stale":
        item["lease_until"] = NOW - 1
    else:
        item["state"] = state
        item["finished_at"] = NOW - 1000
    given = delivery(
        message_id="m2" if other else "m1", sent_at=NOW if after else NOW - 2000, renewed=("m1",) if took else ()
    )
    write = ending.reject(given, {**ERROR, "attempt": 0}, NOW, readable=readable)
    if REJECTED[case][readable]:
        rejected = table.apply(write)
        assert (rejected["state"], rejected["message_id"]) == ("FAILED", given.message_id)
        assert rejected["attempt"] == (0 if state == "absent" else 1)
    else:
        with pytest.raises(Conflict):
            table.apply(write)


# Cancelling


@pytest.mark.parametrize("state", [*STATES, "absent"])
def test_a_cancel_ends_what_waits_and_asks_what_runs(table, running, state):
    if state == "absent":
        table._items.clear()
    else:
        table._items["job"]["state"] = state
    if state in ("PENDING", "SCHEDULED", "BLOCKED", "RETRYING"):
        before = table._items["job"]["ttl"]
        after = table.apply(cancel("job", NOW))
        assert (after["state"], after["finished_at"], after["ttl"]) == ("CANCELLED", NOW, before)
        return
    with pytest.raises(Conflict) as conflict:
        table.apply(cancel("job", NOW))
    item = conflict.value.item
    if state == "absent":
        assert item is None
        return
    write = request_cancel(item, NOW)
    assert (write is not None) is (state == "RUNNING")
    if write is not None:
        assert table.apply(write)["cancel_requested_at"] == NOW
        item["cancel_requested_at"] = NOW - 7
        assert request_cancel(item, NOW).set["cancel_requested_at"] == NOW - 7  # the first one counts
        table._items["job"]["lease"] = "theirs"
        with pytest.raises(Conflict):
            table.apply(write)
