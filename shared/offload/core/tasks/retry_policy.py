"""The retry policy: a pure function from an error and an attempt to what happens next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from offload.core.durations import Duration, seconds, text
from offload.core.errors import DefinitionError, WrongResult
from offload.core.ports import LONGEST_VISIBILITY
from offload.core.tasks.control import Permanent, RetryLater
from offload.core.tasks.setting import is_bool

if TYPE_CHECKING:
    import random

_MOST_ATTEMPTS = 100
_EXCEPTIONS_OF = vars(BaseExceptionGroup)["exceptions"]
"""The real ones, whatever a group's class makes of the name."""


class RunAgain(NamedTuple):
    """Run again after `delay` seconds."""

    delay: float


class GiveUp(NamedTuple):
    """No further attempt; `why` is `permanent`, `not retried` or `exhausted`."""

    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when a failed job runs again.

    The wait before attempt n + 1 is drawn evenly from 0 to `min(cap, base * 2 ** (n - 1))`: exponential backoff with
    full jitter (Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).

    Attributes:
        max_attempts: Runs in all, the first included; 1 to 100.
        base: Upper bound of the first wait.
        cap: Upper bound of any wait, at most 12h.
        jitter: False waits the full bound each time.
        on: Exceptions worth another attempt; everything else fails for good. `Exception` also covers what a task may
            raise beside it, such as `SystemExit`.
        never: Exceptions that fail for good although `on` covers them.
    """

    max_attempts: int = 3
    base: Duration = "10s"
    cap: Duration = "10m"
    jitter: bool = True
    on: tuple[type[BaseException], ...] = (Exception,)
    never: tuple[type[BaseException], ...] = ()
    _base: float = field(init=False, repr=False, compare=False, default=0)
    _cap: float = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        """Check every value where the policy is written."""
        attempts = self.max_attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or not 1 <= attempts <= _MOST_ATTEMPTS:
            msg = f"retry.max_attempts={attempts!r} must be a whole number from 1 to {_MOST_ATTEMPTS}"
            raise DefinitionError(msg)
        object.__setattr__(self, "_base", seconds(self.base, field="retry.base"))
        object.__setattr__(self, "_cap", seconds(self.cap, field="retry.cap", most=LONGEST_VISIBILITY))
        is_bool("retry.jitter", self.jitter)
        for name in ("on", "never"):
            object.__setattr__(self, name, _exceptions(getattr(self, name), f"retry.{name}"))

    def describe(self) -> dict[str, Any]:
        """Return the policy as JSON values for people and scripts."""
        return {"max_attempts": self.max_attempts, "base": text(self._base), "cap": text(self._cap)}

    def bound(self, attempt: int) -> float:
        """Return the longest wait after attempt `attempt` (1 is the first), in seconds."""
        return float(min(self._cap, self._base * 2.0 ** min(attempt - 1, 60)))

    def decide(self, error: BaseException, attempt: int, rng: random.Random) -> RunAgain | GiveUp:
        """Decide what follows a failed attempt.

        An exception group is what it holds: it fails for good when one of its errors does, and it is a `RetryLater`,
        with the longest delay, when all of them are.

        Args:
            error: What the task raised.
            attempt: The attempt that failed, 1 for the first.
            rng: Source of the jitter.
        """
        errors = grouped(error)
        # By type here and below: an error may lie about its class, or raise when asked.
        kinds = [type(each) for each in errors]
        if any(issubclass(kind, Permanent | WrongResult) for kind in kinds):
            return GiveUp("permanent")
        by_choice = all(issubclass(kind, RetryLater) for kind in kinds)
        if not by_choice and not self._retries(type(error), kinds):
            return GiveUp("not retried")
        if attempt >= self.max_attempts:
            return GiveUp("exhausted")
        if by_choice and (delays := [delay for each in errors if (delay := _delay(each)) is not None]):
            return RunAgain(max(delays))
        bound = self.bound(attempt)
        return RunAgain(rng.uniform(0, bound) if self.jitter else bound)

    def _retries(self, kind: type[BaseException], kinds: list[type[BaseException]]) -> bool:
        """Tell whether an error is tried again, by its class and those of the errors in it."""
        failed = [each for each in kinds if not issubclass(each, RetryLater)]
        if any(_covers(self.never, each) for each in (kind, *failed)):
            return False
        return _covers(self.on, kind) or all(_covers(self.on, each) for each in failed)


def grouped(error: BaseException) -> list[BaseException]:
    """Return the errors that a group holds, at any depth and in their order; an error that is no group is alone."""
    found: list[BaseException] = []
    left = [error]
    while left:
        each = left.pop()
        if issubclass(type(each), BaseExceptionGroup):
            left += reversed(_EXCEPTIONS_OF.__get__(each))
        else:
            found.append(each)
    return found


def _delay(error: BaseException) -> float | None:
    try:
        delay: Any = error.delay  # type: ignore[attr-defined]
        return None if delay is None else seconds(delay, field="delay")
    except Exception:  # noqa: BLE001 - a subclass may have left the delay out, or have made anything of it
        return None


def _covers(listed: tuple[type[BaseException], ...], kind: type[BaseException]) -> bool:
    # A task that raises SystemExit or its like has failed as any other task: `Exception` stands for those too.
    return issubclass(kind, listed) or (not issubclass(kind, Exception) and issubclass(Exception, listed))


def _exceptions(value: object, field_name: str) -> tuple[type[BaseException], ...]:
    listed = value if isinstance(value, tuple | list) else (value,)
    for item in listed:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            msg = f"{field_name} takes exception classes, such as (TimeoutError,); got {item!r}"
            raise DefinitionError(msg)
    return tuple(listed)
