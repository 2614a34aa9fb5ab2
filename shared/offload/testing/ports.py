"""Between the code and the twins: every request passes here, is noted, and fails when it is told to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.errors import Unavailable
from offload.testing.processes import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing.faults import Luck


@dataclass(slots=True)
class _Failure:
    method: str
    error: BaseException
    skip: int
    times: int
    after: bool
    where: Callable[..., bool]


class Port:
    """A port whose requests are noted and can fail.

    Attributes:
        calls: Every request so far: method and positional arguments.
        luck: Random faults for the requests that processes make; None for none.
    """

    def __init__(self, port: Any, note: Callable[..., None]) -> None:
        """Stand before `port`; `note` is told of each request and its outcome."""
        self.port = port
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.luck: Luck | None = None
        self._note = note
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
        """Fail requests of one kind.

        Args:
            method: The port's method, such as `"apply"`; see `offload.core.ports`.
            error: What is raised.
            skip: Requests that pass first.
            times: Requests that fail then.
            after: Fail it after it was carried out: its answer is lost.
            where: Only requests whose arguments this says yes to.
        """
        self._failures.append(_Failure(method, error, skip, times, after, where))

    def called(self, method: str) -> list[tuple[Any, ...]]:
        """Return the arguments of each request of one kind."""
        return [arguments for name, arguments in self.calls if name == method]

    def __getattr__(self, name: str) -> Any:
        """Return the port's method, or whatever else the twin has, watched."""
        method = getattr(self.port, name)
        if not callable(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            process = running.get()
            if process is not None:
                process.check()
            self.calls.append((name, args))
            try:
                answer = self._request(name, method, args, kwargs)
            except BaseException as error:
                self._note("request", name, args, error)
                raise
            self._note("request", name, args, answer)
            return answer

        return call

    def _request(self, name: str, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        failure = self._due(name, args)
        if failure is not None and not failure.after:
            raise failure.error
        process = running.get()
        loss = self.luck.before(process) if self.luck is not None and process is not None else None
        answer = method(*args, **kwargs)
        if self.luck is not None and process is not None:
            if isinstance(loss, Unavailable) and self.luck.evens():
                return method(*args, **kwargs)  # the transport tried again, and does not know that it was the second
            if loss is not None:
                process.dead = not isinstance(loss, Unavailable)
                raise loss
        if failure is not None:
            raise failure.error
        return answer

    def _due(self, name: str, args: tuple[Any, ...]) -> _Failure | None:
        for failure in self._failures:
            if failure.method != name or not failure.times or not failure.where(*args):
                continue
            if failure.skip:
                failure.skip -= 1
                continue
            failure.times -= 1
            return failure
        return None
