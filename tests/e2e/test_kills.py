"""Workers that are killed, an engine that is stopped, and a crowd of jobs of which many fail.

Each run notes itself in a ledger, a plain file that no part of the stack knows of: what the records say is held
against what really ran.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from offload import State, use
from offload.aws import sdk
from offload.aws.items import load_map
from offload.core.enqueueing.bulk import BulkRequest
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.messages.message import job_id_for, job_id_of
from offload.core.ports import OutgoingMessage

DIED = "the worker before it died"


class Ledger:
    """Where the runs of one test note themselves."""

    def __init__(self, file):
        self.path = str(file)
        file.touch()

    def lines(self):
        written = Path(self.path).read_text(encoding="utf-8")
        return [tuple(line.split()) for line in written.splitlines()]

    def attempts(self, word="starts"):
        """Count how often each attempt of each job noted a word."""
        return Counter((job_id, int(attempt)) for job_id, attempt, noted in self.lines() if noted == word)

    def of(self, job_id, word="starts"):
        return [int(attempt) for noted_id, attempt, noted in self.lines() if (noted_id, noted) == (job_id, word)]


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger")


def until(holds, timeout, what):
    """Wait until something holds, and return what it returned."""
    deadline = time.monotonic() + timeout
    while not (held := holds()):
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)
    return held


@contextmanager
def gathered(stack, task):
    """Hold a task's messages back until the block ends, so that its function is handed them in one batch."""
    functions = sdk.client("lambda")
    (mapping,) = functions.list_event_source_mappings(FunctionName=f"offload-{task}")["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    try:
        yield
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


def enqueue_all(stack, task, ledger, payloads):
    """Enqueue one job for each payload, to note its runs in the ledger; returns their handles."""
    requests = [EnqueueRequest(task, {"ledger": ledger.path, **payload}, CheckedOptions()) for payload in payloads]
    return stack.client.send_many(BulkRequest(task, requests, lambda each: each))


def empty(stack, task):
    """Tell whether no message is left in a task's queue, hidden or delayed ones included."""
    counts = stack.client.queues.counts(queue_name("offload", task))
    return counts.visible == counts.in_flight == counts.delayed == 0


def take_dead_letters(stack, task):
    """Take everything out of a task's dead-letter queue."""
    queue = dead_letter_name("offload", task)
    found = []
    while batch := stack.client.queues.receive(queue, limit=10, visibility=600):
        found += batch
    stack.client.queues.purge(queue)
    return found


def path(record):
    """Return a job's way through its states, each with its attempt."""
    return [(entry["state"], entry["attempt"]) for entry in record.history]


def test_a_killed_worker_costs_one_attempt_of_the_one_job_it_ran(stack, ledger):
    slow = 4  # the engine hands a batch out in the order in which it was sent
    with gathered(stack, "mortal"):
        jobs = enqueue_all(stack, "mortal", ledger, [{"seconds": 60.0 if n == slow else 0.0} for n in range(10)])
    culprit, ahead, behind = jobs[slow], jobs[:slow], jobs[slow + 1 :]

    running = until(lambda: (record := culprit.record()).progress and record, 30, "the slow job runs")
    pid = running.progress["current"]
    assert os.getpgid(pid) == stack.engine.record.pid, "only a process of this engine may be killed"
    os.kill(pid, signal.SIGKILL)
    assert [job.status() for job in ahead] == [State.SUCCEEDED] * len(ahead)
    assert [job.status() for job in behind] == [State.PENDING] * len(behind)
    ended = {job.id: job.record().finished_at for job in ahead}

    until(lambda: empty(stack, "mortal"), 90, "the queue empties")
    records = [job.record() for job in jobs]
    assert {record.state for record in records} == {State.SUCCEEDED}
    for record in records:
        if record.id != culprit.id:
            assert path(record) == [("PENDING", 0), ("RUNNING", 1), ("SUCCEEDED", 1)]
            assert ledger.of(record.id) == [1]
    assert {job.id: job.record().finished_at for job in ahead} == ended, "what had ended stays as it was"
    after = records[slow]
    assert path(after) == [("PENDING", 0), ("RUNNING", 1), ("RUNNING", 2), ("SUCCEEDED", 2)]
    assert after.history[2]["note"] == DIED
    assert ledger.of(after.id) == [1, 2]
    assert after.progress["current"] != pid
    assert after.started_at >= max(record.finished_at for record in records[slow + 1 :]), "it runs after its batch"
    assert take_dead_letters(stack, "mortal") == []


def test_jobs_that_end_their_own_worker_take_no_other_along(stack, ledger):
    dies = {2: 1, 5: 99}
    with gathered(stack, "mortal"):
        jobs = enqueue_all(stack, "mortal", ledger, [{"dies": dies.get(n, 0)} for n in range(10)])
    once, always = jobs[2], jobs[5]

    until(lambda: empty(stack, "mortal"), 120, "the queue empties")
    for job in jobs:
        if job not in (once, always):
            assert path(job.record()) == [("PENDING", 0), ("RUNNING", 1), ("SUCCEEDED", 1)]
            assert ledger.of(job.id) == [1]
    assert path(once.record()) == [("PENDING", 0), ("RUNNING", 1), ("RUNNING", 2), ("SUCCEEDED", 2)]
    record = always.record()
    assert path(record) == [("PENDING", 0), ("RUNNING", 1), ("RUNNING", 2), ("FAILED", 2)]
    assert (record.error["type"], record.error["attempt"]) == ("WorkerLost", 2)
    assert ledger.of(once.id) == ledger.of(always.id) == [1, 2]
    (dead_letter,) = take_dead_letters(stack, "mortal")
    body = json.loads(dead_letter.body)
    assert (body["id"], body["payload"]) == (always.id, {"ledger": ledger.path, "dies": 99})


def test_a_copy_that_comes_while_its_job_runs_waits_for_it(stack, ledger):
    job, *_ = enqueue_all(stack, "steady", ledger, [{"seconds": 2.5}])
    until(lambda: job.status() is State.RUNNING, 30, "the job runs")
    body = json.dumps({"id": job.id, "payload": {"ledger": ledger.path, "seconds": 2.5}})
    stack.client.queues.send(queue_name("offload", "steady"), OutgoingMessage(body))
    until(lambda: empty(stack, "steady"), 60, "the queue empties")
    assert job.record().attempt == 1
    assert ledger.lines() == [(job.id, "1", "starts"), (job.id, "1", "ends")]


def test_a_stopped_engine_goes_on_where_it_was(stack, ledger):
    def send(number, **payload):
        return enqueue_all(stack, "steady", ledger, [payload] * number)

    retried, refused = send(4, failures=1), send(2, refused=True)
    until(lambda: all(job.status() is State.RETRYING for job in retried), 30, "jobs wait for their retry")
    delayed = [
        stack.client.enqueue("steady", {"ledger": ledger.path}, delay=delay) for delay in ("1s", "10s", "20s", "30s")
    ]
    queued = send(40, seconds=0.4)
    expected = dict.fromkeys((job.id for job in [*delayed, *queued]), (State.SUCCEEDED, 1))
    expected |= dict.fromkeys((job.id for job in retried), (State.SUCCEEDED, 2))
    expected |= dict.fromkeys((job.id for job in refused), (State.FAILED, 1))

    until(lambda: sum(1 for job in queued if ledger.of(job.id, "ends")) >= 6, 30, "some jobs have ended")
    states = Counter(stack.client.job(job_id).state for job_id in expected)
    assert states[State.RETRYING] == len(retried)
    assert states[State.PENDING] >= 10
    assert min(states[State.SCHEDULED], states[State.SUCCEEDED]) >= 1
    noted = len(ledger.lines())
    until(lambda: ledger.lines()[noted:] and ledger.lines()[-1][2] == "starts", 30, "a run has just started")

    variables = stack.engine.env()
    stack.engine.stop()
    stopped_at = time.time() * 1000
    stack.engine.start()
    assert stack.engine.env() == variables
    kept = {job_id: stack.client.job(job_id) for job_id in expected}
    cut = {each.id for each in kept.values() if each.state is State.RUNNING and each.started_at <= stopped_at}
    assert cut

    until(lambda: empty(stack, "steady"), 120, "the queue empties")
    starts, ends = ledger.attempts("starts"), ledger.attempts("ends")
    assert set(starts.values()) == {1}, "no attempt starts twice"
    for job_id, (state, attempts) in expected.items():
        record = stack.client.job(job_id)
        charged = attempts + (job_id in cut)
        assert (record.state, record.attempt) == (state, charged), record
        notes = [entry.get("note") for entry in record.history]
        assert notes.count(DIED) == (job_id in cut)
        ran = ledger.of(job_id)
        if job_id in cut:
            # A run may be cut off before its first line, or after its last.
            assert set(ran) | {charged - 1} == set(range(1, charged + 1))
            assert (job_id, charged) in ends
        else:
            assert ran == list(range(1, attempts + 1))
            assert ledger.of(job_id, "ends") == ([attempts] if state is State.SUCCEEDED else [])
    assert {job_id for job_id, _ in starts} <= set(expected)
    dead = take_dead_letters(stack, "steady")
    assert {job_id_of(message.body) for message in dead} == {job.id for job in refused}


JOBS = 5_000
PRODUCERS = 3
TASKS = ("charge", "notify", "archive")


@dataclass(frozen=True)
class Plan:
    """How some jobs of the crowd are to end: in which state, after how many attempts, with which error."""

    weight: int
    state: State
    attempts: int
    error: str | None = None


PLANS = {
    "succeed": Plan(70, State.SUCCEEDED, attempts=1),
    "stumble": Plan(16, State.SUCCEEDED, attempts=2),
    "refuse": Plan(4, State.FAILED, attempts=1, error="Permanent"),
    "exhaust": Plan(3, State.FAILED, attempts=2, error="ConnectionError"),
    "invalid": Plan(4, State.FAILED, attempts=0, error="PayloadError"),
    "poison": Plan(3, State.FAILED, attempts=0, error="MessageError"),
}
WAYS = {"delay_many": 45, "send_many": 25, "bare": 20, "copies": 10}
"""How jobs are sent, with their weights."""

POISON = ("no json at all", "[1, 2]", '{"payload": 3}', '{"version": 1}', '{"payload": {}, "version": 9}')


@dataclass
class Sent:
    """One job of the crowd: what it is to do, and what was sent for it."""

    number: int
    task: str
    plan: str
    way: str
    copies: int = 1
    id: str = ""
    body: str | None = None

    def payload(self, ledger):
        number = "many" if self.plan == "invalid" else self.number
        return {"ledger": ledger.path, "number": number, "plan": self.plan}

    def bare(self, ledger):
        return {"payload": self.payload(ledger)} | ({"id": self.id} if self.id else {})


def crowd(rng, ledger):
    """Draw the jobs of the crowd."""
    for number in range(JOBS):
        (plan,) = rng.choices(list(PLANS), [plan.weight for plan in PLANS.values()])
        (way,) = rng.choices(list(WAYS), list(WAYS.values()))
        if plan == "poison":
            way = "bare"
        elif plan == "invalid" and way == "delay_many":
            way = "send_many"  # `delay_many` would refuse it
        job = Sent(number, rng.choice(TASKS), plan, way)
        if way == "copies":
            job.id, job.copies = f"copied-{number}", rng.choice((2, 3))
        if way in ("bare", "copies"):
            job.body = rng.choice(POISON) if plan == "poison" else json.dumps(job.bare(ledger))
        yield job


def dispatch(stack, ledger, jobs):
    """Send some jobs of one task, all in the same way."""
    task, way = jobs[0].task, jobs[0].way
    queue = queue_name("offload", task)
    if way == "copies":
        for few in batches(jobs, 3):  # a copy that is sent after its job has failed would be a redrive
            copies = [OutgoingMessage(job.body) for job in few for _ in range(job.copies)]
            assert all(isinstance(answer, str) for answer in stack.client.queues.send_batch(queue, copies))
        return
    if way == "delay_many":
        ids = [handle.id for handle in producer_of(task).delay_many([job.payload(ledger) for job in jobs])]
    elif way == "send_many":
        requests = [EnqueueRequest(task, job.payload(ledger), CheckedOptions()) for job in jobs]
        ids = [handle.id for handle in stack.client.send_many(BulkRequest(task, requests, lambda each: each))]
    else:
        ids = stack.client.queues.send_batch(queue, [OutgoingMessage(job.body) for job in jobs])
    for job, job_id in zip(jobs, ids, strict=True):
        job.id = job_id


def batches(jobs, size):
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def producer_of(task):
    """Import a task as its producer would."""
    spec = importlib.util.spec_from_file_location(task, Path(__file__).parent / "functions" / task / "handler.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, task)


def all_records(stack):
    pages = sdk.client("dynamodb").get_paginator("scan").paginate(TableName=stack.client.manifest.table)
    return {item["id"]: item for page in pages for item in map(load_map, page["Items"])}


def test_five_thousand_jobs_are_all_accounted_for(stack, ledger, capsys):
    jobs = list(crowd(random.Random(20), ledger))
    groups = {}
    for job in jobs:
        groups.setdefault((job.number // 500, job.task, job.way), []).append(job)
    began = time.monotonic()
    use(stack.client)
    try:
        with ThreadPoolExecutor(PRODUCERS) as producers:
            list(producers.map(lambda group: dispatch(stack, ledger, group), groups.values()))
    finally:
        use(None)
    sent = time.monotonic()
    until(lambda: all(empty(stack, task) for task in TASKS), 420, "the queues empty")
    done = time.monotonic()

    records = all_records(stack)
    wrong, runs, expected_dead, states = [], Counter(), Counter(), Counter()
    for job in jobs:
        plan = PLANS[job.plan]
        record = records.get(job.id, {})
        found = (record.get("state"), record.get("attempt"), record.get("error", {}).get("type"))
        states[f"{job.plan}: {found[0]}, attempt {found[1]}"] += 1
        if found != (plan.state, plan.attempts, plan.error):
            wrong.append((job, found))
        runs.update((job.id, attempt + 1) for attempt in range(plan.attempts))
        if plan.state is State.FAILED:
            expected_dead[job.task, job.id] += job.copies
    dead = [(task, message) for task in TASKS for message in take_dead_letters(stack, task)]
    with capsys.disabled():
        messages = sum(job.copies for job in jobs)
        print(f"\n{JOBS} jobs in {messages} messages: sent in {sent - began:.1f} s, done after {done - began:.1f} s")
        print(f"  {JOBS / (done - began):.0f} jobs/s, {sum(runs.values())} runs, {len(dead)} dead letters")
        for state, number in sorted(states.items()):
            print(f"  {number:5} {state}")

    assert wrong == []
    assert ledger.attempts() == runs, "each attempt ran once, and nothing else did"
    assert Counter((task, job_id_for(message)) for task, message in dead) == expected_dead
    unnamed = {message.message_id: message.body for _, message in dead if job_id_of(message.body) is None}
    never_ran = {job.id: job.body for job in jobs if job.way == "bare" and job.plan in ("poison", "invalid")}
    assert unnamed == never_ran, "what can never run is kept as it was sent; what ran and failed names its job"
    assert {job_id for job_id, record in records.items() if record.get("task") in TASKS} == {job.id for job in jobs}
