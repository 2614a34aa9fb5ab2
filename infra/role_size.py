"""Whether the policies of a role fit into what IAM takes, which otherwise only a deployment would tell."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from offload.core.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_CHARACTERS = 10_240
"""IAM's limit for the inline policies of a role together; white space does not count."""

_LONGEST = {"AWS::Partition": "aws-us-gov", "AWS::Region": "ap-southeast-99", "AWS::AccountId": "0" * 12}
_LONGEST_ARN = 110
"""Characters of a role's or bucket's ARN with the longest name that CloudFormation makes."""


def check(task: str, policies: Iterable[Any]) -> None:
    """Check that the policies of a task's role fit.

    Args:
        task: Name of the task.
        policies: The resolved policy documents.

    Raises:
        DefinitionError: They are too long.
    """
    size = sum(len(json.dumps(_filled(policy), separators=(",", ":"))) for policy in policies)
    if size > MOST_CHARACTERS:
        raise DefinitionError(
            f"task {task!r}: its role may take {size} characters of IAM's {MOST_CHARACTERS}: shorten `enqueues` or "
            "`allow`, or write enqueues=('*',), which names no task"
        )


def _filled(value: Any) -> Any:
    """Return a resolved value with the longest texts that CloudFormation could fill in."""
    match value:
        case {"Ref": name}:
            return _LONGEST.get(name, "x" * _LONGEST_ARN)
        case {"Fn::GetAtt": _}:
            return "x" * _LONGEST_ARN
        case {"Fn::Join": [separator, parts]}:
            return separator.join(_filled(part) for part in parts)
        case dict():
            return {key: _filled(item) for key, item in value.items()}
        case list():
            return [_filled(item) for item in value]
        case _:
            return value
