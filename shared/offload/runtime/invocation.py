"""One invocation: the time it has left, and what the handling of its messages shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from offload.core.errors import Refused, Unavailable
from offload.core.ids import new_id

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from offload.core.clock import Clock

_Answer = TypeVar("_Answer")

SPARE_MS = 2_000
"""Time kept free at the end of an invocation, to return what is left of its batch and to answer."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Invocation:
    """One invocation of the worker.

    Attributes:
        context: The Lambda context.
        ran: True once a job of it has started.
        rng: Source of its draws.
    """

    def __init__(self, context: Any, *, clock: Clock, rng: random.Random) -> None:
        """Begin; the time left is the Lambda context's."""
        self.context = context
        self.ran = False
        self.rng = rng
        self._clock = clock
        self._had_ms = self.remaining_ms
        self._leases: dict[str, str] = {}

    @property
    def remaining_ms(self) -> int:
        """Milliseconds left."""
        return int(self.context.get_remaining_time_in_millis())

    @property
    def is_over(self) -> bool:
        """True when the timeout has passed: this process stood still meanwhile, and others have its messages by now."""
        return self.remaining_ms <= 0

    def lease_for(self, message_id: str) -> str:
        """Return the lease token that a message's job is claimed with.

        It is the same when the message is handled again in a later pass, so that the worker recognises its own claim.
        """
        lease = self._leases.get(message_id)
        if lease is None:
            lease = self._leases[message_id] = new_id(self.rng)
        return lease

    def has_time_for(self, soft_limit: float) -> bool:
        """Tell whether a job with this soft limit, in seconds, may start now."""
        return self.remaining_ms >= self.needed_ms(soft_limit)

    def needed_ms(self, soft_limit: float) -> float:
        """Return the milliseconds that a job with this soft limit, in seconds, needs to start."""
        needed = soft_limit * 1000
        # A cold start may leave the first job less than its limit, and it starts all the same, or none ever would. But
        # it does not start when the invocation has lost time since, such as on a table that did not answer.
        return needed if self.ran else min(needed, self._had_ms * 0.9)

    def repeat_until_answered(
        self, request: Callable[[], _Answer], *, spare_ms: float = SPARE_MS, also_refused: bool = False
    ) -> _Answer:
        """Make a request, and again while it is `Unavailable`, with backoff and full jitter.

        Args:
            request: Makes it. When an answer is lost, the next try must recognise what the one before has done.
            spare_ms: Give up when no more than this would be left of the invocation.
            also_refused: Make it again after a refusal too, if time, a deployment or fresh credentials may cure that.

        Raises:
            Unavailable: The time is over.
            Refused: The same, or the request can never be right.
        """
        bound = _FIRST_PAUSE
        while True:
            try:
                return request()
            except (Unavailable, Refused) as error:
                if isinstance(error, Refused) and (error.lasting or not also_refused):
                    raise
                pause = self.rng.uniform(0, bound)
                if self.remaining_ms - pause * 1000 <= spare_ms:
                    raise
            self._clock.sleep(pause)
            bound = min(_LONGEST_PAUSE, 2 * bound)
