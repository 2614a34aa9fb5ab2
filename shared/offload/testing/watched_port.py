"""A wrapper around an in-memory port: it records every request, and can make requests fail."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.errors import Unavailable
from offload.testing.processes import current_process
from offload.testing.trace import MOST_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing.faults import FaultInjector
    from offload.testing.processes import Process


@dataclass(slots=True)
class _Failure:
    method: str
    error: BaseException
    skip: int
    times: int
    after: bool
    where: Callable[..., bool]


class WatchedPort:
    """A port whose requests are recorded and can fail.

    Attributes:
        port: The wrapped port.
        calls: The latest requests, at most `MOST_EVENTS`: method and positional arguments.
        injector: Makes faults in the requests of processes; None when nothing goes wrong. Requests of the test itself
            have no faults.
    """

    def __init__(self, port: Any, add_to_trace: Callable[..., None]) -> None:
        """Wrap `port`; `add_to_trace` is called with each request and its answer or error."""
        self.port = port
        self.calls: deque[tuple[str, tuple[Any, ...]]] = deque(maxlen=MOST_EVENTS)
        self.injector: FaultInjector | None = None
        self._add_to_trace = add_to_trace
        self._failures: list[_Failure] = []

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
        """Make the next requests of one method fail.

        Args:
            method: The port's method, such as `"apply"`; see `offload.core.ports`.
            error: The error that the request raises.
            skip: Number of requests that succeed before.
            times: Number of requests that fail.
            after: Raise the error after the request was carried out, as if its answer was lost.
            where: Called with the arguments of a request; only requests for which it returns True are counted.
        """
        self._failures.append(_Failure(method, error, skip, times, after, where))

    def called(self, method: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each request of one method, as far as `calls` has them."""
        return [arguments for name, arguments in self.calls if name == method]

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the wrapped port; a method is returned in a form that records its calls."""
        method = getattr(self.port, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            process = current_process.get()
            if process is not None:
                process.check()
            self.calls.append((name, args))
            try:
                answer = self._request(name, method, args, kwargs)
            except BaseException as error:
                self._add_to_trace("request", name, args, error)
                raise
            self._add_to_trace("request", name, args, _brief(answer))
            return answer

        return call

    def _request(self, name: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        failure = self._next_failure(name, args)
        if failure is not None and not failure.after:
            raise failure.error
        process = current_process.get()
        if self.injector is None or process is None:
            answer = method(*args, **kwargs)
        else:
            answer = self._risk(self.injector, process, name, lambda: method(*args, **kwargs))
        if failure is not None:
            raise failure.error
        return answer

    def _risk(self, injector: FaultInjector, process: Process, name: str, request: Callable[[], Any]) -> Any:
        """Make a request of a process, to which faults can happen."""
        fault = injector.before_request(process, type(self.port).__name__, name)
        answer = request()
        if isinstance(fault, float):
            given_up = injector.hangs(process, fault)
            fault = Unavailable("no answer in time (an injected fault)") if given_up or injector.toss_coin() else None
        if isinstance(fault, Unavailable) and injector.toss_coin():
            return request()  # the transport repeats a request whose answer was lost
        if fault is not None:
            process.dead = not isinstance(fault, Unavailable)
            raise fault
        return answer

    def _next_failure(self, name: str, args: tuple[Any, ...]) -> _Failure | None:
        """Return the failure that `fail` has planned for this request; None when the request succeeds."""
        for failure in self._failures:
            if failure.method != name or not failure.times or not failure.where(*args):
                continue
            if failure.skip:
                failure.skip -= 1
                continue
            failure.times -= 1
            return failure
        return None


def _brief(answer: Any) -> Any:
    """Return what the trace keeps of an answer: of a job's record, its state and its attempt."""
    return f"-> {answer['state']}/{answer.get('attempt')}" if isinstance(answer, dict) and "state" in answer else answer
