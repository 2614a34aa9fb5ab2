"""A simulation of Lambda and its event source mapping: batches, sandboxes, limits, partial responses."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from offload.core.errors import Unavailable
from offload.testing.green_threads import without_running_loop
from offload.testing.processes import Killed, Process, current_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.core.ports import ReceivedMessage
    from offload.core.tasks.task import AnyTask
    from offload.memory.queues import MemoryQueues
    from offload.runtime.worker import Worker
    from offload.testing.faults import FaultInjector
    from offload.testing.green_threads import GreenThreads

REGION, ACCOUNT = "eu-west-1", "123456789012"

_LONGEST_DUPLICATE_DELAY = 5.0
"""Seconds after which a duplicate of a message is received at the latest."""

_MOST_SILENT = 2
"""Receives in a row that a message may lose because its worker dies or its answer is lost. The guarantees assume
that a third worker lives."""

_LONGEST_COLD_START = 0.1
"""Seconds from the receive of a batch to its invocation, at most."""


class Context:
    """A Lambda context under the virtual clock."""

    memory_limit_in_mb = 256
    aws_request_id = "00000000-0000-0000-0000-000000000000"

    def __init__(self, function: str, clock: GreenThreads, timeout_at: int) -> None:
        """Keep when the invocation reaches its timeout, in epoch milliseconds."""
        self.function_name = function
        self.invoked_function_arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}"
        self._clock, self._timeout_at = clock, timeout_at

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that the invocation has left."""
        return max(0, self._timeout_at - self._clock.now())


class EventSourceMapping:
    """The event source mapping of one queue and the function behind it.

    Attributes:
        responses: The answer of each invocation, oldest first.
        injector: Draws the faults of deliveries and invocations; None when nothing goes wrong.
        active: Number of invocations that have not ended.
        stalled: Whether nothing is received, as when the mapping is disabled.
        invocations: Number of invocations so far.
    """

    def __init__(
        self,
        queue: str,
        task: AnyTask[Any, Any],
        *,
        queues: MemoryQueues,
        clock: GreenThreads,
        injector: FaultInjector | None,
        new_worker: Callable[[], Worker],
        add_to_trace: Callable[..., None],
    ) -> None:
        """Connect a queue to a task's function.

        Args:
            queue: Name of the queue.
            task: The task.
            queues: The queues in memory.
            clock: The virtual clock.
            injector: Draws the faults; None when nothing goes wrong.
            new_worker: Returns the worker of a new sandbox.
            add_to_trace: Called with the kind and the details of each event.
        """
        self.queue, self.task, self.injector = queue, task, injector
        self.responses: list[dict[str, Any]] = []
        self.active = 0
        self.stalled = False
        self._queues, self._clock = queues, clock
        self._new_worker, self._add_to_trace = new_worker, add_to_trace
        self._idle_workers: list[Worker] = []
        self.invocations = 0
        self._silent: Counter[str] = Counter()

    def next_poll_at(self) -> int | None:
        """Return when the first message becomes visible; None when the queue is empty or no invocation can start."""
        if self.stalled or self.active >= self.task.settings.max_concurrency:
            return None
        return self._queues.first_visible_at(self.queue)

    def poll(self, *, at_once: bool = True, seconds: float | None = None, kill_at_timeout: bool = True) -> int:
        """Receive one batch and invoke the function with it.

        Args:
            at_once: Return when the invocation has ended; False lets it run in a green thread, beside others. With
                faults each invocation does.
            seconds: As in `invoke`, for an invocation at once.
            kill_at_timeout: As in `invoke`, for an invocation at once.

        Returns:
            The number of messages received.
        """
        settings, injector = self.task.settings, self.injector
        limit = settings.batch_size
        if injector is not None and injector.draw("reorder", injector.faults.reorder):
            self._queues.shuffle(self.queue, injector.rng)
            limit = injector.rng.randint(1, limit)
        try:
            batch = self._queues.receive(self.queue, limit=limit, visibility=settings.hard_limit * 6)
        except Unavailable:
            return 0  # too many messages are in flight; Lambda's pollers wait, and are told nothing
        if not batch:
            return 0
        if injector is None and at_once:
            self.invoke(batch, seconds=seconds, kill_at_timeout=kill_at_timeout)
            return len(batch)
        cold_start = 0.0
        if injector is not None:
            for message in batch:
                if injector.draw("duplicate", injector.faults.duplicate):
                    delay = injector.rng.uniform(0, _LONGEST_DUPLICATE_DELAY)
                    self._queues.make_visible_in(self.queue, message.message_id, delay)
            cold_start = injector.rng.uniform(0, _LONGEST_COLD_START)
        self.active += 1
        # A task sees the context variables of the test, as under `eager`.
        self._clock.start(lambda: self._invoke_in_green_thread(batch), after=cold_start, context=copy_context())
        return len(batch)

    def _invoke_in_green_thread(self, batch: list[ReceivedMessage]) -> None:
        try:
            self.invoke(batch)
        finally:
            self.active -= 1

    def invoke(
        self, batch: list[ReceivedMessage], *, seconds: float | None = None, kill_at_timeout: bool = True
    ) -> None:
        """Invoke the function with received messages, and delete the messages that it does not report as failed.

        Args:
            batch: The messages.
            seconds: Time that the invocation has; None means the function's timeout.
            kill_at_timeout: Kill the process when this time is over; False lets the process run on.
        """
        self.invocations += 1
        timeout_at = self._clock.now() + round((self.task.settings.hard_limit if seconds is None else seconds) * 1000)
        process = Process(f"{self.queue}#{self.invocations}", self._clock, timeout_at if kill_at_timeout else None)
        process.spared = any(self._silent[message.message_id] >= _MOST_SILENT for message in batch)
        self._silent.update(message.message_id for message in batch)
        worker = self._idle_workers.pop() if self._idle_workers else self._new_worker()
        event = {"Records": [event_record(self.queue, message) for message in batch]}
        with act_as(process), without_running_loop():
            self._add_to_trace("invoke", [message.message_id for message in batch])
            try:
                response = worker(event, Context(self.task.name, self._clock, timeout_at))
                process.check()
            except Killed:
                self._add_to_trace("killed")
                return
        self._idle_workers.append(worker)
        self.responses.append(response)
        if not process.spared and self.injector and self.injector.draw("response", self.injector.faults.response):
            return
        if self._clock.now() < timeout_at:  # else it stood still, and its messages were received once more since
            for message in batch:
                del self._silent[message.message_id]
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in batch:
            if message.message_id not in failed:
                self._queues.delete(self.queue, message.receipt)


@contextmanager
def act_as(process: Process) -> Iterator[None]:
    """Run the block as a process: requests in the block are requests of this process."""
    token = current_process.set(process)
    try:
        yield
    finally:
        current_process.reset(token)


def event_record(queue: str, message: ReceivedMessage) -> dict[str, Any]:
    """Return a received message in the form that it has in Lambda's event."""
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
