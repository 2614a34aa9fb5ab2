"""One thread that looks at all the jobs for which the `async` code of a process waits.

A wait costs no thread of its own: 10,000 waits are one thread and a request for every hundred jobs that are due for a
look. A few requests are under way at once, in the threads of `request_threads`. The waits may belong to any number of
event loops, and each loop tells its own callers that their time is over, whatever the requests do. The thread starts
with the first wait and ends soon after the last one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import defaultdict, deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from offload.client.forks import watch_forks
from offload.client.loop_waits import Answers, LoopWait
from offload.client.request_threads import RequestThreads
from offload.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from offload.core.clock import Clock
    from offload.core.jobs.job import Job
    from offload.core.jobs.polling import Wait
    from offload.core.records import JobRecord

MOST_KEYS = 100
"""Jobs that one request looks at, as many as DynamoDB allows."""

MOST_LOOKS = 5
"""Requests under way at once: half of the threads, so that a silent table leaves the others to other services."""

TOGETHER_MS = 50
"""A wait that is due so much later is looked at together with those that are due now."""

IDLE_SECONDS = 1.0
"""How long the thread stays when there is nothing to wait for. The next wait may come soon, and starts a new one."""

LAST_LOOK = 0.03
"""Seconds for which the answer of the look at the end of a wait is waited for."""

FIRST_LOOK = 1.0
"""Seconds for which the answer of the first look is waited for, however short the caller's time is."""


class NotConnected(Exception):
    """The stack was never reached, so who waits is told why at once.

    Attributes:
        error: Why.
    """

    def __init__(self, error: Exception) -> None:
        """Keep the error."""
        super().__init__(error)
        self.error = error


class _Look(NamedTuple):
    """What a request has found out: records, or why there are none."""

    by_job: Mapping[str, list[LoopWait]]
    records: Mapping[str, JobRecord]
    failure: Exception | None


class Poller:
    """Looks at jobs until they have ended.

    Args:
        look: Reads the records of up to a hundred jobs in one request.
        clock: Time; the thread waits in real time.
        threads: Those in which requests are made; None: its own.
    """

    def __init__(
        self,
        look: Callable[[list[str]], Mapping[str, JobRecord]],
        clock: Clock,
        threads: RequestThreads | None = None,
    ) -> None:
        """Keep them; the thread starts with the first wait."""
        self._look, self._clock, self._threads = look, clock, threads or RequestThreads()
        self.after_fork()
        watch_forks(self)

    def after_fork(self) -> None:
        """Begin without waits; see `forks`. The waits of the parent's loops are the parent's."""
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, LoopWait]] = []
        self._under_way = 0
        self._answered: deque[_Look] = deque()
        self._count = itertools.count()
        self._thread: threading.Thread | None = None

    async def wait(self, job_id: str, wait: Wait, read: Callable[[JobRecord | None], Job]) -> Job:
        """Wait until a job has ended.

        A request that fails is made again while there is time, see `Wait.after_failure`. A wait that is over is told so
        at once: the answer of its last look is waited for no longer than 30 ms, that of its first one a second.

        Args:
            job_id: Its id.
            wait: How long, and how often it is looked at.
            read: Makes the job of its record, or of there being none.

        Raises:
            ResultTimeout: The time is over.
            OffloadError: What `read` or the request raises.
        """
        import asyncio  # only async callers pay for it

        loop = asyncio.get_running_loop()
        entry = LoopWait(job_id, read, wait, loop.create_future(), loop)
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="offload-poller", daemon=True)
                thread.start()
                self._thread = thread
            now = self._clock.now()
            self._add(entry, now)
            self._changed.notify()
        ends = []
        if wait.until is not None:
            left = max(0.0, (wait.until - now) / 1000) + LAST_LOOK
            ends = [
                loop.call_later(left, entry.time_out_if_looked_at),
                loop.call_later(max(left, FIRST_LOOK), entry.time_out),
            ]
        try:
            return await entry.future
        finally:
            entry.given_up = True
            for end in ends:
                end.cancel()

    def _add(self, entry: LoopWait, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._count), entry))

    def _run(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, _Look):
                self._tell(work)
            elif work:
                self._ask(work)

    def _next(self) -> _Look | dict[str, list[LoopWait]] | None:
        """Wait for an answer, or for entries that are due; None when there was nothing for a while: the thread ends."""
        idle = False
        with self._changed:
            while True:
                if self._answered:
                    return self._answered.popleft()
                now = self._clock.now()
                may_ask = self._under_way < MOST_LOOKS
                if self._due and may_ask and self._due[0][0] <= now:
                    return self._take(now + TOGETHER_MS)
                if self._due and may_ask:
                    self._changed.wait((self._due[0][0] - now) / 1000)
                elif self._due or self._under_way:
                    self._changed.wait()  # for an answer
                elif idle:
                    self._thread = None
                    return None
                else:
                    self._changed.wait(IDLE_SECONDS)
                    idle = True

    def _take(self, until: float) -> dict[str, list[LoopWait]]:
        """Take the entries for one request; none, when nobody waits for them any more."""
        taken: dict[str, list[LoopWait]] = defaultdict(list)
        while self._due and self._due[0][0] <= until:
            entry = self._due[0][2]
            waits = not entry.given_up and not entry.loop.is_closed()
            if waits and len(taken) == MOST_KEYS and entry.job_id not in taken:
                break
            heapq.heappop(self._due)
            if waits:
                taken[entry.job_id].append(entry)
        return taken

    def _ask(self, by_job: Mapping[str, list[LoopWait]]) -> None:
        with self._changed:
            self._under_way += 1
        try:
            self._threads.submit(partial(self._request, by_job))
        except RuntimeError as error:  # the interpreter is on its way out
            self._answer(_Look(by_job, {}, error))

    def _request(self, by_job: Mapping[str, list[LoopWait]]) -> None:
        try:
            look = _Look(by_job, self._look(list(by_job)), None)
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told: nobody else sees this thread
            look = _Look(by_job, {}, error)
        self._answer(look)

    def _answer(self, look: _Look) -> None:
        with self._changed:
            self._under_way -= 1
            self._answered.append(look)
            self._changed.notify()

    def _tell(self, look: _Look) -> None:
        """Tell those whose wait is over, and have the others looked at again."""
        answers, again = Answers(), []
        for entry in itertools.chain.from_iterable(look.by_job.values()):
            try:
                outcome = self._outcome(entry, look)
            except Exception as error:  # noqa: BLE001 - as above, a record that cannot be read included
                outcome = error
            entry.looked_at = True
            if isinstance(outcome, float):
                again.append((self._clock.now() + outcome * 1000, entry))
            else:
                answers.by_loop[entry.loop].append((entry.future, outcome))
        answers.tell()
        with self._changed:
            for due, entry in again:
                self._add(entry, due)

    def _outcome(self, entry: LoopWait, look: _Look) -> Job | Exception | float:
        """Return what the caller is to be told, or raise it; or else return the seconds to the next look."""
        now = self._clock.now()
        if isinstance(look.failure, NotConnected):
            return look.failure.error
        if isinstance(look.failure, Unavailable):
            pause, entry.wait = entry.wait.after_failure(entry.job_id, look.failure, now)
            return pause
        if look.failure is not None:
            return look.failure
        job = entry.read(look.records.get(entry.job_id))
        if job.state.ended:
            return job
        pause, entry.wait = entry.wait.after_look(job, now)
        return pause
