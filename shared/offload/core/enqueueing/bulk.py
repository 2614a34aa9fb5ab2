"""Many jobs of one task at once: the request, the ids, and what may go wrong."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, overload

from offload.core.errors import DefinitionError, OffloadError, PayloadError
from offload.core.ids import JOB_ID, new_id

if TYPE_CHECKING:
    import asyncio
    import random
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from offload.core.enqueueing.handle import JobHandle
    from offload.core.enqueueing.request import EnqueueRequest

T = TypeVar("T")
H_co = TypeVar("H_co", covariant=True)

if TYPE_CHECKING:
    Progress = Callable[[int, int], None]
    """Told how many jobs are dealt with, and how many there are."""

MOST_NAMED = 20
"""Wrong calls that an error names one by one."""

MOST_KEPT = 100
"""Failed calls whose errors are kept."""

LONGEST_PREFIX = 64
"""Characters of an id prefix and its secret; the number and the tag still fit into a job id."""

_TAG_BYTES = 10
_MOST_DIGITS = 18
_PREFIX = re.compile(rf"({JOB_ID.pattern})(?:/({JOB_ID.pattern}))?")


class BulkRequest(NamedTuple):
    """Many jobs of one task.

    Attributes:
        task: The task's name.
        calls: One entry a job; read once, one by one.
        request: Makes the request of one entry, or raises why the entry is wrong.
        id_prefix: Where the ids of the jobs come from; see `IdPrefix`. None draws one.
        progress: Called with the number of jobs that are dealt with, and the number of all.
    """

    task: str
    calls: Iterable[Any]
    request: Callable[[Any], EnqueueRequest]
    id_prefix: str | None = None
    progress: Progress | None = None


class IdPrefix(NamedTuple):
    """Where the ids of many jobs come from: `PREFIX-0`, `PREFIX-1` and so on.

    An id is all that is needed to ask after a job, so nobody should find the ids of others from their own. With a
    secret, written `PREFIX/SECRET`, each id ends in a tag that cannot be computed without the secret.
    """

    name: str
    secret: str = ""

    @classmethod
    def draw(cls, rng: random.Random) -> IdPrefix:
        """Draw a prefix with a secret."""
        return cls(new_id(rng)[:8], new_id(rng))

    @classmethod
    def read(cls, text: str) -> IdPrefix:
        """Read a prefix that was given.

        Raises:
            DefinitionError: It cannot be part of a job id.
        """
        found = _PREFIX.fullmatch(text) if isinstance(text, str) and len(text) <= LONGEST_PREFIX else None
        if found is None:
            msg = (
                f"id_prefix={text!r} must be PREFIX or PREFIX/SECRET: letters, digits and _ . : - in both, "
                f"at most {LONGEST_PREFIX} characters in all"
            )
            raise DefinitionError(msg)
        return cls(found[1], found[2] or "")

    def __str__(self) -> str:
        """Return the text that `read` takes."""
        return f"{self.name}/{self.secret}" if self.secret else self.name

    def job_id(self, index: int) -> str:
        """Return the id of a job by its place among the calls."""
        job_id = f"{self.name}-{index}"
        if not self.secret:
            return job_id
        tag = hashlib.blake2b(job_id.encode(), key=self.secret.encode(), digest_size=_TAG_BYTES)
        return f"{job_id}-{tag.hexdigest()}"

    def index_of(self, job_id: str) -> int | None:
        """Return the place among the calls to which this prefix gives a job id; None when it gives it to none."""
        number = job_id.removeprefix(f"{self.name}-").partition("-")[0]
        if not (number.isascii() and number.isdecimal() and len(number) <= _MOST_DIGITS):
            return None
        return int(number) if self.job_id(int(number)) == job_id else None


class JobHandles(Sequence[H_co], Generic[H_co]):
    """The handles of many jobs, in the order of the calls. Each is made when it is asked for, so they need no memory.

    Attributes:
        id_prefix: Where the ids come from; the same calls under the same prefix enqueue only what is missing.
    """

    def __init__(self, count: int, id_prefix: str, handle: Callable[[int], H_co]) -> None:
        """Keep how many there are, and what makes the handle of a job by its place."""
        self.id_prefix: str = id_prefix
        self._count, self._handle = count, handle

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as each handle does.

        Raises:
            TypeError: Always; says what to send instead.
        """
        msg = (
            f"the handles of {counted(self._count, 'job')} cannot be pickled, because they have this process's client: "
            "send [handle.id for handle in handles], and call Client.from_stack().handle(id) there"
        )
        raise TypeError(msg)

    def __len__(self) -> int:
        """Return how many jobs there are."""
        return self._count

    def __repr__(self) -> str:
        """Show how many there are, without the prefix, which may hold a secret."""
        return f"<{counted(self._count, 'job')}>"

    @overload
    def __getitem__(self, index: int) -> H_co: ...
    @overload
    def __getitem__(self, index: slice) -> list[H_co]: ...
    def __getitem__(self, index: int | slice) -> H_co | list[H_co]:
        """Return the handle of one job, or a list of handles."""
        if isinstance(index, slice):
            return [self._handle(each) for each in range(*index.indices(self._count))]
        place = index + self._count if index < 0 else index
        if not 0 <= place < self._count:
            are = "is" if self._count == 1 else "are"
            raise IndexError(f"there {are} {counted(self._count, 'job')}, and no job {index}")
        return self._handle(place)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class ClashingCall(DefinitionError):
    """A call of a bulk has the id or the key of another call, and differs from it.

    Attributes:
        other: Index of the other call.
    """

    def __init__(self, name: str, other: int, fix: str) -> None:
        """Keep the name that both have, where the other call is, and what to do."""
        super().__init__(name, other, fix)
        self.other: int = other
        self._name, self._fix = name, fix

    def __str__(self) -> str:
        """Name the other call by its index."""
        return self.with_other(f"call {self.other}")

    def with_other(self, named: str) -> str:
        """Return the text with another name for the other call, such as its line in a file."""
        return f"{self._name} {named}{self._fix}"


class WrongCalls(PayloadError):
    """Some of many calls are wrong; nothing was sent.

    Attributes:
        errors: Index of each wrong call and its error, of the first twenty.
        count: How many are wrong in all.
    """

    def __init__(self, errors: Mapping[int, OffloadError], count: int, total: int) -> None:
        """Keep them, and name each."""
        named = "".join(f"\n  call {index}: {error}" for index, error in errors.items())
        more = f"\n  and {count - len(errors)} more" if count > len(errors) else ""
        are = "is" if count == 1 else "are"
        super().__init__(f"{count} of {counted(total, 'call')} {are} wrong, so nothing was enqueued:{named}{more}")
        self.errors: dict[int, OffloadError] = dict(errors)
        self.count: int = count


class PartlyEnqueued(OffloadError):
    """Some jobs of many are not known to be enqueued; one whose answer was lost may have been all the same.

    Enqueue the same calls again, in the same order and with `id_prefix=error.id_prefix`: what is missing is sent, and
    no job runs twice. Or enqueue single ones again under `options(id=error.ids[index])` or their key.

    Attributes:
        summary: How many failed, as a text.
        handles: One entry a call: the handle, or None where it failed.
        failed: How many failed.
        failures: Index of each failed call and its error, of the first hundred.
        ids: Of these, index of each call without a key and its job id.
    """

    def __init__(
        self,
        handles: JobHandles[JobHandle[Any] | None],
        failed: int,
        failures: Mapping[int, OffloadError],
        ids: Mapping[int, str],
    ) -> None:
        """Keep them, so that the caller can try the failed ones again."""
        index, error = next(iter(failures.items()))
        jobs, were = counted(len(handles), "job"), "was" if failed == 1 else "were"
        self.summary: str = f"{failed} of {jobs} {were} not enqueued, as far as is known"
        super().__init__(f"{self.summary}; the first, call {index}: {error}")
        self.handles: JobHandles[JobHandle[Any] | None] = handles
        self.failed: int = failed
        self.failures: dict[int, OffloadError] = dict(failures)
        self.ids: dict[int, str] = dict(ids)

    @property
    def id_prefix(self) -> str:
        """The prefix under which to enqueue the same calls again."""
        return self.handles.id_prefix


async def in_own_thread(
    work: Callable[[Iterable[Any], Progress], T], calls: Iterable[Any], progress: Progress | None
) -> T:
    """Enqueue many jobs in a thread, so that an event loop goes on meanwhile.

    The thread is no thread of `asyncio.to_thread`: those belong to the program, may all be busy, and a loop that ends
    waits for them.

    Args:
        work: Enqueues the jobs of some calls; it is given the function to report its progress to.
        calls: The calls.
        progress: Called with what is reported. When the caller is cancelled, the work ends at its next call or report.
    """
    import asyncio  # only async callers pay for these
    import contextvars
    import threading
    from concurrent.futures import Future

    cancelled = threading.Event()
    outcome: Future[T] = Future()
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    done = loop.create_future()

    def stop_if_cancelled() -> None:
        if cancelled.is_set():
            raise asyncio.CancelledError

    def read() -> Iterator[Any]:
        for call in calls:
            stop_if_cancelled()
            yield call
        stop_if_cancelled()

    def report(dealt_with: int, total: int) -> None:
        stop_if_cancelled()
        if progress is not None:
            progress(dealt_with, total)

    def run() -> None:
        try:
            outcome.set_result(context.run(work, read(), report))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
            outcome.set_exception(error)
        # A loop that was closed meanwhile has cancelled its callers.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_wake, done)

    # Nobody has to wait for what was cancelled, so the process may end before the thread does.
    threading.Thread(target=run, name="offload-many", daemon=True).start()
    try:
        await done
    finally:
        cancelled.set()
    return outcome.result()


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
