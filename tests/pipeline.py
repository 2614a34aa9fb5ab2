"""A stack in this process: the real worker and client over the in-memory twins, with a stand-in for the mapping.

`Pipeline.poll` does what an event source mapping does with one batch: receive, invoke, delete what did not fail. Time
is virtual and every draw comes from one seed, so a run can be replayed.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any

from offload.client import Client
from offload.core import producing
from offload.core.manifest import Manifest, dead_letter_name, queue_name
from offload.memory.blobs import MemoryBlobs
from offload.memory.clock import VirtualClock
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable
from offload.memory.timers import MemoryTimers
from offload.runtime.telemetry import Telemetry
from offload.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.jobs import Item, Job
    from offload.core.tasks import Task
    from offload.memory.queues import Stored

STACK, REGION, ACCOUNT = "test", "eu-west-1", "123456789012"
DAY = 86_400


class Killed(BaseException):
    """The process is gone: nothing that would run after this does."""


@dataclass
class _Fault:
    method: str
    error: BaseException
    skip: int
    times: int
    after: bool
    where: Callable[..., bool]


class Spy:
    """A port that notes every call and fails when told to."""

    def __init__(self, port: Any) -> None:
        self._port = port
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._faults: list[_Fault] = []
        self.dead = False

    def fail(
        self,
        method: str,
        error: BaseException,
        *,
        skip: int = 0,
        times: int = 1,
        after: bool = False,
        where: Callable[..., bool] = lambda *_: True,
    ) -> None:
        """Fail calls of a method: the first `times` after `skip`, before they are carried out or `after`."""
        self._faults.append(_Fault(method, error, skip, times, after, where))

    def called(self, method: str) -> list[tuple[Any, ...]]:
        return [arguments for name, arguments in self.calls if name == method]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.dead:
                raise Killed
            self.calls.append((name, args))
            fault = self._due(name, args)
            if fault is not None and not fault.after:
                raise fault.error
            answer = method(*args, **kwargs)
            if fault is not None:
                raise fault.error
            return answer

        return call

    def _due(self, name: str, args: tuple[Any, ...]) -> _Fault | None:
        for fault in self._faults:
            if fault.method != name or not fault.times or not fault.where(*args):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
        return None


class Context:
    """A Lambda context whose time runs by the virtual clock."""

    function_name = "test-function"
    memory_limit_in_mb = 256
    invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:test-function"
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, clock: VirtualClock, seconds: float) -> None:
        self._clock, self._until = clock, clock.now() + round(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._until - self._clock.now())


class Pipeline:
    """A deployed stack of some tasks."""

    def __init__(self, *tasks: Task[Any, Any], seed: int = 7) -> None:
        self.clock = VirtualClock()
        self.rng = random.Random(seed)
        self.tasks = {task.name: task for task in tasks}
        self.store = Spy(MemoryTable(self.clock))
        self.queues = Spy(MemoryQueues(self.clock, self.rng))
        self.blobs = Spy(MemoryBlobs())
        self.timers = Spy(MemoryTimers(self.clock, self.queues))
        lanes = {name: list(task.settings.priorities) for name, task in self.tasks.items()}
        self.manifest = Manifest(STACK, ACCOUNT, REGION, "jobs", "bucket", lanes, {"group": "g", "role": "r"})
        self.client = Client(
            self.manifest,
            store=self.store,
            queues=self.queues,
            blobs=self.blobs,
            timers=self.timers,
            clock=self.clock,
            rng=self.rng,
        )
        for name, task in self.tasks.items():
            for lane in task.settings.priorities:
                dead = dead_letter_name(STACK, name, lane)
                self.queues.create(dead, retention=14 * DAY)
                self.queues.create(
                    queue_name(STACK, name, lane),
                    dead_letter=dead,
                    max_receives=task.settings.max_receives,
                    retention=14 * DAY,
                )
        self.log = StringIO()
        self._workers: dict[str, Worker] = {}
        self.responses: list[dict[str, Any]] = []

    @property
    def task(self) -> Task[Any, Any]:
        """The only task."""
        (task,) = self.tasks.values()
        return task

    def queue(self, task: str | None = None, lane: str = "default") -> str:
        return queue_name(STACK, task or self.task.name, lane)

    def worker(self, task: str | None = None) -> Worker:
        """The task's worker; one sandbox, kept warm until `kill`."""
        name = task or self.task.name
        if name not in self._workers:
            settings = self.tasks[name].settings
            telemetry = Telemetry(name)
            logging.getLogger().handlers[0].setStream(self.log)
            self._workers[name] = Worker(
                self.tasks[name],
                store=self.store,
                queues=self.queues,
                blobs=self.blobs,
                clock=self.clock,
                rng=self.rng,
                telemetry=telemetry,
                max_receives=settings.max_receives,
            )
        return self._workers[name]

    def kill(self) -> None:
        """End the process here, as running out of memory does; what it holds stays as it is."""
        for port in (self.store, self.queues, self.blobs, self.timers):
            port.dead = True
        raise Killed

    def send(self, body: str, task: str | None = None, **options: Any) -> str:
        """Send a raw body, as any program may; returns its message id."""
        from offload.core.ports import Outgoing

        return self.queues.send(self.queue(task), Outgoing(body, **options))

    def poll(self, task: str | None = None, lane: str = "default", *, seconds: float | None = None) -> int:
        """Hand one batch to the worker; returns how many messages were received."""
        settings = self.tasks[task or self.task.name].settings
        queue = self.queue(task, lane)
        batch = self.queues.receive(queue, limit=settings.batch_size, visibility=settings.hard_limit * 6)
        if batch:
            self.invoke(queue, batch, task, seconds=seconds)
        return len(batch)

    def invoke(self, queue: str, batch: list[Any], task: str | None = None, *, seconds: float | None = None) -> None:
        """Invoke the worker with received messages and delete those it did not report."""
        settings = self.tasks[task or self.task.name].settings
        context = Context(self.clock, settings.hard_limit if seconds is None else seconds)
        try:
            response = self.worker(task)({"Records": [_record(queue, message) for message in batch]}, context)
        except Killed:
            for port in (self.store, self.queues, self.blobs, self.timers):
                port.dead = False
            return
        self.responses.append(response)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in batch:
            if message.message_id not in failed:
                self.queues.delete(queue, message.receipt)

    def drain(self) -> None:
        """Poll every queue until nothing can be received at this moment."""
        while sum(self.poll(name, lane) for name, lanes in self.manifest.tasks.items() for lane in lanes):
            pass

    def settle(self, *, most: int = 2_000) -> None:
        """Let time pass until every queue is empty; what ends in a dead-letter queue stays there."""
        for _ in range(most):
            self.drain()
            moments = [message.visible_at for message in self.waiting()]
            due = self.clock.next_due()
            moments += [due] if due is not None else []
            if not moments:
                return
            self.clock.advance_to(max(min(moments), self.clock.now()))
        raise AssertionError("the pipeline does not come to rest")

    def waiting(self, task: str | None = None) -> list[Stored]:
        """Messages in the tasks' queues, hidden ones included."""
        names = [task] if task else list(self.manifest.tasks)
        return [
            message
            for name in names
            for lane in self.manifest.tasks[name]
            for message in self.queues.messages(self.queue(name, lane))
        ]

    def dead(self, task: str | None = None, lane: str = "default") -> list[Stored]:
        """Messages in a dead-letter queue."""
        return self.queues.messages(dead_letter_name(STACK, task or self.task.name, lane))

    def redrive(self, task: str | None = None, lane: str = "default") -> int:
        queue = dead_letter_name(STACK, task or self.task.name, lane)
        before = len(self.queues.messages(queue))
        self.queues.redrive(queue)
        return before - len(self.queues.messages(queue))

    def job(self, job_id: str) -> Job:
        return self.client.job(job_id)

    def item(self, job_id: str) -> Item | None:
        return next((item for item in self.store.items() if item["id"] == job_id), None)

    def states(self, job_id: str) -> list[str]:
        """The job's history as states with their attempts."""
        return [f"{entry['state']}/{entry['attempt']}" for entry in self.job(job_id).history]


def _record(queue: str, message: Any) -> dict[str, Any]:
    return {
        "messageId": message.message_id,
        "receiptHandle": message.receipt,
        "body": message.body,
        "attributes": {
            "ApproximateReceiveCount": str(message.receives),
            "SentTimestamp": str(message.sent_at),
            "SenderId": "AIDA",
            "ApproximateFirstReceiveTimestamp": str(message.first_received_at),
        },
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
        "awsRegion": REGION,
    }


class Stage:
    """Builds pipelines for a test and puts the process back as it was."""

    def __init__(self) -> None:
        root = logging.getLogger()
        self._root = root, root.handlers[:], root.level

    def __call__(self, *tasks: Task[Any, Any], seed: int = 7) -> Pipeline:
        pipeline = Pipeline(*tasks, seed=seed)
        producing.use(pipeline.client)
        return pipeline

    def close(self) -> None:
        producing.use(None)
        root, handlers, level = self._root
        root.handlers[:] = handlers
        root.setLevel(level)
