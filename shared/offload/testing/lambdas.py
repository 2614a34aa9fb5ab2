"""Lambda and its event source mapping, as far as a worker can tell: batches, sandboxes, limits, partial responses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from offload.testing.processes import Killed, Process, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.core.ports import Received
    from offload.core.tasks import Task
    from offload.memory.queues import MemoryQueues
    from offload.runtime.worker import Worker
    from offload.testing.actors import Actors
    from offload.testing.faults import Luck

REGION, ACCOUNT = "eu-west-1", "123456789012"

_LATE_AGAIN = 5.0
_COLD = 0.1


class Context:
    """A Lambda context whose time runs by the virtual clock."""

    memory_limit_in_mb = 256
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, function: str, clock: Actors, until: int) -> None:
        """Say when the invocation ends, in epoch milliseconds."""
        self.function_name = function
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
        self._clock, self._until = clock, until

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds left."""
        return max(0, self._until - self._clock.now())


class Mapping:
    """The event source mapping of one queue and the function behind it.

    Attributes:
        responses: What each invocation answered, oldest first.
        luck: Faults of deliveries and invocations; None for none.
        active: Invocations that have not ended.
        invocations: Invocations so far.
    """

    def __init__(
        self,
        queue: str,
        task: Task[Any, Any],
        *,
        queues: MemoryQueues,
        clock: Actors,
        luck: Luck | None,
        build: Callable[[], Worker],
        note: Callable[..., None],
    ) -> None:
        """Connect a queue to a task's function; `build` makes the worker of a new sandbox."""
        self.queue, self.task, self.luck = queue, task, luck
        self.responses: list[dict[str, Any]] = []
        self.active = 0
        self._queues, self._clock, self._build, self._note = queues, clock, build, note
        self._warm: list[Worker] = []
        self.invocations = 0

    def due(self) -> int | None:
        """Return when there is something to receive and a sandbox free for it; None while neither is in sight."""
        if self.active >= self.task.settings.max_concurrency:
            return None
        return self._queues.earliest(self.queue)

    def poll(self, *, seconds: float | None = None, ends: bool = True) -> int:
        """Hand one batch to the function; returns how many messages were received."""
        settings, luck = self.task.settings, self.luck
        limit = settings.batch_size
        if luck is not None and luck.draw("reorder", luck.faults.reorder):
            self._queues.shuffle(self.queue, luck.rng)
            limit = luck.rng.randint(1, limit)
        batch = self._queues.receive(self.queue, limit=limit, visibility=settings.hard_limit * 6)
        if not batch:
            return 0
        if luck is None:
            self.invoke(batch, seconds=seconds, ends=ends)
            return len(batch)
        for message in batch:
            if luck.draw("duplicate", luck.faults.duplicate):
                self._queues.hold(self.queue, message.message_id, luck.rng.uniform(0, _LATE_AGAIN))
        self.active += 1
        self._clock.start(lambda: self._later(batch), after=luck.rng.uniform(0, _COLD))
        return len(batch)

    def _later(self, batch: list[Received]) -> None:
        try:
            self.invoke(batch)
        finally:
            self.active -= 1

    def invoke(self, batch: list[Received], *, seconds: float | None = None, ends: bool = True) -> None:
        """Invoke the function with received messages and delete those it did not report.

        Args:
            batch: The messages.
            seconds: Time the invocation has; None is the function's timeout.
            ends: The process is killed when its time is over.
        """
        self.invocations += 1
        until = self._clock.now() + round((self.task.settings.hard_limit if seconds is None else seconds) * 1000)
        process = Process(f"{self.queue}#{self.invocations}", self._clock, until if ends else None)
        worker = self._warm.pop() if self._warm else self._build()
        event = {"Records": [record(self.queue, message) for message in batch]}
        with acting(process):
            self._note("invoke", [message.message_id for message in batch])
            try:
                response = worker(event, Context(self.task.name, self._clock, until))
                process.check()
            except Killed:
                self._note("killed")
                return
        self._warm.append(worker)
        self.responses.append(response)
        if self.luck is not None and self.luck.draw("response", self.luck.faults.response):
            return
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in batch:
            if message.message_id not in failed:
                self._queues.delete(self.queue, message.receipt)


@contextmanager
def acting(process: Process) -> Iterator[None]:
    """Let what happens in the block be done by a process."""
    token = running.set(process)
    try:
        yield
    finally:
        running.reset(token)


def record(queue: str, message: Received) -> dict[str, Any]:
    """Return a received message as Lambda's event has it."""
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
