"""`Client`: enqueue jobs and ask after them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from offload.client import stand_ins
from offload.client.cancelling import cancel
from offload.client.connection import Connection, Connector, connect_to
from offload.client.named_tasks import NamedTasks
from offload.client.poller import NotConnected, Poller
from offload.client.request_threads import RequestThreads
from offload.client.retry_by_hand import ManualRetry
from offload.client.sender import Sender
from offload.core.clock import Clock, SystemClock
from offload.core.enqueueing.bulk import BulkRequest, in_own_thread
from offload.core.enqueueing.handle import JobHandle
from offload.core.enqueueing.options import CheckedOptions, EnqueueOptions
from offload.core.errors import Unavailable, unknown_job
from offload.core.hooks import call_hooks
from offload.core.ids import check_record_id, system_random
from offload.core.jobs.job import Job
from offload.core.jobs.manual_retry import LOOK_FOR_SECONDS
from offload.core.jobs.polling import Wait
from offload.core.jobs.state import State
from offload.core.manifest import DEFAULT_STACK, Manifest

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable
    from typing import Unpack

    from offload.client.sender import Sent
    from offload.core.durations import Duration
    from offload.core.enqueueing.bulk import JobHandles
    from offload.core.enqueueing.request import EnqueueRequest
    from offload.core.ports import Blobs, JobStore, Queues, Timers
    from offload.core.records import JobRecord

T = TypeVar("T")


class Client:
    """A producer's view of a deployed stack.

    One client serves a whole program: its threads, its event loops, and the processes that are forked from it. Methods
    whose names begin with `a`, and `await_`, are for `async` code.

    Args:
        manifest: What the stack is made of.
        store: Job table.
        queues: Queues.
        blobs: Large payloads and results.
        timers: One-time schedules, for delays over 15 minutes.
        clock: Time.
        rng: Job ids.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        store: JobStore,
        queues: Queues,
        blobs: Blobs,
        timers: Timers,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Keep the ports; nothing is called."""
        connection = Connection(manifest, store, queues, blobs, timers)
        self._begin(lambda _: connection, clock or SystemClock(), rng or system_random())

    def _begin(self, connect: Callable[[Connection | None], Connection], clock: Clock, rng: random.Random) -> None:
        self.clock: Clock = clock
        self._rng = rng
        self._connector = Connector(connect, clock)
        self._threads = RequestThreads()
        self._poller = Poller(self._records, clock, self._threads)
        self._named_tasks = NamedTasks(self._connector)

    @classmethod
    def from_stack(cls, stack: str | None = None) -> Client:
        """Return a client of a deployed stack, with the user's ordinary AWS configuration.

        Nothing is asked of AWS, and no SDK is loaded, before the client is used, so it can stand at module level. The
        first use reads the stack's manifest and may raise what is listed here; the next use tries again. Within the
        fixtures `eager` and `pipeline`, the client speaks to the stack of the test.

        Args:
            stack: The stack's name; None takes `OFFLOAD_STACK`, else `offload`.

        Raises:
            Refused: Not deployed here, no credentials, or no permission; says what to do. Raised by the first use.
            Unavailable: AWS (or the local engine) does not answer. Raised by the first use.
        """
        name = stack or os.environ.get("OFFLOAD_STACK", DEFAULT_STACK)
        client = cls.__new__(cls)
        client._begin(lambda known: connect_to(name, known), SystemClock(), system_random())  # noqa: SLF001 - its own
        stand_ins.note(client)
        return client

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a client has threads, connections and a source of ids of its own process."""
        raise TypeError("a Client cannot be pickled: call Client.from_stack() where it is to be used")

    @property
    def manifest(self) -> Manifest:
        """What the stack is made of, as it was last read."""
        return self._connector.connection().manifest

    @property
    def store(self) -> JobStore:
        """Job table."""
        return self._connector.connection().store

    @property
    def queues(self) -> Queues:
        """Queues."""
        return self._connector.connection().queues

    @property
    def blobs(self) -> Blobs:
        """Large payloads and results."""
        return self._connector.connection().blobs

    @property
    def timers(self) -> Timers:
        """One-time schedules."""
        return self._connector.connection().timers

    def _sender(self, task: str, lane: str | None) -> Sender:
        """Return the sender for a task and a lane: where the manifest lacks one of them, it is read again first."""
        known = self._connector.connection()
        if not known.manifest.has_lane(task, lane):
            known = self._connector.look_again(known)
        return Sender(known.manifest, known.store, known.queues, known.blobs, known.timers, self.clock, self._rng)

    def enqueue(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
        """Enqueue a job by the task's name, without importing it; its `result()` returns plain JSON values.

        Args:
            task: The task's name.
            payload: Arguments by name, as `.delay` takes them or as JSON values; see `request`.
            options: As `Task.options` takes them; see `EnqueueOptions`.

        Raises:
            UnknownTask: Not deployed in this stack.
            PayloadError: The arguments do not fit the task's signature; names each wrong one.
            DefinitionError: An option is wrong.
            IdTaken: The option `id` belongs to another task, or to a job that was enqueued without the option `key`.
            KeyReused: The option `key` names a job with other arguments.
            Unavailable: The queue did not answer. The job may have been enqueued all the same; to try again is
                safe under the same `id` or `key`.
        """
        return self.send(self.request(task, payload, **options))

    async def aenqueue(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> JobHandle[Any]:
        """`enqueue` for `async` code."""
        return await self.off_loop(lambda: self.enqueue(task, payload, **options))

    def request(self, task: str, payload: dict[str, Any], **options: Unpack[EnqueueOptions]) -> EnqueueRequest:
        """Check a job that is to be enqueued by its task's name, as `.delay` checks one; nothing is sent.

        The arguments are checked and written by the schema in the stack's manifest. A validator of the task's own runs
        in the worker. What the manifest refuses is asked of a newer one, if there is any.

        Raises:
            UnknownTask: Not deployed in this stack.
            PayloadError: The arguments do not fit the task's signature; names each wrong one.
            DefinitionError: An option is wrong.
        """
        return self._named_tasks.request(task, payload, CheckedOptions.read(options))

    def send(self, request: EnqueueRequest) -> JobHandle[Any]:
        """Enqueue one job; see `enqueue`."""
        call_hooks("before_enqueue", request)
        try:
            handle = self._handle(request, self._sender(request.task, request.options.priority).send(request))
        except BaseException as error:
            call_hooks("after_enqueue", request, None, error)
            raise
        call_hooks("after_enqueue", request, handle, None)
        return handle

    async def asend(self, request: EnqueueRequest) -> JobHandle[Any]:
        """`send` for `async` code."""
        return await self.off_loop(lambda: self.send(request))

    def enqueue_many(
        self,
        task: str,
        payloads: Iterable[dict[str, Any] | tuple[dict[str, Any], EnqueueOptions]],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> JobHandles[JobHandle[Any]]:
        """Enqueue many jobs of a task by its name; see `Task.delay_many`.

        Args:
            task: The task's name.
            payloads: One entry a job: its payload, or a pair of its payload and options of its own.
            progress: As in `Task.delay_many`.
            id_prefix: As in `Task.delay_many`.
            options: As `enqueue` takes them; an entry's own options win.

        Raises:
            UnknownTask: Not deployed in this stack.
            WrongCalls: Some payloads or options are wrong; nothing was sent.
            PartlyEnqueued: Some jobs are not known to be enqueued.
        """
        shared = CheckedOptions.read(options)

        def request(entry: dict[str, Any] | tuple[dict[str, Any], EnqueueOptions]) -> EnqueueRequest:
            if not isinstance(entry, tuple):
                return self._named_tasks.request(task, entry, shared)
            payload, own = entry
            return self._named_tasks.request(task, payload, CheckedOptions.read(own).over(shared))

        return self.send_many(BulkRequest(task, payloads, request, id_prefix, progress))

    async def aenqueue_many(
        self,
        task: str,
        payloads: Iterable[dict[str, Any] | tuple[dict[str, Any], EnqueueOptions]],
        *,
        progress: Callable[[int, int], None] | None = None,
        id_prefix: str | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> JobHandles[JobHandle[Any]]:
        """`enqueue_many` for `async` code; `payloads` is read and `progress` is called in another thread."""
        return await in_own_thread(
            lambda calls, told: self.enqueue_many(task, calls, progress=told, id_prefix=id_prefix, **options),
            payloads,
            progress,
        )

    def send_many(self, bulk: BulkRequest) -> JobHandles[JobHandle[Any]]:
        """Enqueue many jobs; see `enqueue_many`."""
        from offload.client.bulk import enqueue_many  # most workers enqueue one job at a time, or none

        return enqueue_many(self._sender, bulk, stand_ins.behind(self))

    def _handle(self, request: EnqueueRequest, sent: Sent) -> JobHandle[Any]:
        asked = stand_ins.behind(self)
        return JobHandle(sent.job_id, request.task, asked, request.read_result, created=sent.created)

    def job(self, job_id: str, task: str | None = None) -> Job:
        """Read a job's record.

        Args:
            job_id: Its id.
            task: The task it was accepted for, where that is known: then no record means PENDING, not yet written.

        Raises:
            UnknownJob: There is none.
            IdTaken: There is one of another task.
        """
        return self._read(self.store.get(check_record_id(job_id)), job_id, task)

    async def ajob(self, job_id: str, task: str | None = None) -> Job:
        """`job` for `async` code."""
        return await self.off_loop(lambda: self.job(job_id, task))

    def _records(self, job_ids: list[str]) -> dict[str, JobRecord]:
        try:
            store = self.store
        except Unavailable as error:
            raise NotConnected(error) from error
        return store.get_many(job_ids)

    def _read(self, record: JobRecord | None, job_id: str, task: str | None) -> Job:
        if record is None and task is not None:
            return Job(job_id, task, State.PENDING)
        if record is not None and "state" in record:
            return Job.read(record).of_task(task)
        raise unknown_job(job_id, self.manifest.stack)

    def handle(self, job_id: str) -> JobHandle[Any]:
        """Return a handle of a job by its id; its task is read from the record.

        Raises:
            UnknownJob: There is none.
        """
        return JobHandle(job_id, self.job(job_id).task, stand_ins.behind(self), created=None, _accepted=False)

    async def ahandle(self, job_id: str) -> JobHandle[Any]:
        """`handle` for `async` code."""
        return await self.off_loop(lambda: self.handle(job_id))

    def wait(self, job_id: str, timeout: Duration | None = None, task: str | None = None) -> Job:
        """Wait until a job has ended, looking more and more rarely (0.1 s up to every 2 s).

        A look that is not answered is made again, until the time is over, or for a minute.

        Args:
            job_id: Its id.
            timeout: A duration, such as `30` (seconds) or `"30s"`; None waits as long as it takes.
            task: As in `job`.

        Raises:
            ResultTimeout: It has not ended within `timeout` seconds; it goes on.
            UnknownJob: There is no such job.
            Unavailable: The stack could not be reached at all, or no look was answered for a minute.
            Refused: A look was refused, for instance for lack of a permission.
        """
        wait = Wait.begin(timeout, self.clock.now())
        self._connector.connection()  # a stack that was never reached is told at once
        while True:
            try:
                job = self.job(job_id, task)
            except Unavailable as error:
                pause, wait = wait.after_failure(job_id, error, self.clock.now())
            else:
                if job.state.ended:
                    return job
                pause, wait = wait.after_look(job, self.clock.now())
            self.clock.sleep(pause)

    async def await_(self, job_id: str, timeout: Duration | None = None, task: str | None = None) -> Job:  # noqa: ASYNC109 - the job's wait, not a scope's
        """`wait` for `async` code, whose timeout is told on time: many waits share one thread and its requests."""
        if not isinstance(self.clock, SystemClock):
            return await self.off_loop(lambda: self.wait(job_id, timeout, task))  # it is the wait that moves the clock
        check_record_id(job_id)
        wait = Wait.begin(timeout, self.clock.now())
        return await self._poller.wait(job_id, wait, lambda record: self._read(record, job_id, task))

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Run a call that makes a short request in another thread, so that the event loop goes on."""
        return await self._threads.run(call)

    def result_text(self, job: Job) -> str:
        """Read a succeeded job's result as JSON text.

        Raises:
            ResultExpired: It is past its `result_ttl`.
            Refused: The record names a result that is not the job's own.
        """
        job.check_result_life(self.clock.now())
        place = job.result_place(self.manifest.bucket)
        if place is not None:
            return self.blobs.get(place).decode()
        return job.result if job.result is not None else "null"

    def retry(self, job_id: str, timeout: Duration = LOOK_FOR_SECONDS, task: str | None = None) -> Job:
        """Run a job again by hand: one that failed, or one that waits for its next attempt.

        A failed job's dead letter is sent again: fresh attempts, history kept. That takes a read; for each look
        through the dead-letter queue (the job's lane first) a receive for every ten messages, one that finds no more,
        and a change of visibility for each message put back; then a send, a write and a delete. A message that just
        failed is still on its way there, so the look is repeated, with a read each time.

        A job that waits for its next attempt starts it now if its wait was longer than 15 minutes: a read and a write,
        and four requests to find the message of its timer, to send it and to delete the timer. A shorter wait cannot be
        cut: the attempt starts by `next_at` of the record that is returned. So does one whose timer was refused.

        Args:
            job_id: Its id.
            timeout: How long to look for a failed job's message.
            task: As in `job`.

        Returns:
            The record afterwards: PENDING, or RETRYING and started by `next_at`; a worker may be faster.

        Raises:
            WrongState: It neither failed nor waits for its next attempt.
            NoDeadLetter: It failed, but its message is not in the dead-letter queue, or not yet.
            UnknownJob: There is no such job.
        """
        known = self._connector.connection()
        manual = ManualRetry(known.manifest, known.store, known.queues, known.timers, self.clock, self.job)
        return manual.retry(job_id, timeout, task)

    async def aretry(self, job_id: str, timeout: Duration = LOOK_FOR_SECONDS, task: str | None = None) -> Job:  # noqa: ASYNC109 - how long to look, not a scope's
        """`retry` for `async` code."""
        return await self.off_loop(lambda: self.retry(job_id, timeout, task))

    def cancel(self, job_id: str, task: str | None = None) -> Job:
        """Cancel a job: one that waits never starts, a running one is asked to stop, an ended one stays as it is.

        Args:
            job_id: Its id.
            task: As in `job`; a job without a record gets one that says CANCELLED, which its worker heeds.

        Returns:
            The record afterwards.

        Raises:
            UnknownJob: There is no such job.
        """
        check_record_id(job_id)
        return cancel(self.store, job_id, task, self.clock, stack=lambda: self.manifest.stack)

    async def acancel(self, job_id: str, task: str | None = None) -> Job:
        """`cancel` for `async` code."""
        return await self.off_loop(lambda: self.cancel(job_id, task))
