"""What comes between a worker or a producer and the services: an outage, or another process that is faster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from offload import Unavailable
from offload.core.messages.waiting import MAX_RECEIVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.core.writes import Write
    from offload.testing import Pipeline
    from offload.testing.watched_port import WatchedPort

_WITHOUT_END = 10**9

THROTTLED = Unavailable("throttled")
NO_ANSWER = Unavailable("no answer")
"""For a request whose answer is lost, with `after=True`: it was carried out."""


def any_request(*_arguments: Any, **_options: Any) -> bool:
    return True


def to_state(state: str) -> Callable[[Write[Any]], bool]:
    """Choose the writes that bring a job into a state."""
    return lambda write: write.set.get("state") == state


def to_record(job_id: str) -> Callable[[Write[Any]], bool]:
    """Choose the writes to one job's record."""
    return lambda write: write.id == job_id


@contextmanager
def outage(
    port: WatchedPort,
    method: str = "apply",
    error: BaseException = THROTTLED,
    *,
    where: Callable[..., bool] = any_request,
) -> Iterator[None]:
    """Fail every request of one kind within the block."""
    lasts = True
    port.fail(method, error, times=_WITHOUT_END, where=lambda *arguments: lasts and where(*arguments))
    try:
        yield
    finally:
        lasts = False


def just_before(
    port: WatchedPort, method: str, action: Callable[[], Any], *, where: Callable[..., bool] = any_request
) -> None:
    """Let something happen once, right before the next request of one kind is carried out."""
    carry_out = getattr(port.port, method)

    def request(*arguments: Any, **options: Any) -> Any:
        if where(*arguments, **options):
            setattr(port.port, method, carry_out)
            action()
        return carry_out(*arguments, **options)

    setattr(port.port, method, request)


def right_after(
    port: WatchedPort, method: str, action: Callable[[], Any], *, where: Callable[..., bool] = any_request
) -> None:
    """Let something happen once, after the next request of one kind was carried out and before it is answered."""
    carry_out = getattr(port.port, method)

    def request(*arguments: Any, **options: Any) -> Any:
        if not where(*arguments, **options):
            return carry_out(*arguments, **options)
        setattr(port.port, method, carry_out)
        answer = carry_out(*arguments, **options)
        action()
        return answer

    setattr(port.port, method, request)


def leave_receives(pipeline: Pipeline, left: int) -> None:
    """Receive what waits until so many receives are left, as happens to messages that never fit into their batch."""
    while pipeline.waiting()[0].receives < MAX_RECEIVES - left:
        pipeline.queues.receive(pipeline.queue(), limit=10, visibility=0)
