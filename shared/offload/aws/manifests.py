"""Reading the manifest of a deployed stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.aws.calls import Rejected
from offload.core.errors import Refused
from offload.core.manifest import DEFAULT_STACK, Manifest, parameter_name

if TYPE_CHECKING:
    from offload.aws.calls import Call


def read(stack: str = DEFAULT_STACK, call: Call | None = None) -> Manifest:
    """Read the manifest of a stack: its tasks, and the names of its resources.

    Args:
        stack: The stack's name.
        call: Transport to SSM; None means boto3 with the user's ordinary configuration.

    Raises:
        Refused: The stack is not deployed, or credentials, region or permission are missing. The message is one line
            that says what to do.
        Unavailable: AWS, or the local engine at `AWS_ENDPOINT_URL`, does not answer.
    """
    name = parameter_name(stack)
    try:
        answer = (call or sdk.caller("ssm"))("GetParameter", {"Name": name})
    except Rejected as error:
        if error.code != "ParameterNotFound":
            raise
        msg = (
            f"stack {stack!r} is not deployed in this account and region (no SSM parameter {name}): deploy it with "
            "`cdk deploy` (or `offload local up` on this machine), or check the stack's name and AWS_REGION"
        )
        raise Refused(msg) from error
    return Manifest.load(answer["Parameter"]["Value"])
