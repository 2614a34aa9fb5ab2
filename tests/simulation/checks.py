"""Promises beside those about runs: follow-ups, dead letters, keys, results, lives, groups, hops, rates.

| name | what must hold |
|---|---|
| I1 dead letters | nothing comes to a dead-letter queue before its job has ended, unless it has another message |
| I8 follow-ups | each end has its one follow-up, which is enqueued before the record forgets it and knows the end |
| I10 keys | a key names a job of its task whose message was sent before the key was confirmed, and no other meanwhile |
| life | a record outlives each message of its job; a result stays as the run left it and can be read |
| quiet | a job that is tracked from its start has no record before |
| groups | each message of a job has the fairness group of the first one |
| I11 plain call | a process that a job has forked knows its job |
| hops | a job that another one enqueues knows its parent and is one hop further from the beginning |
| rate | slots are never closer than the rate allows; each start has a slot of its own, and comes after it |
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from offload.core.errors import MessageError, Refused, Unavailable
from offload.core.jobs.state import State
from offload.core.messages.message import MOST_HOPS, Message, job_id_of
from offload.core.retention import DAY
from offload.core.workflows.follow_ups import follow_up_id
from offload.testing.processes import current_process
from tests.simulation.tasks import LOST
from tests.simulation.workload import QUIET

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.records import JobRecord
    from offload.core.writes import Item, Write
    from offload.memory.queue import StoredMessage
    from offload.testing import Pipeline

    Broken = Callable[[str, str, str], None]

_LONGEST_IN_QUEUES = 14 * DAY
_RECORD_LIVES = 35 * DAY
"""What the documents promise, in seconds. The library's own constant would excuse a fault in itself."""
_RECEIVES = 4
"""How often a message is received that nobody can copy. A fault in each of them ends what a worker tries."""
_NO_ANSWER = (Unavailable, Refused)
_SLOWEST_WRITE = 7_200
"""Seconds from the decision for a write until it is carried out, at most: its process may stand still in between."""

_LONGEST_UNWRITTEN = 6 * DAY + 12 * 3_600
"""Seconds that a message waits at most without anybody writing its job's record: in a queue that stands still (see
`ages`), and then hidden, when no copy can be sent."""

_MICRO, _ROUNDED, _EARLY = 1_000_000, 0.99999, 0.002
"""A rate limit counts in microseconds; what it counts is rounded; clocks count in whole milliseconds."""


class Checks:
    """All checks of one simulation; `Watcher` tells them what is written, sent and moved."""

    def __init__(self, pipeline: Pipeline, broken: Broken) -> None:
        self._pipeline, self._broken = pipeline, broken
        self._ends: dict[str, tuple[str, Item]] = {}
        self._followed: set[str] = set()
        self._sent: set[str] = set()
        self._sent_at: dict[str, float] = {}
        self._groups: dict[str, str | None] = {}
        self._results: dict[str, str] = {}
        self._hops: dict[str, int] = {}
        self._timed: set[str] = set()
        self._slots: dict[str, list[float]] = defaultdict(list)

    # While it runs

    def applied(self, write: Write[Any], before: Item | None, after: Item) -> None:
        """Judge a write."""
        kind, _, rest = str(write.id).partition("#")
        if kind == "key":
            self._key(str(write.id), before, after)
        elif kind == "rate":
            self._slot(rest, before, after)
        elif "state" in after:
            self._quiet(before, after)
            self._follow_up(write, before, after)
            self._life(write, before, after)
            self._result(before, after)

    def stored(self, queue: str, message: StoredMessage) -> None:
        """Judge a message that was sent."""
        job_id, process = job_id_of(message.body) or message.message_id, current_process.get()
        by_operator = process is not None and process.name.startswith("redrive") and message.source is None
        if by_operator and job_id not in self._sent and _is_readable(message.body):
            self._broken("I6 replay", job_id, "a redrive brought a dead letter back as another job")
        self._sent.add(job_id)
        self._sent_at[job_id] = self._pipeline.clock.now() / 1000
        self._outlives(job_id, queue)
        data = _object(message.body)
        if queue.endswith("-dlq") or "payload" not in data:
            return
        if process is None:  # a one-time schedule sends a body alone, and a redrive keeps what it finds
            self._timed.add(job_id)
        if message.group is not None and self._groups.setdefault(job_id, message.group) != message.group:
            self._broken("groups", job_id, f"sent in group {message.group!r}, first in {self._groups[job_id]!r}")
        elif message.group is None and data.get("tenant") and job_id not in self._timed:
            self._broken("groups", job_id, f"sent without a group, though its tenant is {data['tenant']!r}")
        self._hop(job_id, data)

    def _outlives(self, job_id: str, queue: str) -> None:
        """Check that the record of a job that has not started outlives the message that is sent now.

        Between attempts, a worker that was overtaken while it stood still may write an earlier time meanwhile.
        """
        record, now = self._pipeline.record(job_id), self._pipeline.clock.now() / 1000
        waits = record is not None and record["attempt"] == 0 and not State(record["state"]).ended
        if record is None or not waits or queue.endswith("-dlq") or record["task"] != _task_of(queue):
            return
        if record["ttl"] < now + _RECORD_LIVES - _LONGEST_UNWRITTEN:
            self._broken(
                "life", job_id, f"its record lives {(record['ttl'] - now) / DAY:.1f} days after its message is sent"
            )

    def moved(self, queue: str, message: StoredMessage) -> None:
        """Judge a message that has come to a dead-letter queue."""
        job_id = job_id_of(message.body) or message.message_id
        record = self._pipeline.record(job_id)
        if record is not None and record["task"] != _task_of(queue):
            return  # it names another task's job, so it can never run
        state = State(record["state"]) if record is not None else None
        if state is not None and state.ended:
            return
        others = [other for other in self._pipeline.waiting() if (job_id_of(other.body) or other.message_id) == job_id]
        if not others and not self._pipeline.timers.port.waiting():
            self._broken("I1 dead letters", job_id, f"dead-lettered after {message.receives} receives, while {state}")

    def _quiet(self, before: Item | None, after: Item) -> None:
        process = current_process.get()
        if (
            before is None
            and after["id"].startswith(QUIET)
            and process is not None
            and process.name.startswith("quiet")
        ):
            self._broken("quiet", after["id"], f"{process.name} wrote a record, though it is tracked from its start")

    def _follow_up(self, write: Write[Any], before: Item | None, after: Item) -> None:
        job_id, new = after["id"], State(after["state"])
        targets = self._pipeline.tasks[after["task"]].settings.follow_ups
        if write.set.get("state") == new.value and new in targets:
            if after.get("follow_up") != targets[new]:
                self._broken("I8 follow-ups", job_id, f"{new}, and the record names {after.get('follow_up')}")
            expected, redrives = follow_up_id(after), after.get("redrives", 0)
            if expected in self._ends and self._ends[expected][1].get("redrives", 0) != redrives:
                self._broken("I8 follow-ups", job_id, f"two ends have the follow-up {expected}")
            self._ends[expected] = job_id, after
            self._followed.add(expected)
            return
        if before is None or "follow_up" not in before or "follow_up" in after:
            return
        expected = follow_up_id(before)
        if new is State(before["state"]):
            if expected not in self._sent and self._may_give_up(before):
                self._ends.pop(expected, None)
            elif expected not in self._sent and not self._ends_chain(job_id):
                self._broken("I8 follow-ups", job_id, f"the record forgets {expected}, which was not enqueued")
        elif expected not in self._sent:
            del self._ends[expected]  # brought back by hand before its follow-up could be enqueued

    def _may_give_up(self, record: Item) -> bool:
        """Tell whether no copy of the job's message can wait for its follow-up, which a service has just refused."""
        process = current_process.get()
        return record.get("error", {}).get("type") == "MessageError" and any(
            entry.kind == "request" and isinstance(entry.details[2], _NO_ANSWER)
            for entry in self._pipeline.trace
            if process is not None and entry.process == process.name
        )

    def _ends_chain(self, job_id: str) -> bool:
        """Tell whether a job is as far from the beginning of its chain as any may be: then nothing follows it."""
        return self._hops.get(job_id, 0) >= MOST_HOPS

    def _life(self, write: Write[Any], before: Item | None, after: Item) -> None:
        if "state" not in write.set or "ttl" not in after:
            return
        now, due = self._pipeline.clock.now() / 1000, after.get("next_at", 0) / 1000
        least = max(now, due) + _RECORD_LIVES - _SLOWEST_WRITE
        if "ttl" not in write.set:  # ended while it waits: its messages alone must find the record
            least = self._sent_at.get(after["id"], 0) + _LONGEST_IN_QUEUES
        if before is not None and before["state"] == State.SCHEDULED.value and "next_at" not in after:
            least = max(least, before.get("next_at", 0) / 1000 + _LONGEST_IN_QUEUES - _SLOWEST_WRITE)
        if after["ttl"] < least:
            self._broken("life", after["id"], f"the record lives {least - after['ttl']:.0f} s too short")

    def _result(self, before: Item | None, after: Item) -> None:
        if after["state"] == State.SUCCEEDED.value and (before is None or before["state"] != after["state"]):
            self._results[after["id"]] = text = self._text(after)
            readable = self._pipeline.tasks[after["task"]].settings.result_life
            if min(after["ttl"] * 1000, after["result_until"]) < after["finished_at"] + readable * 1000 - 1000:
                self._broken("life", after["id"], "its result is over too early")
            if text == json.dumps(LOST):
                self._broken("I11 plain call", after["id"], LOST)
            if text.startswith("("):
                self._broken("life", after["id"], f"its result is not there: {text}")

    def _stays(self, record: Item) -> None:
        """Check that a result is what it was, for as long as it can be read."""
        age, text = self._pipeline.clock.now() / 1000 - record["finished_at"] / 1000, self._text(record)
        if text != "(gone)" or age < self._pipeline.tasks[record["task"]].settings.result_life:
            self._broken("life", record["id"], f"its result became {text[:80]}")

    def _text(self, record: Item) -> str:
        """Return a job's result as its readers get it, or what is wrong with it."""
        if "result_ref" in record:
            blob = self._pipeline.blobs.port.find(record["result_ref"]["key"])
            return "(gone)" if blob is None else blob.data.decode()
        result = record.get("result", "null")
        return result if isinstance(result, str) else f"(no text: {result})"

    def _key(self, item_id: str, before: Item | None, after: Item) -> None:
        _, task, key = item_id.split("#", 2)
        job_id, record = after["job"], self._pipeline.record(after["job"])
        if record is not None and record["task"] != task:
            self._broken("I10 keys", job_id, f"key {key!r} of {task} names a job of {record['task']}")
        if "confirmed" in after and "confirmed" not in (before or {}) and not self._was_sent(job_id):
            self._broken("I10 keys", job_id, f"key {key!r} is confirmed, and no message was sent")
        if before is None or before["job"] == job_id or before["until"] <= self._pipeline.clock.now():
            return
        if not _never_started(self._pipeline.record(before["job"])):
            self._broken("I10 keys", before["job"], f"key {key!r} of {task} was given to {job_id} meanwhile")

    def _was_sent(self, job_id: str) -> bool:
        timers = self._pipeline.timers.port
        timed = (timers.get(name) for name in timers.waiting())
        return job_id in self._sent or any(job_id_of(each.body) == job_id for each in timed if each is not None)

    def _hop(self, job_id: str, data: dict[str, Any]) -> None:
        hops, parent = data.get("hops", 0), data.get("parent")
        self._hops[job_id] = hops
        child = job_id.endswith((".child", ".threaded"))
        if child and parent != job_id.rpartition(".")[0]:
            self._broken("hops", job_id, f"its parent is {parent}")
        if parent is not None and hops != self._hops.get(parent, 0) + 1:
            self._broken("hops", job_id, f"{hops} hops, and its parent {parent} has {self._hops.get(parent, 0)}")

    # At rest

    def judge(self, records: dict[str, Item]) -> None:
        """Judge each job's record when nothing is left to do."""
        for expected, (job_id, _) in self._ends.items():
            if expected not in records and not self._ends_chain(job_id) and not self._is_given_up(records[job_id]):
                self._broken("I8 follow-ups", job_id, f"no job {expected}")
        self._unconfirmed()
        followers = {target for task in self._pipeline.tasks.values() for target in task.settings.follow_ups.values()}
        for job_id, record in records.items():
            if "follow_up" in record and not self._is_given_up(record):
                self._broken("I8 follow-ups", job_id, f"{record['follow_up']} is still to be enqueued")
            if record["task"] in followers and record.get("parent") and job_id not in self._followed:
                self._broken("I8 follow-ups", job_id, f"follows no end of {record['parent']}")
            if record["state"] == State.SUCCEEDED.value and self._text(record) != self._results[job_id]:
                self._stays(record)
        self._outcomes(records)
        self._rates()

    def _is_given_up(self, record: Item) -> bool:
        """Tell whether a follow-up may be given up: no copy is made of a broken body, which has a few receives."""
        faults = sum(entry.kind == "fault" for entry in self._pipeline.trace)
        return record.get("error", {}).get("type") == MessageError.__name__ and faults >= _RECEIVES

    def _unconfirmed(self) -> None:
        """Check that a key is confirmed, unless somebody who used it died, or had no answer."""
        troubled = {
            entry.process
            for entry in self._pipeline.trace
            # Where a service refuses everything for a while, only the beginning is a fault of its own.
            if entry.kind == "fault" or (entry.kind == "request" and isinstance(entry.details[2], _NO_ANSWER))
        }
        users: dict[str, set[str]] = defaultdict(set)
        for entry in self._pipeline.trace:
            if entry.kind == "request" and entry.details[0] in ("apply", "apply_many"):
                for write in entry.details[1][0] if entry.details[0] == "apply_many" else entry.details[1][:1]:
                    users[write.id].add(entry.process)
        for item in self._pipeline.store.port.items():
            if item["id"].startswith("key#") and "confirmed" not in item and not users[item["id"]] & troubled:
                self._broken("I10 keys", item["job"], f"{item['id']} is not confirmed, though nothing went wrong")

    def _outcomes(self, records: dict[str, Item]) -> None:
        """Check what follow-ups were told: each run of one has left its argument in the result."""
        for follower, (job_id, end) in self._ends.items():
            told = _object(json.loads(records.get(follower, {}).get("result", "null")) or "")
            if told and (told.get("id"), told.get("state"), told.get("attempt")) != (
                job_id,
                end["state"],
                end["attempt"],
            ):
                self._broken("I8 follow-ups", job_id, f"{follower} was told of {told}")

    def _slot(self, task: str, before: Item | None, after: Item) -> None:
        """Note a slot that a rate limit has given: never two within the interval."""
        limit = self._pipeline.tasks[task].settings.rate_limit
        process = current_process.get()
        assert limit is not None
        assert process is not None
        if "tat" not in after or after["tat"] == (before or {}).get("tat"):
            return  # a place in the line
        interval = limit.interval() * _MICRO
        if after["tat"] - (before or {}).get("tat", 0) < interval * _ROUNDED:
            self._broken(
                "rate", task, f"{process.name} took a slot that is not {limit.interval()} s after the one before"
            )
        self._slots[process.name].append((after["tat"] - limit.burst * interval) / _MICRO)

    def _rates(self) -> None:
        """Check that each start has a slot of its own, and does not come before it."""
        starts: dict[str, list[float]] = defaultdict(list)
        for run in self._pipeline.runs:
            if self._pipeline.tasks[run.task].settings.rate_limit is not None:
                starts[run.process].append(run.at / 1000)
        for process, times in starts.items():
            for number, start in enumerate(sorted(times), 1):
                slots = sum(slot <= start + _EARLY for slot in self._slots[process])
                if slots < number:
                    self._broken("rate", process, f"start {number} at {start}, with {slots} slots until then")


def _never_started(record: JobRecord | None) -> bool:
    ended = record is not None and record["state"] in (State.CANCELLED.value, State.EXPIRED.value)
    return ended and record is not None and all(entry[0] != State.RUNNING.value for entry in record["history"])


def _is_readable(body: str) -> bool:
    try:
        Message.decode(body)
    except MessageError:
        return False
    return True


def _task_of(queue: str) -> str:
    return queue.removeprefix("test-").removesuffix("-dlq").removesuffix("-high")


def _object(body: str) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
