"""Whether the policies of a role fit into what IAM takes, which otherwise only a deployment would tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MOST_CHARACTERS = 10_240
"""IAM's limit for the inline policies of a role together; white space does not count."""

LONGEST = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-99", "AWS::AccountId": "0" * 12}
_ARN = "arn:aws-us-gov:dynamodb:ap-southeast-99:000000000000:table/"
"""What stands before the name in the longest kind of ARN that the roles have."""
_DRAWN = 14
"""Characters that CloudFormation adds to the names of stack and resource: a hyphen and 13 letters and digits."""


def check(task: str, stack: str, policies: Iterable[Any], names: Mapping[str, str]) -> None:
    """Check that the policies of a task's role fit.

    Args:
        task: Name of the task.
        stack: Name of the stack.
        policies: The resolved policy documents.
        names: What stands before the name in the ARNs of some resources, by logical id; for others the longest.

    Raises:
        DefinitionError: They are too long.
    """

    def filled(value: Any) -> Any:
        """Return a resolved value with the longest texts that CloudFormation could fill in."""
        match value:
            case {"Ref": name}:
                return LONGEST[name]
            case {"Fn::GetAtt": [name, _]}:
                return f"{names.get(name, _ARN)}{stack}-{name}{'x' * _DRAWN}"
            case {"Fn::Join": [separator, parts]}:
                return separator.join(filled(part) for part in parts)
            case dict():
                return {key: filled(item) for key, item in value.items()}
            case list():
                return [filled(item) for item in value]
            case _:
                return value

    size = sum(len(json.dumps(filled(policy), separators=(",", ":"))) for policy in policies)
    if size > MOST_CHARACTERS:
        raise DefinitionError(
            f"task {task!r}: its role may take {size} characters of IAM's {MOST_CHARACTERS}: shorten `enqueues` or "
            "`allow`, or write enqueues=('*',), which names no task"
        )
