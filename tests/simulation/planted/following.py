"""Faults in follow-ups, in what a job hands on to others, and in how long its record lives."""

from __future__ import annotations

from offload.client import dead_letter_scan
from offload.client.sender import Parcel
from offload.core.jobs import ending
from offload.core.jobs.record import record_ttl
from offload.core.ports import OutgoingMessage
from offload.core.tasks import context
from offload.core.tasks.context import Origin
from offload.core.workflows import follow_ups
from offload.core.workflows.follow_ups import with_follow_up
from offload.runtime.copies import Copies
from offload.runtime.follow_ups import FollowUps
from offload.runtime.rejections import Rejections
from offload.runtime.run_ends import RunEnds
from tests.simulation.edits import Code, drop, put
from tests.simulation.planting import Mutant
from tests.simulation.selecting import argument, call, condition, key, statement

MUTANTS = (
    Mutant(
        "follow-up: an earlier end makes the record forget that of a later one",
        follow_ups.clear_follow_up,
        drop(condition("finished_at")),
        tests="tests/runtime/test_stale_follow_ups.py",
    ),
    Mutant("follow-up: an end after a redrive has none of its own", follow_ups.follow_up_id, put("redrives", "none")),
    Mutant("follow-up: a job that succeeds names none", RunEnds._apply, put(call(with_follow_up), Code("_0"))),
    Mutant(
        "follow-up: a message that can never run names none", Rejections._fail, put(call(with_follow_up), Code("_0"))
    ),
    Mutant("follow-up: the record never forgets it", FollowUps.enqueue, drop(statement(FollowUps._clear), times=2)),
    Mutant("follow-up: it is told of no attempt", follow_ups.follow_up_payload, put(key("attempt"), "tries")),
    Mutant(
        "enqueue: a tenant's job is sent without its fairness group",
        Parcel.outgoing,
        put(argument(OutgoingMessage, "group"), None),
    ),
    Mutant(
        "replace: the copy of a tenant's message has no fairness group",
        Copies.send,
        put(argument(OutgoingMessage, "group"), None),
    ),
    Mutant(
        "redrive: a tenant's job comes back without its fairness group",
        dead_letter_scan.sent_again,
        put(argument(OutgoingMessage, "group"), None, times=2),
    ),
    Mutant(
        "enqueue: a job of a job begins a chain of its own", context.origin, put(argument(Origin, "hops"), 0, times=2)
    ),
    Mutant(
        "life: the record of a job between attempts does not outlive its wait",
        ending.end_attempt,
        put(call(record_ttl), Code("_ - 10 * 86_400")),
    ),
)
