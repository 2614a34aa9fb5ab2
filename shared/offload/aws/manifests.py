"""Reading the manifest of a deployed stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.aws.calls import Rejected
from offload.core.errors import Refused, Unavailable
from offload.core.manifest import DEFAULT_STACK, Manifest, parameter_name

if TYPE_CHECKING:
    from offload.aws.calls import Call


_MOST_NAMES = 10
"""Parameters that one request can read."""

_TRIES = 3
"""Reads of a stack that is deployed meanwhile: its old parts are gone by then."""


def read(stack: str = DEFAULT_STACK, call: Call | None = None) -> Manifest:
    """Read the manifest of a stack: its tasks, and the names of its resources.

    That takes a request, and one more for every ten parameters beside it, in which a stack of many tasks has them.

    Args:
        stack: The stack's name.
        call: Transport to SSM; None means boto3 with the user's ordinary configuration.

    Raises:
        Refused: The stack is not deployed, or credentials, region or permission are missing. The message is one line
            that says what to do.
        Unavailable: AWS, or the local engine at `AWS_ENDPOINT_URL`, does not answer.
    """
    call = call or sdk.caller("ssm")
    for _ in range(_TRIES):
        text = _read_parameter(stack, call)
        try:
            return Manifest.load(text, lambda names: _read_parts(names, call))
        except _PartsAreGone:
            continue
    raise Unavailable(f"the manifest of stack {stack!r} keeps changing: the stack is being deployed, try again")


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
