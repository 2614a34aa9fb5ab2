"""Reading the manifest of a deployed stack.

Producers that start together, as 500 containers of a new release do, read it at the same moment, and SSM takes 40
requests a second from all of an account. So a read waits for throttles far longer than other requests do, and with
far fewer attempts: 500 producers have their manifests after about 25 seconds and 1,400 requests, 2,000 within a minute.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from offload.aws import sdk
from offload.aws.calls import Rejected, Throttled
from offload.core.clock import Clock, SystemClock
from offload.core.errors import Refused, Unavailable
from offload.core.ids import system_random
from offload.core.manifest import DEFAULT_STACK, Manifest, parameter_name

if TYPE_CHECKING:
    import random

    from offload.aws.calls import Call

PATIENCE = 60.0
"""Seconds for which a read waits for throttles, unless its caller has less."""

_FIRST_WAIT, _LONGEST_WAIT = 4.0, 20.0
"""Seconds in which the second attempt comes at some moment, and in which a late one does; the span doubles."""

_SHORTEST_WAIT = 1.0
"""Seconds of which less is worth no further attempt."""

_MOST_NAMES = 10
"""Parameters that one request can read."""

_TRIES = 3
"""Reads of a stack that is deployed meanwhile: its old parts are gone by then."""


def read(
    stack: str = DEFAULT_STACK,
    call: Call | None = None,
    *,
    patience: float = PATIENCE,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> Manifest:
    """Read the manifest of a stack: its tasks, and the names of its resources.

    That takes a request, and one more for every ten parameters beside it, in which a stack of many tasks has them.

    Args:
        stack: The stack's name.
        call: Transport to SSM; None means boto3 with the user's ordinary configuration.
        patience: Seconds for which throttles are waited for, in all requests together.
        clock: Measures that time, and waits.
        rng: Source of the jitter.

    Raises:
        Refused: The stack is not deployed, or credentials, region or permission are missing. The message is one line
            that says what to do.
        Unavailable: AWS, or the local engine at `AWS_ENDPOINT_URL`, does not answer, or still throttles.
    """
    call = _Patient(call or sdk.caller("ssm"), patience, clock or SystemClock(), rng or system_random())
    for _ in range(_TRIES):
        text = _read_parameter(stack, call)
        try:
            return Manifest.load(text, lambda names: _read_parts(names, call))
        except _PartsAreGone:
            continue
    raise Unavailable(f"the manifest of stack {stack!r} keeps changing: the stack is being deployed, try again")


class _Patient:
    """A transport that waits for throttles."""

    def __init__(self, call: Call, patience: float, clock: Clock, rng: random.Random) -> None:
        self._call, self._clock, self._rng = call, clock, rng
        self._patience, self._began = patience, clock.now()

    def __call__(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        for attempt in itertools.count():
            try:
                return self._call(operation, params)
            except Throttled as error:
                left = self._patience - (self._clock.now() - self._began) / 1000
                if left < _SHORTEST_WAIT:
                    raise Throttled(f"{error} ({_ADVICE})") from error
                self._clock.sleep(self._rng.uniform(0, min(left, _LONGEST_WAIT, _FIRST_WAIT * 2**attempt)))
        raise AssertionError  # the loop has no end of its own


_ADVICE = (
    "SSM takes 40 requests a second from an account; for many producers that start together, enable higher throughput: "
    "the service setting /ssm/parameter-store/high-throughput-enabled"
)


def _read_parameter(stack: str, call: Call) -> str:
    name = parameter_name(stack)
    try:
        text: str = call("GetParameter", {"Name": name})["Parameter"]["Value"]
    except Rejected as error:
        if error.code != "ParameterNotFound":
            raise
        msg = (
            f"stack {stack!r} is not deployed in this account and region (no SSM parameter {name}): deploy it with "
            "`cdk deploy` (or `offload local up` on this machine), or check the stack's name and AWS_REGION"
        )
        raise Refused(msg, lasting=False) from error
    return text


def _read_parts(names: list[str], call: Call) -> list[str]:
    texts: dict[str, str] = {}
    for start in range(0, len(names), _MOST_NAMES):
        answer = call("GetParameters", {"Names": names[start : start + _MOST_NAMES]})
        texts |= {each["Name"]: each["Value"] for each in answer["Parameters"]}
    if len(texts) < len(names):
        raise _PartsAreGone
    return [texts[name] for name in names]


class _PartsAreGone(Exception):
    """The manifest names parameters that a later deployment has deleted."""
