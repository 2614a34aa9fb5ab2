"""A producer that dies at one of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.client import Client
from offload.testing.processes import Killed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from offload.testing import Pipeline

_MOST_REQUESTS = 500


class Death:
    """When a producer dies: at one of its requests, over all its ports, before or after that is carried out.

    Attributes:
        requests: The names of the requests that the producer made.
        happened: The producer has died.
    """

    def __init__(self, at: int, when: str) -> None:
        """Let it die at request number `at`, counted from 1; `when` is "before" or "after"."""
        self.requests: list[str] = []
        self.happened = False
        self._at, self._when = at, when

    def meet(self, request: str, when: str) -> None:
        """Tell it how far the producer is, which dies here or goes on."""
        if self.happened:
            raise Killed
        if when == "before":
            self.requests.append(request)
        if len(self.requests) == self._at and when == self._when:
            self.happened = True
            raise Killed


class _DyingPort:
    """A port whose requests meet the producer's death."""

    def __init__(self, port: Any, death: Death) -> None:
        self._port, self._death = port, death

    def __getattr__(self, name: str) -> Callable[..., Any]:
        carry_out = getattr(self._port, name)

        def request(*arguments: Any, **options: Any) -> Any:
            self._death.meet(name, "before")
            answer = carry_out(*arguments, **options)
            self._death.meet(name, "after")
            return answer

        return request


def dying_client(pipeline: Pipeline, death: Death) -> Client:
    """Return a client of the pipeline that dies as it is told."""
    ports = {name: _DyingPort(getattr(pipeline, name), death) for name in ("store", "queues", "blobs", "timers")}
    return Client(pipeline.manifest, **ports, clock=pipeline.clock, rng=pipeline.rng)


def every_death(when: str) -> Iterator[Death]:
    """Yield deaths at the first request, at the second, and so on, until a producer lives to the end of its work."""
    for at in range(1, _MOST_REQUESTS):
        death = Death(at, when)
        yield death
        if not death.happened:
            return
    raise AssertionError("the producer's work never ends")
