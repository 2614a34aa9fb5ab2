"""The invariants, each checked by name against everything that was written, sent and run; more are in `checks`.

| name | what must hold |
|---|---|
| I1 nothing lost | each message that came into a queue ends as a job that has ended; a FAILED one lies in the DLQ |
| I2 one winner | only the run that holds the lease records an end; what has ended changes only by a redrive |
| I3 honest attempts | an attempt is counted by a claim when it is due and allowed; one start follows each claim |
| I4 no second run | a job that has ended well is not claimed again |
| I5 culprit alone | a dead worker leaves one job unfinished, which runs after the others of its batch from then on |
| I6 replay | a redriven job runs again with attempt 1 and its history kept |
| I9 cancel lasts | a cancelled job is not claimed; one asked to stop sees it and is not tried again |
| I10 agreement | at rest no record waits for a message that does not exist, and a key names one job |
| ids | no worker writes the record of another task's job, and no record changes its task or its place in the index |
| waits | a job waits as long as it asked for; without an outage it starts within hours of its time |
| transitions | every change of state that is written stands in `TRANSITIONS` |
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from offload import RetryLater
from offload.core.ids import id_apart
from offload.core.jobs.ending import RELEASED
from offload.core.jobs.record import INDEXED, index_keys
from offload.core.jobs.state import TRANSITIONS, State
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.messages.message import job_id_of
from offload.core.retention import DAY
from offload.core.writes import Conflict, Write
from offload.testing.pipeline import STACK
from offload.testing.processes import current_process
from tests.simulation.checks import Checks
from tests.simulation.tasks import WATCHED

if TYPE_CHECKING:
    from offload.core.writes import Item
    from offload.memory.queue import StoredMessage
    from offload.testing import Pipeline
    from tests.simulation.plan import Book

_RUN_ENDS = (State.SUCCEEDED, State.RETRYING, State.FAILED, State.CANCELLED)
_DECIDED_BY_OTHERS = ("WorkerLost", "PayloadError", "MessageError", "UnknownTask", "IdTaken")
_ABOUT_MESSAGES = ("PayloadError", "MessageError", "UnknownTask")
_DRAWN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SEEN_WITHIN = 6_000
"""A run that watches looks three times more when it is asked to stop this many milliseconds after its start."""
_INSISTS_UNTIL_MS = 15_000
"""A worker tries to record an end until this much before its lease is over: its margin, a pause, and what it spares."""
_ENQUEUED_AGAIN_MS = 300_000
"""Within this, a program that had no answer enqueues a delayed job again. The first message comes at its own time."""
_WRITTEN_BY_WORKERS = ("id", "enqueued_at", "replaces", "copied_at", "first_sent_at", "unreturned")
_EARLY_MS, _KEY_WINDOW_MS, _IN_DEAD_LETTER_QUEUES_MS = 2_000, DAY * 1000, 14 * DAY * 1000
"""What the documents promise. The library's own constants would excuse a fault in themselves."""
_WELL = (State.SUCCEEDED, State.CANCELLED, State.EXPIRED)


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant: its name, the job it was broken for, and how."""

    name: str
    job_id: str
    how: str

    def __str__(self) -> str:
        return f"{self.name}: {self.job_id}: {self.how}"


@dataclass(slots=True)
class _Claim:
    job_id: str
    process: str
    at: int
    after_crash: bool
    lease: str
    lease_until: int
    ended: bool = False


class Watcher:
    """Follows a pipeline from its start, and judges it at its end.

    Attributes:
        violations: What was broken so far.
        most_late_ms: How much later than it is due a job may start; None does not judge that.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.violations: list[Violation] = []
        self.most_late_ms: int | None = None
        self._pipeline = pipeline
        self._claims: list[_Claim] = []
        self._sent: dict[str, tuple[str, str, str]] = {}
        self._redrives: dict[str, int] = {}
        self._left: dict[str, set[str]] = defaultdict(set)
        self._asked: dict[str, int] = {}
        self._unaware: list[tuple[_Claim, int]] = []
        self._ends: dict[str, State] = {}
        self._latest: dict[str, Item] = {}
        self._sent_at: dict[str, int] = {}
        self._limited = {name for name, each in pipeline.tasks.items() if each.settings.rate_limit is not None}
        self._checks = Checks(pipeline, self._broken)
        pipeline.store.port.on_applied = self._applied
        pipeline.queues.port.on_stored = self._stored
        pipeline.queues.port.on_moved = self._checks.moved

    def _broken(self, name: str, job_id: str, how: str) -> None:
        self.violations.append(Violation(name, job_id, how))

    # While it runs

    def _stored(self, queue: str, message: StoredMessage) -> None:
        job_id = job_id_of(message.body) or message.message_id
        self._sent[message.message_id] = (queue, job_id, message.body)
        self._sent_at[job_id] = self._pipeline.clock.now()
        self._checks.stored(queue, message)

    def _applied(self, write: Write, before: Item | None, after: Item) -> None:
        self._checks.applied(write, before, after)
        if "state" not in after:
            return  # a key or a rate limit
        process = current_process.get()
        actor = process.name if process else ""
        old, new = State(before["state"]) if before else None, State(after["state"])
        job_id = str(write.id)
        self._latest[job_id] = after
        self._keeps_to_its_task(job_id, actor, before, after)
        claims = new is State.RUNNING and (before is None or before.get("lease") != after["lease"])
        if claims and before is not None and not after["lease"]:
            self._released(job_id, actor, before, after)
        elif claims:
            self._claimed(job_id, actor, before, after)
        elif (before or {}).get("attempt", 0) != after["attempt"] and not _by_hand(before, after):
            self._broken("I3 honest attempts", job_id, f"{old} to {new} changed the attempt without a claim")
        if old is None and job_id in self._ends:
            self._broken("I4 no second run", job_id, f"the record of a job that was {self._ends[job_id]} is gone")
        if before is not None and old is not None:
            self._changed(job_id, actor, before, after, claims=claims)
        if (old is None or "state" in write.set) and new not in TRANSITIONS[old]:
            self._broken("transitions", job_id, f"{actor} wrote {old} to {new}")
        if new.ended:
            self._ends[job_id] = new

    def _keeps_to_its_task(self, job_id: str, actor: str, before: Item | None, after: Item) -> None:
        task = after["task"]
        if before is not None and before["task"] != task:
            self._broken("ids", job_id, f"{actor} made it a job of {task}")
        queues = [queue_name(STACK, task, lane) for lane in self._pipeline.manifest.lanes(task)]
        # A worker writes the first record of a job that its task enqueues, and nothing else of it.
        if before is not None and "#" in actor and actor.partition("#")[0] not in queues:
            self._broken("ids", job_id, f"{actor} wrote the record of a job of {task}")
        listed = State(after["state"]) in INDEXED
        if ("idx" in after) != listed or (listed and after["idx"] not in index_keys(task, State(after["state"]))):
            self._broken("ids", job_id, f"{actor} left it in the index as {after.get('idx')}, though {after['state']}")

    def _claimed(self, job_id: str, actor: str, before: Item | None, after: Item) -> None:
        old = State(before["state"]) if before else None
        after_crash = before is not None and old is State.RUNNING and bool(before["lease"])
        self._claims.append(
            _Claim(job_id, actor, self._pipeline.clock.now(), after_crash, after["lease"], after["lease_until"])
        )
        if old in _WELL:
            name = "I4 no second run" if old is State.SUCCEEDED else "I9 cancel lasts"
            self._broken(name, job_id, f"claimed although {old}")
        process = current_process.get()
        if process and process.deadline and after["lease_until"] < process.deadline:
            self._broken("I2 one winner", job_id, f"the lease of {actor} ends before its invocation does")
        fresh = before is not None and after.get("redrives", 0) != before.get("redrives", 0)
        expected = 1 if fresh else (before or {}).get("attempt", 0) + 1
        if after["attempt"] != expected:
            self._broken("I3 honest attempts", job_id, f"a claim set attempt {after['attempt']}, not {expected}")
        if after["attempt"] > after["max_attempts"]:
            self._broken("I3 honest attempts", job_id, f"attempt {after['attempt']} of {after['max_attempts']}")
        if before is not None:
            self._follows(job_id, before, after, fresh=fresh, after_crash=after_crash)

    def _follows(self, job_id: str, before: Item, after: Item, *, fresh: bool, after_crash: bool) -> None:
        """Check a claim against the record that it found."""
        old = State(before["state"])
        if old in (State.RETRYING, State.SCHEDULED):
            late = self._pipeline.clock.now() - before["next_at"]
            if late < -(_EARLY_MS if old is State.RETRYING else _ENQUEUED_AGAIN_MS):
                self._broken("I3 honest attempts", job_id, f"claimed {-late} ms before it was due")
            elif self.most_late_ms is not None and late > self.most_late_ms and before["task"] not in self._limited:
                self._broken("waits", job_id, f"claimed {late / 3_600_000:.1f} h after it was due")
        if old is State.FAILED and not fresh:
            self._broken("I6 replay", job_id, "FAILED to RUNNING without counting the redrive")
        if fresh and (left := {"cancel_requested_at", "follow_up"} & after.keys()):
            self._broken("I6 replay", job_id, f"redriven, and {min(left)} is left of the time before")
        if "cancel_requested_at" in before and not fresh:
            self._broken("I9 cancel lasts", job_id, "another attempt after a cancel was asked for")
        if after_crash:
            self._left[self._owner(before["lease"]).process].add(job_id)
        if after_crash and before["lease_until"] > self._pipeline.clock.now():
            self._broken("I2 one winner", job_id, "claimed while another's lease was alive")
        if after["history"][: len(before["history"])] != before["history"]:
            self._broken("I6 replay", job_id, "a claim changed the history before it")

    def _released(self, job_id: str, actor: str, before: Item, after: Item) -> None:
        """Check the release of a claim: only the process whose claim it was may do that, before it starts its run."""
        owner = next((claim for claim in self._claims if claim.lease == before["lease"]), None)
        if owner is None or owner.process != actor or after["attempt"] != before["attempt"] - 1:
            self._broken("I3 honest attempts", job_id, f"{actor} released a claim that is not its own, or not by one")
        else:
            self._claims.remove(owner)

    def _changed(self, job_id: str, actor: str, before: Item, after: Item, *, claims: bool) -> None:
        old, new = State(before["state"]), State(after["state"])
        if old in _WELL and (new is not old or before.get("result") != after.get("result")):
            self._broken("I2 one winner", job_id, f"{old} became {new}")
        if old is State.FAILED and not claims:
            rejected = new is State.FAILED and after["error"]["type"] in _DECIDED_BY_OTHERS
            if not rejected and not _by_hand(before, after) and (new is not old or before["error"] != after["error"]):
                self._broken("I2 one winner", job_id, f"FAILED became {new} or changed its error")
        if old is new is State.RUNNING and before.get("progress") != after.get("progress"):
            owner = self._owner(before["lease"]).process
            if actor != owner:
                self._broken("I2 one winner", job_id, f"{actor} wrote progress under the lease of {owner}")
        if old is new is State.RUNNING and "cancel_requested_at" in after:
            self._asked.setdefault(after["lease"], self._pipeline.clock.now())
        self._may_follow(job_id, actor, before, after)
        if old is State.RUNNING and new in _RUN_ENDS:
            self._finished(job_id, actor, before, after)

    def _may_follow(self, job_id: str, actor: str, before: Item, after: Item) -> None:
        """Check what may follow a state for some reasons alone."""
        old, new = State(before["state"]), State(after["state"])
        if old is State.RETRYING and new is State.FAILED and after["error"]["type"] != "PayloadError":
            self._broken("I2 one winner", job_id, f"{actor} failed it between attempts: {after['reason']}")
        if new is State.RETRYING is not old and after["error"]["type"] == "Permanent":
            self._broken("I3 honest attempts", job_id, "a permanent error is followed by another attempt")
        if new is State.EXPIRED and before.get("redrives"):
            self._broken("I6 replay", job_id, "expired after it was brought back")

    def _owner(self, lease: str) -> _Claim:
        return next(claim for claim in reversed(self._claims) if claim.lease == lease)

    def _finished(self, job_id: str, actor: str, before: Item, after: Item) -> None:
        new, now = State(after["state"]), self._pipeline.clock.now()
        if before["lease"] == RELEASED:  # nobody holds the job, and no run was ended
            misfit = new is State.FAILED and after["error"]["type"] == "PayloadError"  # it was read under the claim
            if not misfit and (new is not State.CANCELLED or "cancel_requested_at" not in before):
                self._broken("I2 one winner", job_id, f"{actor} recorded {new} of a job that nobody holds")
            return
        claim = self._owner(before["lease"])
        owner = claim.process
        if actor == owner:
            claim.ended = True
            if new is State.RETRYING:
                self._as_asked(job_id, after)
            if new is State.SUCCEEDED and "error" in after:
                self._broken("transitions", job_id, "it succeeded, and keeps the error of an attempt before")
            if after.get("result") == json.dumps(WATCHED) and claim.lease in self._asked:
                self._unaware.append((claim, self._asked[claim.lease]))
            return
        self._left[owner].add(job_id)
        for_the_dead = before["lease_until"] <= now and (
            (new is State.FAILED and after["error"]["type"] in _DECIDED_BY_OTHERS)
            or (new is State.CANCELLED and "cancel_requested_at" in before)
        )
        if not for_the_dead:
            self._broken("I2 one winner", job_id, f"{actor} recorded {new} under the lease of {owner}")

    def _as_asked(self, job_id: str, after: Item) -> None:
        """Check that a job that asked to run again later waits as long as it asked for."""
        error = self._pipeline.errors[job_id] if after["error"]["type"] == "RetryLater" else None
        asked = error.delay if isinstance(error, RetryLater) else None
        wait = (after["next_at"] - after["updated_at"]) / 1000  # the process may have stood still since it decided
        if asked is not None and not asked - 1 <= wait <= asked:
            self._broken("waits", job_id, f"waits {wait:g} s, and asked for {asked:g}")

    def redriven(self) -> None:
        """Note which failed jobs' dead letters are about to be sent back to their queues."""
        for dead_letter in self._pipeline.dead_letters():
            job = dead_letter.job
            if job is not None and job.state is State.FAILED and job.attempt:
                self._redrives[job.id] = job.redrives

    # At rest

    def judge(self, book: Book) -> list[Violation]:
        """Check what must hold when nothing is left to do; returns every violation found so far."""
        self._nothing_lost(book)
        self._honest_attempts()
        self._ends_are_recorded()
        self._culprits()
        self._cancels_are_seen()
        for job_id, redrives in sorted(self._redrives.items()):
            job = self._latest[job_id]
            still = job["state"] == State.FAILED and job.get("redrives", 0) == redrives
            if still and job["error"]["type"] not in _DECIDED_BY_OTHERS[1:]:
                self._broken("I6 replay", job_id, "was redriven and did not run again")
        self._keys(book)
        self._checks.judge(self._records())
        for job_id, complaint in book.complaints:
            self._broken("I10 agreement", job_id, complaint)
        return self.violations

    def _records(self) -> dict[str, Item]:
        """Return each job's record; of one whose time is over, and which is deleted by now, how it was."""
        now = self._pipeline.clock.now() / 1000
        records = {item["id"]: item for item in self._pipeline.store.port.items() if "state" in item}
        return {job_id: item for job_id, item in self._latest.items() if item.get("ttl", now + 1) <= now} | records

    def _nothing_lost(self, book: Book) -> None:
        pipeline = self._pipeline
        records = self._records()
        kept_from = pipeline.clock.now() - _IN_DEAD_LETTER_QUEUES_MS
        dead: set[str] = set()
        bodies: dict[str, Counter[str]] = defaultdict(Counter)
        for task in pipeline.manifest.tasks:
            for lane in pipeline.manifest.lanes(task):
                for message in pipeline.queues.port.messages(dead_letter_name(STACK, task, lane)):
                    dead.add(_recorded_as(records, task, job_id_of(message.body) or message.message_id))
                    bodies[task][_original(message.body)] += 1
        tasks = {
            queue_name(STACK, task, lane): task for task in pipeline.tasks for lane in pipeline.manifest.lanes(task)
        }
        for queue, named, body in sorted(set(self._sent.values())):
            job_id = _recorded_as(records, tasks[queue.removesuffix("-dlq")], named)
            record = records.get(job_id)
            if record is None:
                self._broken("I1 nothing lost", job_id, f"a message in {queue} left no record")
                continue
            # A body that can never run stays as it is; without an id, a redrive makes another job of it.
            another = not record["attempt"] and job_id_of(body) is None and bodies[record["task"]][_original(body)]
            is_kept = self._sent_at[named] > kept_from
            if record["state"] == State.FAILED and job_id not in dead and not another and is_kept:
                self._broken("I1 nothing lost", job_id, "FAILED without a dead letter")
        self._at_rest(records, dead, book)
        for (task, body), times in Counter((task, body) for task, body, at in book.poison if at > kept_from).items():
            if bodies[task][_original(body)] < times:
                self._broken("I1 nothing lost", "-", f"poison body of {task} is not in its DLQ unchanged: {body}")

    def _at_rest(self, records: dict[str, Item], dead: set[str], book: Book) -> None:
        if self._pipeline.waiting() or self._pipeline.timers.port.waiting():
            self._broken("I1 nothing lost", "-", "messages are left")
        for job_id, record in records.items():
            if not State(record["state"]).ended:
                where = "its message is a dead letter" if job_id in dead else "it has no message"
                self._broken("I10 agreement", job_id, f"{record['state']} for ever: {where}")
        for job_id in book.accepted:
            if job_id not in records:
                self._broken("I1 nothing lost", job_id, "a handle was given for a job that has no record")
            elif job_id in book.sound and records[job_id].get("error", {}).get("type") in _ABOUT_MESSAGES:
                self._broken("life", job_id, f"its message is sound, and it ended with {records[job_id]['error']}")

    def _honest_attempts(self) -> None:
        starts = Counter((run.job_id, run.process) for run in self._pipeline.runs)
        claims = Counter((claim.job_id, claim.process) for claim in self._claims)
        excused = self._died_or_unanswered()
        for pair in sorted(starts.keys() | claims.keys()):
            if starts[pair] > claims[pair]:
                self._broken(
                    "I3 honest attempts", pair[0], f"{pair[1]} started it {starts[pair]} times, claimed {claims[pair]}"
                )
            elif claims[pair] - starts[pair] > (pair in excused):
                self._broken("I3 honest attempts", pair[0], f"{pair[1]} claimed it and never started it")

    def _ends_are_recorded(self) -> None:
        """Check that a worker that lives records how its run ended, or has tried until its invocation was over."""
        died = {entry.process for entry in self._pipeline.trace if entry.kind == "killed"}
        last = {entry.process: entry.at for entry in self._pipeline.trace if entry.process}
        started = {(run.job_id, run.process) for run in self._pipeline.runs}
        for claim in self._claims:
            if claim.ended or claim.process in died or (claim.job_id, claim.process) not in started:
                continue
            if last[claim.process] < claim.lease_until - _INSISTS_UNTIL_MS:
                self._broken(
                    "I2 one winner", claim.job_id, f"{claim.process} lived on and did not record its run's end"
                )

    def _died_or_unanswered(self) -> set[tuple[str, str]]:
        """Return jobs and processes where a claim may have charged an attempt that never ran; see docs/guarantees.md.

        Either the process died, or it could not release the claim in time: its last write of the record before its
        invocation ended had no answer.
        """
        lease_until = {(claim.job_id, claim.process): claim.lease_until for claim in self._claims}
        could_not: dict[tuple[str, str], bool] = defaultdict(bool)
        died: set[str] = set()
        for entry in self._pipeline.trace:
            if entry.kind == "killed":
                died.add(entry.process)
            elif entry.kind == "request" and entry.details[0] == "apply":
                pair = entry.details[1][0].id, entry.process
                too_late = could_not[pair] and entry.at >= lease_until.get(pair, 0) - _INSISTS_UNTIL_MS
                could_not[pair] = _no_answer(entry.details[2]) or too_late
        return {pair for pair, unable in could_not.items() if unable or pair[1] in died}

    def _unanswered(self, *kinds: str) -> set[tuple[str, str]]:
        """Return jobs and processes of which some request went without an answer, or the process died of it."""
        found: set[tuple[str, str]] = set()
        for entry in self._pipeline.trace:
            if entry.kind == "request" and entry.details[0] in kinds and _no_answer(entry.details[2]):
                subject = entry.details[1][0]
                found.add((subject.id if isinstance(subject, Write) else str(subject), entry.process))
        return found

    def _culprits(self) -> None:
        excused = self._unanswered("apply")
        for process, jobs in self._left.items():
            if len(left := {job_id for job_id in jobs if (job_id, process) not in excused}) > 1:
                self._broken("I5 culprit alone", min(left), f"{process} died and left {sorted(left)} unfinished")
        by_process: dict[str, list[_Claim]] = defaultdict(list)
        for claim in self._claims:
            by_process[claim.process].append(claim)
        for process, claims in by_process.items():
            first = next((index for index, claim in enumerate(claims) if claim.after_crash), len(claims))
            for claim in claims[first:]:
                if not claim.after_crash:
                    self._broken("I5 culprit alone", claim.job_id, f"{process} ran it after a job that killed a worker")

    def _cancels_are_seen(self) -> None:
        excused = self._unanswered("apply", "get")
        for claim, asked_at in self._unaware:
            run = next(run for run in self._pipeline.runs if (run.job_id, run.process) == (claim.job_id, claim.process))
            if asked_at <= run.at + _SEEN_WITHIN and (claim.job_id, claim.process) not in excused:
                self._broken("I9 cancel lasts", claim.job_id, f"{claim.process} was asked to stop and never saw it")

    def _keys(self, book: Book) -> None:
        for (task, key), given in book.keys.items():
            for (first_at, first), (at, other) in pairwise(given):
                if first == other or at - first_at >= _KEY_WINDOW_MS:
                    continue
                job = self._latest[first]
                if not (job["state"] in (State.CANCELLED, State.EXPIRED) and job["attempt"] == 0):
                    self._broken("I10 agreement", first, f"key {key!r} of {task} named another job, {other}, meanwhile")


def _recorded_as(records: dict[str, Item], task: str, job_id: str) -> str:
    """Return the id of the record of a message in a task's queue: one of its own where the job id is another task's."""
    return job_id if job_id in records and records[job_id]["task"] == task else id_apart(job_id, task)


def _no_answer(answer: Any) -> bool:
    return isinstance(answer, BaseException) and not isinstance(answer, Conflict)


def _by_hand(before: Item | None, after: Item) -> bool:
    """Tell whether a write brings a failed job back by hand: it starts over, and its history goes on."""
    return (
        before is not None
        and (before["state"], after["state"]) == (State.FAILED, State.PENDING)
        and after.get("redrives", 0) == before.get("redrives", 0) + 1
        and after["attempt"] == 0
    )


def _original(body: str) -> str:
    """Return a body without what a replacement or a redrive wrote into it, so that it names its job."""
    try:
        data = json.loads(body)
    except ValueError:
        return body
    if not isinstance(data, dict) or not _DRAWN.fullmatch(str(data.get("id"))):
        return body
    return json.dumps({name: value for name, value in data.items() if name not in _WRITTEN_BY_WORKERS})
