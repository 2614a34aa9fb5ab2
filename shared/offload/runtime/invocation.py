"""One invocation: the time it has left, and what the handling of its messages shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from offload.core.clock import new_id
from offload.core.errors import Unavailable
from offload.runtime.powertools import IdempotencyConfig

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from offload.core.clock import Clock

_Answer = TypeVar("_Answer")

SPARE_MS = 2_000
"""Time kept free at the end of an invocation, to hand back what is left of its batch and to answer."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


class Invocation:
    """One invocation of the worker.

    Attributes:
        config: Powertools' configuration, which holds the Lambda context.
        ran: True once a job of it has started.
        rng: Source of its draws.
    """

    def __init__(self, context: Any, *, clock: Clock, rng: random.Random) -> None:
        """Begin; the time left is the Lambda context's."""
        self.config = IdempotencyConfig()
        self.config.register_lambda_context(context)
        self.ran = False
        self.rng = rng
        self._context, self._clock = context, clock
        self._had_ms = self.remaining_ms
        self._tokens: dict[str, str] = {}

    @property
    def remaining_ms(self) -> int:
        """Milliseconds left."""
        return int(self._context.get_remaining_time_in_millis())

    def token(self, message_id: str) -> str:
        """Return a message's lease token: the same when it is met again after its batch, to know its own claim by."""
        token = self._tokens.get(message_id)
        if token is None:
            token = self._tokens[message_id] = new_id(self.rng)
        return token

    def needed_ms(self, soft_limit: float) -> float:
        """Return the milliseconds a job needs to start, given its soft limit in seconds."""
        needed = soft_limit * 1000
        # The first one starts although a cold start has left less than its limit, or none ever would; but not when the
        # invocation has lost time since, such as on a table that did not answer.
        return needed if self.ran else min(needed, self._had_ms * 0.9)

    def insist(self, request: Callable[[], _Answer], *, spare_ms: float = SPARE_MS) -> _Answer:
        """Make a request, and again while it is `Unavailable`, with backoff and full jitter.

        Args:
            request: Makes it; when an answer was lost, the next try must recognise what the one before has done.
            spare_ms: Give up when no more than this would be left of the invocation.

        Raises:
            Unavailable: The time is over.
        """
        bound = _FIRST_PAUSE
        while True:
            try:
                return request()
            except Unavailable:
                pause = self.rng.uniform(0, bound)
                if self.remaining_ms - pause * 1000 <= spare_ms:
                    raise
            self._clock.sleep(pause)
            bound = min(_LONGEST_PAUSE, 2 * bound)
