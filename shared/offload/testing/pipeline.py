"""A whole stack in this process: the real client and worker over the in-memory twins, under a virtual clock."""

from __future__ import annotations

import random
from collections import deque
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from offload.client.stand_ins import standing_in
from offload.core.clock import iso
from offload.core.durations import Duration, seconds
from offload.core.jobs.job import Job
from offload.core.manifest import DEFAULT_LANE, Manifest, dead_letter_name, queue_name
from offload.core.messages.waiting import MAX_RECEIVES
from offload.core.ports import OutgoingMessage
from offload.core.retention import DAY, DEAD_LETTER_DAYS, QUEUE_DAYS
from offload.core.tasks.manifest_entry import manifest_entry
from offload.core.tasks.references import check_references
from offload.memory.blobs import MemoryBlobs
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable
from offload.memory.timers import MemoryTimers
from offload.operate.dead_letters import DeadLetter, read_dead_letter
from offload.testing.dead_letters import check_expected, check_unexpected
from offload.testing.event_source import ACCOUNT, REGION, EventSourceMapping
from offload.testing.faults import FaultInjector, Faults
from offload.testing.green_threads import GreenThreads
from offload.testing.interrupts import Interrupts
from offload.testing.job_threads import threads_know_their_jobs
from offload.testing.lifetimes import LATE_DELETION, days_kept
from offload.testing.pipeline_client import PipelineClient
from offload.testing.processes import Killed, current_process
from offload.testing.run_recorder import RunRecorder
from offload.testing.simulated_worker import SimulatedWorker
from offload.testing.surroundings import producing_with, surrounded, write_manifest
from offload.testing.trace import MOST_EVENTS, TraceEntry
from offload.testing.watched_port import WatchedPort

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from types import TracebackType

    from offload.client import Client
    from offload.core.hooks import Hooks
    from offload.core.records import JobRecord
    from offload.core.tasks.task import AnyTask
    from offload.memory.queue import StoredMessage
    from offload.runtime.worker import Worker

STACK, BUCKET = "test", "memory"


class Pipeline:
    r"""A deployed stack of some tasks, in memory.

    Within `with Pipeline(...)`, and in a test that takes the `pipeline` fixture, `.delay()` and the clients of deployed
    stacks enqueue to this pipeline.
    Nothing runs until the test lets time pass with `run_until_idle` or `advance`. Then invocations run beside each
    other, in each lane as many as the task's `max_concurrency`, and a job that waits in virtual time lets others run.
    At the end, unexpected dead letters raise `DeadLettered`.

    Attributes:
        clock: The virtual clock; it begins at the present, or where `start` says.
        client: What `.delay()` uses, and what every `Client.from_stack()` becomes.
        store, queues, blobs, timers: The twins, each behind a `WatchedPort`, which records requests and can make them
            fail.
        runs: Every start of a task's function, in order.
        trace: The latest 10,000 events, in order; `print(*pipeline.trace, sep="\n")`.
        errors: The last exception of each job's runs, by job id.
        injector: Draws the random faults; None when nothing goes wrong.
        most_steps: Number of steps after which a pipeline counts as endless. A thousand jobs take 5,000 steps.
    """

    most_steps = 50_000
    _client_type: type[PipelineClient] = PipelineClient

    def __init__(
        self,
        *tasks: AnyTask[Any, Any],
        faults: Faults | None = None,
        seed: int = 0,
        start: datetime | None = None,
        hooks: Callable[[str], Sequence[Hooks]] = lambda _task: (),
    ) -> None:
        """Deploy some tasks.

        Args:
            tasks: The tasks.
            faults: The faults that happen; None for no faults.
            seed: Seed of job ids and jitter.
            start: Where the virtual clock begins, an aware datetime; None for the present.
            hooks: Called with a task's name; returns hooks for the workers of this task. Hooks that are registered with
                `add_hooks` are called too.
        """
        self.clock = GreenThreads(start)
        self._began_at = self.clock.now()
        self.rng = random.Random(f"pipeline {seed}")  # noqa: S311 - a simulation
        self.trace: deque[TraceEntry] = deque(maxlen=MOST_EVENTS)
        self._defects: list[Exception] = []
        self.injector = None if faults is None else FaultInjector(faults, self.clock, self._add_to_trace)
        self._interrupts = Interrupts()
        self._run_recorder = RunRecorder(self.clock, self.injector, self._interrupts, self._add_to_trace)
        self.runs, self.errors = self._run_recorder.runs, self._run_recorder.errors
        self._queues = MemoryQueues(self.clock, self.rng)
        self._table, self._bucket = MemoryTable(self.clock), MemoryBlobs(BUCKET, self.clock)
        self._table.deletion_delay, self._bucket.days_kept = lambda: LATE_DELETION, days_kept
        if self.injector is not None:
            self._queues.extra_delay = self.injector.delay
            self._table.deletion_delay = self.injector.deletion_delay
        self.store = self._watch(self._table)
        self.queues = self._watch(self._queues)
        self.blobs = self._watch(self._bucket)
        self.timers = self._watch(MemoryTimers(self.clock, self._queues))
        self.manifest = Manifest(STACK, ACCOUNT, REGION, "jobs", BUCKET, {}, {"group": "g", "role": "r"})
        self.client = self._client()
        self.tasks: dict[str, AnyTask[Any, Any]] = {}
        self._recorded_tasks: dict[str, AnyTask[Any, Any]] = {}
        self._hooks = hooks
        self._mappings: dict[str, EventSourceMapping] = {}
        self._may_dead_letter: set[str] = set()
        self._surroundings, self._entered = ExitStack(), False
        self.deploy(*tasks)

    def _watch(self, twin: Any) -> WatchedPort:
        port = WatchedPort(twin, self._add_to_trace)
        port.injector = self.injector
        return port

    def _client(self) -> Client:
        return self._client_type(
            self.manifest,
            store=self.store,
            queues=self.queues,
            blobs=self.blobs,
            timers=self.timers,
            clock=self.clock,
            rng=self.rng,
        )

    def deploy(self, *tasks: AnyTask[Any, Any]) -> None:
        """Deploy more tasks. A task replaces one of the same name; the messages in its queues stay.

        Raises:
            DefinitionError: A task names one that is not deployed, or that cannot follow it, in its settings.
        """
        known = {**self.tasks, **{task.name: task for task in tasks}}
        check_references(known, fix="Deploy the tasks that name each other in one call")
        for task in tasks:
            self.tasks[task.name] = task
            self.manifest.tasks[task.name] = manifest_entry(task)
            self._recorded_tasks[task.name] = self._run_recorder.recorded(task)
            for lane in task.settings.priorities:
                queue, dead = queue_name(STACK, task.name, lane), dead_letter_name(STACK, task.name, lane)
                replaced = self._mappings.get(queue)
                if replaced is None:
                    self._queues.create(dead, retention=DEAD_LETTER_DAYS * DAY)
                    self._queues.create(queue, dead_letter=dead, max_receives=MAX_RECEIVES, retention=QUEUE_DAYS * DAY)
                mapping = EventSourceMapping(
                    queue,
                    task,
                    queues=self._queues,
                    clock=self.clock,
                    injector=self.injector,
                    new_worker=partial(self.worker, task.name),
                    add_to_trace=self._add_to_trace,
                )
                mapping.invocations = replaced.invocations if replaced else 0
                self._mappings[queue] = mapping
        if self._entered:
            write_manifest()

    def worker(self, task: str | None = None) -> Worker:
        """Return the worker of a new sandbox; Lambda calls it with an event and a context."""
        recorded = self._recorded_tasks[task or self.task.name]
        return SimulatedWorker(
            recorded,
            store=self.store,
            queues=self.queues,
            blobs=self.blobs,
            timers=self.timers,
            clock=self.clock,
            rng=self.rng,
            hooks=self._hooks(recorded.name),
            defects=self._defects,
        )

    def __enter__(self) -> Self:
        """Let `.delay()` enqueue to this pipeline."""
        self._surroundings.enter_context(producing_with(self.client))
        self._surroundings.enter_context(surrounded(self.manifest, self._bucket))
        self._surroundings.enter_context(standing_in(self.client))
        self._surroundings.enter_context(threads_know_their_jobs())
        self._entered = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Restore the client that was used before, and check for unexpected dead letters.

        Raises:
            DeadLettered: There are unexpected dead letters.
        """
        self.close()
        if error is None:
            self.check_dead_letters()
        elif self.injector is not None:
            error.add_note(f"in a pipeline with {self.injector.faults}, begun at {iso(self._began_at)}")

    def close(self) -> None:
        """End every process, and restore the client that was used before."""
        self.clock.stop(Killed)
        self._surroundings.close()
        self._entered = False

    # Time

    def advance(self, duration: Duration) -> None:
        """Let time pass, and run the jobs that become due.

        Args:
            duration: Seconds, a `timedelta`, or a text such as `"2h"`.

        Raises:
            AssertionError: The pipeline does not come to an end, or a worker failed by a defect of its own.
        """
        until = self.clock.now() + round(seconds(duration, field="duration") * 1000)
        self._run_until(until)
        self.clock.advance_to(until)

    def run_until_idle(self) -> None:
        """Let time pass until every queue is empty and no timer waits; dead letters stay. See `advance`.

        Time jumps from one event to the next, so a wait of a month takes no real time.
        """
        self._run_until(None)

    def _run_until(self, until: int | None) -> None:
        with self._interrupts.watched():
            for _ in range(self.most_steps):
                moment = self._step()
                self._interrupts.check()
                if moment is None or (until is not None and moment > until):
                    break
                self.clock.advance_to(moment)
            else:
                waiting = len(self.waiting())
                raise AssertionError(f"the pipeline does not come to rest: {waiting} messages in its queues")
        if self._defects:
            raise AssertionError("the worker itself failed on a message") from self._defects[0]

    def _step(self) -> int | None:
        """Poll each queue that has a visible message; returns the time of the next event, None when there is none."""
        polled = False
        moments: list[int] = []
        for mapping in list(self._mappings.values()):
            moment = mapping.next_poll_at()
            if moment is not None and moment <= self.clock.now():
                mapping.poll(at_once=False)
                if self.injector is None:
                    self.clock.advance_to(self.clock.now())  # the invocation runs until it waits, before others begin
                polled = True
            elif moment is not None:
                moments.append(moment)
        if polled:
            return self.clock.now()  # a function that ran may have sent a message to any queue
        due = self.clock.next_due()
        return min([*moments, *([] if due is None else [due])], default=None)

    # Actions of a test

    def send(self, body: str, task: str | None = None, *, lane: str = DEFAULT_LANE, **options: Any) -> str:
        """Send a raw body to a task's queue, as any program can; returns the message id."""
        message_id: str = self.queues.send(self.queue(task, lane), OutgoingMessage(body, **options))
        return message_id

    def redrive(self, task: str | None = None, lane: str = DEFAULT_LANE) -> int:
        """Move all messages of a dead-letter queue back, as the AWS console does; returns their number.

        One second passes before the move.
        """
        self.clock.advance(1)
        queue = dead_letter_name(STACK, task or self.task.name, lane)
        count = len(self._queues.messages(queue))
        self._queues.redrive(queue)
        return count - len(self._queues.messages(queue))

    def kill(self) -> None:
        """End the process of the task that calls this method, as Lambda does when memory runs out.

        Raises:
            Killed: Always.
            RuntimeError: The caller is not a task.
        """
        process = current_process.get()
        if process is None:
            raise RuntimeError("kill() ends the process of the task that calls it; call it in a task")
        process.kill()

    def expect_dead_letters(self, *tasks: str) -> None:
        """Allow dead letters of some tasks, or of all tasks when none is named.

        Raises:
            UnknownTask: A task of such a name is not deployed here.
        """
        check_expected(tasks, self.tasks)
        self._may_dead_letter |= set(tasks or self.tasks)

    def check_dead_letters(self) -> None:
        """Check for unexpected dead letters. A late copy of a job's message does not count when the job ended well.

        Raises:
            DeadLettered: There are unexpected dead letters. The message names each job and its error.
        """
        __tracebackhide__ = True
        check_unexpected(letter for letter in self.dead_letters() if self._is_unexpected(letter))

    def _is_unexpected(self, dead_letter: DeadLetter) -> bool:
        return dead_letter.task not in self._may_dead_letter

    # State that a test can look at

    def job(self, job_id: str) -> Job:
        """Read a job's record."""
        return self.client.job(job_id)

    @property
    def jobs(self) -> list[Job]:
        """Every job's record, oldest first."""
        jobs = [Job.read(item) for item in self._items() if "state" in item]
        return sorted(jobs, key=lambda job: (job.created_at or 0, job.id))

    def record(self, job_id: str) -> JobRecord | None:
        """Return a job's record as it is stored; None when there is no record."""
        return cast("JobRecord | None", self._table.item(job_id))

    def _items(self) -> list[JobRecord]:
        """Return all items of the job table; the items of idempotency keys and rate limits have no `state`."""
        return cast("list[JobRecord]", self._table.items())

    def states(self, job_id: str) -> list[str]:
        """Return the job's history as states with their attempts, such as `RUNNING/1`."""
        return [f"{entry['state']}/{entry['attempt']}" for entry in self.job(job_id).history]

    def dead_letters(self, task: str | None = None) -> list[DeadLetter]:
        """Return the dead letters of one task or of all, with their jobs."""
        found: list[DeadLetter] = []
        for name in [task] if task else self.tasks:
            for lane in self.manifest.lanes(name):
                found += [read_dead_letter(self.record, name, lane, message) for message in self.dead(name, lane)]
        return found

    def dead(self, task: str | None = None, lane: str = DEFAULT_LANE) -> list[StoredMessage]:
        """Return the messages of a dead-letter queue, without their jobs."""
        return self._queues.messages(dead_letter_name(STACK, task or self.task.name, lane))

    def waiting(self, task: str | None = None) -> list[StoredMessage]:
        """Return the messages of the tasks' queues, hidden ones included."""
        names = [task] if task else list(self.tasks)
        return [
            message
            for name in names
            for lane in self.manifest.lanes(name)
            for message in self._queues.messages(self.queue(name, lane))
        ]

    # Single steps

    @property
    def task(self) -> AnyTask[Any, Any]:
        """The task of a pipeline that has exactly one task."""
        (task,) = self.tasks.values()
        return task

    def queue(self, task: str | None = None, lane: str = DEFAULT_LANE) -> str:
        """Return the name of a task's queue."""
        return queue_name(STACK, task or self.task.name, lane)

    def mapping(self, task: str | None = None, lane: str = DEFAULT_LANE) -> EventSourceMapping:
        """Return the event source mapping of a task's queue."""
        return self._mappings[self.queue(task, lane)]

    def poll(self, task: str | None = None, lane: str = DEFAULT_LANE, **invocation: Any) -> int:
        """Receive one batch and invoke the task's function now; see `EventSourceMapping.poll`."""
        return self.mapping(task, lane).poll(**invocation)

    def drain(self) -> None:
        """Poll all queues until no message can be received at this moment."""
        while sum(mapping.poll() for mapping in self._mappings.values()):
            pass

    def _add_to_trace(self, kind: str, *details: Any) -> None:
        process = current_process.get()
        self.trace.append(TraceEntry(self.clock.now(), process.name if process else "", kind, details))
