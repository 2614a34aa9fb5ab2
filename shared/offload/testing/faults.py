"""What can go wrong around a handler, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError, Unavailable
from offload.testing.processes import Killed

if TYPE_CHECKING:
    from offload.testing.actors import Actors
    from offload.testing.processes import Process

_LONGEST_PAUSE = 0.2
_LONGEST_DELAY = 90
_LONGEST_FREEZE = 4_000


@dataclass(frozen=True, slots=True)
class Faults:
    """How often what goes wrong; each from 0 (never) to 1. The same seed makes the same faults at the same points.

    All of it happens on AWS, if rarely. `Faults(seed)` has everything, far more often than AWS does.

    Attributes:
        seed: Where the draws start.
        duplicate: A message is delivered again while its first delivery is being worked on.
        reorder: A batch is taken from the queue in another order, and not to its full size.
        delay: A message becomes visible up to 90 s late.
        throttle: A request of the worker is refused with `Unavailable` and not carried out.
        lost: A request is carried out and its answer lost: it is sent again, or `Unavailable`.
        crash: The worker's process dies, before or after a request is carried out.
        crash_at: The process that makes this request, counted from 1 over the pipeline, dies before it; None for none.
        timeout: A run takes until the Lambda timeout, and its process is killed.
        freeze: A process stands still for longer than its lease, then goes on as if nothing had happened.
        response: The answer to an invocation is lost, so that its whole batch is delivered again.
        interleave: At a request, other processes have their turn first.
        deaths: Most crashes and timeouts in all; a job that dies in all its attempts has failed. None: no limit.
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
    response: float = 0.02
    interleave: float = 0.3
    deaths: int | None = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name not in ("seed", "crash_at", "deaths") and not 0 <= value <= 1:
                raise DefinitionError(f"{item.name}={value!r} must be a probability from 0 to 1")

    @classmethod
    def none(cls, seed: int = 0, **chosen: Any) -> Faults:
        """Return faults that never happen, except those given."""
        still = {item.name: 0.0 for item in fields(cls) if item.name not in ("seed", "crash_at", "deaths")}
        return cls(**{"seed": seed, **still, **chosen})


class Luck:
    """The draws of one pipeline.

    Attributes:
        faults: What is drawn from.
        requests: Requests made by processes so far.
        happened: Number of faults that happened.
        log: Called with a line on each.
    """

    def __init__(self, faults: Faults, clock: Actors, note: Any) -> None:
        """Draw from the faults' own seed, apart from the pipeline's ids and jitter."""
        self.faults = faults
        self.rng = random.Random(f"faults {faults.seed}")  # noqa: S311 - a simulation
        self.requests = 0
        self.happened = 0
        self._clock, self._note = clock, note
        self._deaths = faults.deaths

    def draw(self, name: str, chance: float) -> bool:
        """Tell whether a fault happens, and note it."""
        # The draw is made even for what never happens: with the same seed, other faults stay where they were.
        if self.rng.random() >= chance:
            return False
        self.happened += 1
        self._note("fault", name)
        return True

    def dies(self, name: str, chance: float) -> bool:
        """Tell whether a process dies here, within the number of deaths allowed."""
        if self._deaths == 0 or not self.draw(name, chance):
            return False
        if self._deaths is not None:
            self._deaths -= 1
        return True

    def before(self, process: Process) -> BaseException | None:
        """Let happen what happens before a request.

        Returns:
            The error that its answer is replaced by; None for an answer that arrives.

        Raises:
            Killed: The process dies before it makes the request.
            Unavailable: The request is refused.
        """
        faults = self.faults
        self.requests += 1
        if faults.crash_at == self.requests:
            self._note("fault", "crash_at")
            self.happened += 1
            process.kill()
        if self.rng.random() < faults.interleave:
            self._clock.sleep(self.rng.uniform(0, _LONGEST_PAUSE))
            process.check()
        if self.draw("freeze", faults.freeze):
            process.deadline = None  # Lambda would have ended it; a process whose clock stood still does not know
            self._clock.sleep(self.rng.uniform(1, _LONGEST_FREEZE))
            process.check()
        if self.dies("crash", faults.crash):
            if self.rng.random() < 0.5:  # noqa: PLR2004 - evens
                process.kill()
            return Killed()
        if self.draw("throttle", faults.throttle):
            raise Unavailable("throttled (an injected fault)")
        return Unavailable("no answer (an injected fault)") if self.draw("lost", faults.lost) else None

    def delay(self) -> float:
        """Return how many seconds late a message becomes visible."""
        return self.rng.uniform(1, _LONGEST_DELAY) if self.draw("delay", self.faults.delay) else 0.0

    def evens(self) -> bool:
        """Toss a coin."""
        return self.rng.random() < 0.5  # noqa: PLR2004 - evens
