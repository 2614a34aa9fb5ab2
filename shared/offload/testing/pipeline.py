"""A whole stack in this process: the real client and worker over the in-memory twins, under a virtual clock."""

from __future__ import annotations

import random
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from offload.client import Client
from offload.core import producing
from offload.core.durations import Duration, seconds
from offload.core.jobs import Job, State
from offload.core.manifest import DEFAULT_LANE, Manifest, dead_letter_name, queue_name
from offload.core.messages import job_id_of
from offload.core.ports import Outgoing
from offload.memory.blobs import MemoryBlobs
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable
from offload.memory.timers import MemoryTimers
from offload.runtime.worker import Worker
from offload.testing.actors import Actors
from offload.testing.faults import Faults, Luck
from offload.testing.lambdas import ACCOUNT, REGION, Mapping
from offload.testing.notes import Note, Quiet
from offload.testing.ports import Port
from offload.testing.processes import Killed, running
from offload.testing.runs import Watch

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from types import TracebackType

    from offload.core.jobs import Item
    from offload.core.tasks import Task
    from offload.memory.queues import Stored
    from offload.runtime.telemetry import Telemetry

STACK = "test"
_RETENTION = 14 * 86_400


class DeadLettered(AssertionError):
    """Messages ended in a dead-letter queue, and the test did not say that it expects that."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message in a dead-letter queue.

    Attributes:
        task: Whose queue it is.
        body: The message.
        job: Its job's record; None when no worker could record anything.
    """

    task: str
    body: str
    job: Job | None


class Pipeline:
    r"""A deployed stack of some tasks, in memory.

    Within `with Pipeline(...)`, or in a test that takes the `pipeline` fixture, `.delay()` enqueues here. Nothing runs
    before time is given: `run_until_idle` or `advance`. At the end, unexpected dead letters raise `DeadLettered`.

    Attributes:
        clock: The virtual time; it begins on 2026-01-01.
        client: The client that `.delay()` uses.
        store, queues, blobs, timers: The twins, each behind a `Port` that notes requests and can fail them.
        runs: Every start of a task's function, in order.
        notes: Everything that happened, in order; `print(*pipeline.notes, sep="\n")`.
        errors: The last exception of each job's runs, by job id.
        luck: Draws of the random faults; None without.
        most_steps: Events after which a pipeline is held to be restless; a thousand jobs take 5,000.
    """

    most_steps = 50_000
    _client_type: type[Client] = Client

    def __init__(
        self,
        *tasks: Task[Any, Any],
        faults: Faults | None = None,
        seed: int = 0,
        telemetry: Callable[[str], Telemetry] | None = None,
    ) -> None:
        """Deploy some tasks.

        Args:
            tasks: The tasks.
            faults: What goes wrong; None for nothing.
            seed: Of job ids and jitter.
            telemetry: Log and metrics of a task's worker by the task's name; None keeps neither.
        """
        self.clock = Actors()
        self.rng = random.Random(f"pipeline {seed}")  # noqa: S311 - a simulation
        self.notes: list[Note] = []
        self._defects: list[Exception] = []
        self.luck: Luck | None = None if faults is None else Luck(faults, self.clock, self._note)
        self._watch = Watch(self.clock, self.luck, self._note)
        self.runs, self.errors = self._watch.runs, self._watch.errors
        self._queues = MemoryQueues(self.clock, self.rng)
        if self.luck is not None:
            self._queues.late = self.luck.delay
        self.store = self._port(MemoryTable(self.clock))
        self.queues = self._port(self._queues)
        self.blobs = self._port(MemoryBlobs())
        self.timers = self._port(MemoryTimers(self.clock, self._queues))
        self.manifest = Manifest(STACK, ACCOUNT, REGION, "jobs", "bucket", {}, {"group": "g", "role": "r"})
        self.client = self._client()
        self.tasks: dict[str, Task[Any, Any]] = {}
        self._watched: dict[str, Task[Any, Any]] = {}
        self._telemetry = telemetry or (lambda _task: Quiet(self._defects))
        self._mappings: dict[str, Mapping] = {}
        self._expected: set[str] = set()
        self._before: producing.Producer | None = None
        self.deploy(*tasks)

    def _port(self, twin: Any) -> Port:
        port = Port(twin, self._note)
        port.luck = self.luck
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

    def deploy(self, *tasks: Task[Any, Any]) -> None:
        """Deploy some more tasks, or others in place of those of the same name, whose messages stay."""
        for task in tasks:
            lanes = list(task.settings.priorities)
            self.tasks[task.name] = task
            self.manifest.tasks[task.name] = lanes
            self._watched[task.name] = self._watch.over(task)
            for lane in lanes:
                queue, dead = queue_name(STACK, task.name, lane), dead_letter_name(STACK, task.name, lane)
                before = self._mappings.get(queue)
                if before is None:
                    self._queues.create(dead, retention=_RETENTION)
                    receives = task.settings.max_receives
                    self._queues.create(queue, dead_letter=dead, max_receives=receives, retention=_RETENTION)
                mapping = Mapping(
                    queue,
                    task,
                    queues=self._queues,
                    clock=self.clock,
                    luck=self.luck,
                    build=partial(self.worker, task.name),
                    note=self._note,
                )
                mapping.invocations = before.invocations if before else 0
                self._mappings[queue] = mapping

    def worker(self, task: str | None = None) -> Worker:
        """Return the worker of a new sandbox: what Lambda calls with an event and a context."""
        watched = self._watched[task or self.task.name]
        return _Simulated(
            watched,
            store=self.store,
            queues=self.queues,
            blobs=self.blobs,
            clock=self.clock,
            rng=self.rng,
            telemetry=self._telemetry(watched.name),
            max_receives=watched.settings.max_receives,
        )

    def __enter__(self) -> Self:
        """Let `.delay()` enqueue here."""
        self._before = producing.use(self.client)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Give the client in force back, and refuse unexpected dead letters.

        Raises:
            DeadLettered: There are some.
        """
        self.close()
        if error is None:
            self.check_dead_letters()
        elif self.luck is not None:
            error.add_note(f"in a pipeline with {self.luck.faults}")

    def close(self) -> None:
        """End every process and give back the client that was in force."""
        self.clock.stop(Killed)
        producing.use(self._before)

    # Time

    def advance(self, duration: Duration) -> None:
        """Let time pass, and whatever is due within it run.

        Args:
            duration: Seconds, a `timedelta`, or a text such as `"2h"`.

        Raises:
            AssertionError: Something goes round without end in no time.
        """
        until = self.clock.now() + round(seconds(duration, field="duration") * 1000)
        self._work_off(until)
        self.clock.advance_to(until)

    def run_until_idle(self) -> None:
        """Let time pass until nothing is left to do: every queue is empty, and no timer waits.

        Dead letters stay where they are. Time jumps from one event to the next, so waiting a month costs nothing.

        Raises:
            AssertionError: It does not come to rest.
        """
        self._work_off(None)

    def _work_off(self, until: int | None) -> None:
        for _ in range(self.most_steps):
            moment = self._step()
            if moment is None or (until is not None and moment > until):
                break
            self.clock.advance_to(moment)
        else:
            raise AssertionError(f"the pipeline does not come to rest: {len(self.waiting())} messages in its queues")
        if self._defects:
            raise AssertionError("the worker itself failed on a message") from self._defects[0]

    def _step(self) -> int | None:
        """Hand out what can be received now; returns the next moment at which something happens, None at the end."""
        busy = False
        moments: list[int] = []
        for mapping in list(self._mappings.values()):
            moment = mapping.due()
            if moment is not None and moment <= self.clock.now():
                mapping.poll()
                busy = True
            elif moment is not None:
                moments.append(moment)
        if busy:
            return self.clock.now()  # what one function has done may be for another's queue
        due = self.clock.next_due()
        return min([*moments, *([] if due is None else [due])], default=None)

    # What a test does to it

    def send(self, body: str, task: str | None = None, *, lane: str = DEFAULT_LANE, **options: Any) -> str:
        """Send a raw body, as any program may; returns its message id."""
        message_id: str = self.queues.send(self.queue(task, lane), Outgoing(body, **options))
        return message_id

    def redrive(self, task: str | None = None, lane: str = DEFAULT_LANE) -> int:
        """Move a dead-letter queue back, as the AWS console does, in a second; returns the number of messages."""
        self.clock.advance(1)
        queue = dead_letter_name(STACK, task or self.task.name, lane)
        before = len(self._queues.messages(queue))
        self._queues.redrive(queue)
        return before - len(self._queues.messages(queue))

    def kill(self) -> None:
        """In a task: end its process here, as running out of memory does.

        Raises:
            Killed: Always.
            RuntimeError: Outside of a task there is no such process.
        """
        process = running.get()
        if process is None:
            raise RuntimeError("kill() ends the process of the task that calls it; call it in a task")
        process.kill()

    def expect_dead_letters(self, *tasks: str) -> None:
        """Say that dead letters are expected: those of some tasks, or of all."""
        self._expected |= set(tasks or self.tasks)

    def check_dead_letters(self) -> None:
        """Refuse dead letters of tasks that are not expected to have any; a late copy of a job that ended well is none.

        Raises:
            DeadLettered: There are some; names each job and its error.
        """
        __tracebackhide__ = True
        found = [letter for letter in self.dead_letters() if letter.task not in self._expected and not _well(letter)]
        if found:
            lines = [f"  {letter.task}: {_reason(letter)}" for letter in found]
            text = "\n".join([f"{len(found)} dead letters; call expect_dead_letters() where they belong", *lines])
            raise DeadLettered(text)

    # What a test sees

    def job(self, job_id: str) -> Job:
        """Read a job's record."""
        return self.client.job(job_id)

    @property
    def jobs(self) -> list[Job]:
        """Every job's record, oldest first."""
        records = [Job.read(item) for item in self._items() if "state" in item]
        return sorted(records, key=lambda job: (job.created_at or 0, job.id))

    def item(self, job_id: str) -> Item | None:
        """Return a record as it is stored."""
        return next((item for item in self._items() if item["id"] == job_id), None)

    def _items(self) -> list[Item]:
        items: list[Item] = self.store.port.items()
        return items

    def states(self, job_id: str) -> list[str]:
        """Return the job's history as states with their attempts, such as `RUNNING/1`."""
        return [f"{entry['state']}/{entry['attempt']}" for entry in self.job(job_id).history]

    def dead_letters(self, task: str | None = None) -> list[DeadLetter]:
        """Return what lies in the dead-letter queues, of one task or of all."""
        found: list[DeadLetter] = []
        for name in [task] if task else self.tasks:
            for lane in self.manifest.lanes(name):
                for message in self.dead(name, lane):
                    item = self.item(job_id_of(message.body) or message.message_id)
                    job = Job.read(item) if item is not None and "state" in item else None
                    found.append(DeadLetter(name, message.body, job))
        return found

    def dead(self, task: str | None = None, lane: str = DEFAULT_LANE) -> list[Stored]:
        """Return the messages of a dead-letter queue."""
        return self._queues.messages(dead_letter_name(STACK, task or self.task.name, lane))

    def waiting(self, task: str | None = None) -> list[Stored]:
        """Return the messages of the tasks' queues, hidden ones included."""
        names = [task] if task else list(self.tasks)
        return [
            message
            for name in names
            for lane in self.manifest.lanes(name)
            for message in self._queues.messages(self.queue(name, lane))
        ]

    # One step at a time

    @property
    def task(self) -> Task[Any, Any]:
        """The only task."""
        (task,) = self.tasks.values()
        return task

    def queue(self, task: str | None = None, lane: str = DEFAULT_LANE) -> str:
        """Return the name of a task's queue."""
        return queue_name(STACK, task or self.task.name, lane)

    def mapping(self, task: str | None = None, lane: str = DEFAULT_LANE) -> Mapping:
        """Return what receives from a task's queue."""
        return self._mappings[self.queue(task, lane)]

    def poll(self, task: str | None = None, lane: str = DEFAULT_LANE, **invocation: Any) -> int:
        """Hand one batch to a worker now; see `Mapping.poll`."""
        return self.mapping(task, lane).poll(**invocation)

    def drain(self) -> None:
        """Hand out batches until nothing can be received at this moment."""
        while sum(mapping.poll() for mapping in self._mappings.values()):
            pass

    # Watching

    def _note(self, what: str, *details: Any) -> None:
        process = running.get()
        self.notes.append(Note(self.clock.now(), process.name if process else "", what, details))


def _unlimited(_seconds: float) -> AbstractContextManager[None]:
    return nullcontext()


class _Simulated(Worker):
    """A worker whose soft limit is the virtual clock's: the real timer would strike whoever has the turn."""

    soft_limit = staticmethod(_unlimited)


def _well(letter: DeadLetter) -> bool:
    return letter.job is not None and letter.job.state.terminal and letter.job.state is not State.FAILED


def _reason(letter: DeadLetter) -> str:
    if letter.job is None:
        return f"no job record: {letter.body[:200]}"
    error = letter.job.error or {}
    places = [line.strip() for line in error.get("traceback", "").splitlines() if line.lstrip().startswith("File ")]
    where = f" ({places[-1]})" if places else ""
    return f"job {letter.job.id} is {letter.job.state}: {error.get('type')}: {error.get('message')}{where}"
