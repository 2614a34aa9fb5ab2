"""The faults that can happen to a worker, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError, Refused, Unavailable
from offload.testing.lifetimes import LATE_DELETION
from offload.testing.processes import Killed

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing.green_threads import GreenThreads
    from offload.testing.processes import Process

_LONGEST_PAUSE = 0.2
"""Seconds that other processes have at a request, at most."""

_LONGEST_DELAY = 90
"""Seconds by which a message becomes visible too late, at most."""

_LONGEST_FREEZE = 4_000
"""Seconds that a process stands still, at most."""

_LONGEST_HANG = 30
"""Seconds that a request hangs, at most: then a client gives up."""

_SPARED_MS = 1_500
"""Milliseconds that a worker has left when it gives up a request that hangs."""

_LONGEST_REFUSAL = 600
"""Seconds during which a service refuses its requests, at most."""

_NEVER_REFUSED = ("receive", "delete", "change_visibility")
"""Requests that are not refused: docs/guarantees.md assumes that SQS can hide what it delivers."""

_NO_PROBABILITIES = ("seed", "crash_at", "deaths")


@dataclass(frozen=True, slots=True)
class Faults:
    """The probability of each fault, from 0 (never) to 1 (always).

    The same seed makes the same faults at the same points. Each fault happens on AWS, though rarely. `Faults(seed)`
    makes all of them, far more often than AWS does.

    Attributes:
        seed: Seed of the random generator that draws the faults.
        duplicate: A message is delivered again while its first delivery is still at work.
        reorder: A batch is received in another order, and smaller than the batch size.
        delay: A message becomes visible up to 90 s late.
        throttle: A request of the worker is refused with `Unavailable` and not carried out.
        lost: A request is carried out, but its answer is lost: the request is sent again, or raises `Unavailable`.
        crash: The worker's process dies, before or after a request is carried out.
        crash_at: Number of a request, counted from 1 over the whole pipeline. The process that makes this request dies
            before it. None for no such crash.
        timeout: A run takes until the Lambda timeout, and its process is killed.
        freeze: A process stands still, often for longer than its lease, and then continues.
        slow: A request hangs for up to 30 s, at most until the client gives up: before it is carried out or after.
            Then its answer comes, or does not.
        refused: A service refuses its requests for up to 10 minutes, as for permissions that are missing or credentials
            that have expired. What SQS has delivered, it still hides and deletes.
        response: The answer to an invocation is lost, so its whole batch is delivered again.
        interleave: Before a request, other processes run for up to 0.2 s.
        deaths: The largest number of crashes and timeouts in the pipeline; None for no limit. A job whose process dies
            in each of its attempts fails.
    """

    seed: int = 0
    duplicate: float = 0.05
    reorder: float = 0.5
    delay: float = 0.05
    throttle: float = 0.02
    lost: float = 0.02
    crash: float = 0.02
    crash_at: int | None = None
    timeout: float = 0.01
    freeze: float = 0.005
    slow: float = 0.005
    refused: float = 0.0005
    response: float = 0.02
    interleave: float = 0.3
    deaths: int | None = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in _NO_PROBABILITIES and not 0 <= value <= 1:
                raise DefinitionError(f"{item.name}={value!r} must be a probability from 0 to 1")

    @classmethod
    def none(cls, seed: int = 0, **chosen: Any) -> Faults:
        """Return faults that never happen, except the chosen ones."""
        never = {item.name: 0.0 for item in fields(cls) if item.name not in _NO_PROBABILITIES}
        return cls(**{"seed": seed, **never, **chosen})


class FaultInjector:
    """Draws the faults of one pipeline.

    Attributes:
        faults: The probabilities.
        rng: Random generator of the faults.
        requests: Number of requests that processes have made so far.
        happened: Number of faults so far.
    """

    def __init__(self, faults: Faults, clock: GreenThreads, add_to_trace: Callable[..., None]) -> None:
        """Begin with the seed of the faults, so that faults do not change the ids and the jitter of the pipeline."""
        self.faults = faults
        self.rng = random.Random(f"faults {faults.seed}")  # noqa: S311 - a simulation
        self.requests = 0
        self.happened = 0
        self._clock, self._add_to_trace = clock, add_to_trace
        self._deaths_left = faults.deaths
        self._refused_until: dict[str, int] = {}

    def draw(self, name: str, chance: float) -> bool:
        """Return True when a fault happens now, and add it to the trace."""
        # A random number is drawn even for a chance of 0, so that a change of one chance does not move other faults.
        if self.rng.random() >= chance:
            return False
        self.happened += 1
        self._add_to_trace("fault", name)
        return True

    def draw_death(self, name: str, chance: float) -> bool:
        """Return True when the process dies now; False when no more deaths are allowed."""
        if self._deaths_left == 0 or not self.draw(name, chance):
            return False
        if self._deaths_left is not None:
            self._deaths_left -= 1
        return True

    def before_request(self, process: Process, service: str, method: str) -> BaseException | float | None:
        """Make the faults that come before a request.

        Args:
            process: The process that makes the request.
            service: Name of the service behind the port.
            method: Name of the port's method.

        Returns:
            The error that the process gets in place of the answer; or the seconds by which the answer comes late; None
            when the answer arrives.

        Raises:
            Killed: The process dies before it makes the request.
            Unavailable: The request is refused, or given up.
            Refused: The service refuses every request for a while.
        """
        faults = self.faults
        self.requests += 1
        if faults.crash_at == self.requests and not process.spared:
            self._add_to_trace("fault", "crash_at")
            self.happened += 1
            process.kill()
        if self.rng.random() < faults.interleave:
            self._clock.sleep(self.rng.uniform(0, _LONGEST_PAUSE))
            process.check()
        if not process.spared and self.draw("freeze", faults.freeze):
            process.deadline = None  # a frozen process can outlive its timeout, because its own clock stands still
            self._clock.sleep(self.rng.uniform(1, _LONGEST_FREEZE))
            process.check()
        if not process.spared and self.draw_death("crash", faults.crash):
            if self.toss_coin():
                process.kill()
            return Killed()
        if method not in _NEVER_REFUSED:
            self._refuse(service)
        if self.draw("throttle", faults.throttle):
            raise Unavailable("throttled (an injected fault)")
        late = self._hang(process)
        if late is not None:
            return late
        return Unavailable("no answer (an injected fault)") if self.draw("lost", faults.lost) else None

    def refuse(self, service: str, seconds: float) -> None:
        """Have a service, named by its twin's class, refuse its requests for so many seconds from now on."""
        self._refused_until[service] = self._clock.now() + round(seconds * 1000)

    def _refuse(self, service: str) -> None:
        """Refuse the request while the service refuses every request."""
        if self.draw("refused", self.faults.refused):
            self.refuse(service, self.rng.uniform(1, _LONGEST_REFUSAL))
        if self._clock.now() < self._refused_until.get(service, 0):
            raise Refused(f"{service}: ExpiredToken (an injected fault)", lasting=False)

    def _hang(self, process: Process) -> float | None:
        """Let the request hang now; returns the seconds that it hangs after it was carried out, None for none.

        Raises:
            Unavailable: The client has given the request up before it was carried out.
        """
        if not self.draw("slow", self.faults.slow):
            return None
        seconds = self.rng.uniform(0.5, _LONGEST_HANG)
        if self.toss_coin():
            return seconds
        if self.hangs(process, seconds) or self.toss_coin():
            raise Unavailable("no answer in time (an injected fault)")
        return None

    def hangs(self, process: Process, seconds: float) -> bool:
        """Let time pass while a request hangs; returns True when the client gives it up."""
        left = float("inf") if process.deadline is None else process.deadline - self._clock.now() - _SPARED_MS
        self._clock.sleep(max(0.0, min(seconds, left / 1000)))
        process.check()
        return seconds * 1000 > left

    def delay(self) -> float:
        """Return the seconds by which a message becomes visible too late."""
        return self.rng.uniform(1, _LONGEST_DELAY) if self.draw("delay", self.faults.delay) else 0.0

    def deletion_delay(self) -> float:
        """Return the seconds after which an expired record is deleted from the job table."""
        return self.rng.uniform(0, LATE_DELETION)

    def toss_coin(self) -> bool:
        """Return True in half of the cases."""
        return self.rng.random() < 0.5  # noqa: PLR2004 - one half
