"""One thread that looks at all the jobs for which the `async` code of a process waits.

A wait costs no thread of its own: 10,000 waits are one thread and a request for every hundred jobs that are due for a
look. The waits may belong to any number of event loops. The thread starts with the first wait and ends soon after the
last one.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.client.forks import watch_forks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping

    from offload.core.clock import Clock
    from offload.core.jobs.job import Job
    from offload.core.jobs.polling import Wait
    from offload.core.records import JobRecord

MOST_KEYS = 100
"""Jobs that one request looks at, as many as DynamoDB allows."""

TOGETHER_MS = 50
"""A wait that is due so much later is looked at together with those that are due now."""

IDLE_SECONDS = 1.0
"""How long the thread stays when there is nothing to wait for. The next wait may come soon, and starts a new one."""


@dataclass(slots=True, eq=False)
class _Entry:
    """One wait of one loop.

    Attributes:
        job_id: The job.
        read: Makes the job of its record, or of there being none; raises what the caller is to be told.
        wait: When it is looked at.
        future: Where the caller waits.
        loop: The future's loop.
        given_up: The caller waits no more.
    """

    job_id: str
    read: Callable[[JobRecord | None], Job]
    wait: Wait
    future: asyncio.Future[Job]
    loop: asyncio.AbstractEventLoop
    given_up: bool = False


@dataclass(slots=True)
class _Answers:
    """What a round of looks has found out, by loop."""

    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Job], Job | Exception]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def tell(self) -> None:
        """Tell each loop in one call."""
        for loop, answers in self.by_loop.items():
            try:
                loop.call_soon_threadsafe(_settle, answers)
            except RuntimeError:  # it was closed meanwhile, so nobody waits
                continue


def _settle(answers: Iterable[tuple[asyncio.Future[Job], Job | Exception]]) -> None:
    for future, answer in answers:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class Poller:
    """Looks at jobs until they have ended.

    Args:
        look: Reads the records of up to a hundred jobs in one request.
        clock: Time; the thread waits in real time.
    """

    def __init__(self, look: Callable[[list[str]], Mapping[str, JobRecord]], clock: Clock) -> None:
        """Keep both; the thread starts with the first wait."""
        self._look, self._clock = look, clock
        self.after_fork()
        watch_forks(self)

    def after_fork(self) -> None:
        """Begin without waits; see `forks`. The waits of the parent's loops are the parent's."""
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, _Entry]] = []
        self._count = itertools.count()
        self._thread: threading.Thread | None = None

    async def wait(self, job_id: str, wait: Wait, read: Callable[[JobRecord | None], Job]) -> Job:
        """Wait until a job has ended.

        Args:
            job_id: Its id.
            wait: How long, and how often it is looked at.
            read: Makes the job of its record, or of there being none.

        Raises:
            OffloadError: What `read`, the wait or the request raises.
        """
        import asyncio  # only async callers pay for it

        loop = asyncio.get_running_loop()
        entry = _Entry(job_id, read, wait, loop.create_future(), loop)
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="offload-poller", daemon=True)
                thread.start()
                self._thread = thread
            self._add(entry, self._clock.now())
            self._changed.notify()
        try:
            return await entry.future
        finally:
            entry.given_up = True

    def _add(self, entry: _Entry, due: float) -> None:
        heapq.heappush(self._due, (due, next(self._count), entry))

    def _run(self) -> None:
        while (entries := self._next_entries()) is not None:
            answers, again = _Answers(), []
            by_job: dict[str, list[_Entry]] = defaultdict(list)
            for entry in entries:
                by_job[entry.job_id].append(entry)
            for keys in _parts(by_job, MOST_KEYS):
                again += self._look_at({key: by_job[key] for key in keys}, answers)
                answers.tell()
                answers.by_loop.clear()
            with self._changed:
                for entry, pause in again:
                    self._add(entry, self._clock.now() + pause * 1000)

    def _next_entries(self) -> list[_Entry] | None:
        """Wait for entries that are due and take them; None when there was none for a while, and the thread ends."""
        idle = False
        with self._changed:
            while True:
                now = self._clock.now()
                if self._due and self._due[0][0] <= now:
                    return self._take(now + TOGETHER_MS)
                if self._due:
                    self._changed.wait((self._due[0][0] - now) / 1000)
                elif idle:
                    self._thread = None
                    return None
                else:
                    self._changed.wait(IDLE_SECONDS)
                    idle = True

    def _take(self, until: float) -> list[_Entry]:
        taken: list[_Entry] = []
        while self._due and self._due[0][0] <= until:
            entry = heapq.heappop(self._due)[2]
            if not entry.given_up and not entry.loop.is_closed():
                taken.append(entry)
        return taken

    def _look_at(self, by_job: Mapping[str, list[_Entry]], answers: _Answers) -> list[tuple[_Entry, float]]:
        """Read some jobs; returns the entries that wait on, each with the seconds to its next look."""
        again: list[tuple[_Entry, float]] = []
        entries = [entry for each in by_job.values() for entry in each]
        try:
            records = self._look(list(by_job))
        except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told: nobody else sees this thread
            for entry in entries:
                answers.by_loop[entry.loop].append((entry.future, error))
            return again
        for entry in entries:
            try:
                job = entry.read(records.get(entry.job_id))
                if not job.state.ended:
                    pause, entry.wait = entry.wait.after_look(job, self._clock.now())
                    again.append((entry, pause))
                    continue
            except Exception as error:  # noqa: BLE001 - as above, a record that cannot be read included
                answers.by_loop[entry.loop].append((entry.future, error))
            else:
                answers.by_loop[entry.loop].append((entry.future, job))
        return again


def _parts(keys: Iterable[str], size: int) -> Iterable[list[str]]:
    rest = iter(keys)
    while part := list(itertools.islice(rest, size)):
        yield part
