"""Who may do what, as IAM decides it: patterns match across slashes and colons, and conditions must hold.

Only what this stack's policies use is understood; anything else is an error, so that no test passes by mistake.
"""

from __future__ import annotations

import re
from typing import Any


def listed(value: Any) -> list[Any]:
    """Return a policy's entry as a list."""
    return value if isinstance(value, list) else [value]


def matches(pattern: str, text: str) -> bool:
    """Tell whether a pattern with `*` (any characters, slashes too) and `?` (one character) matches a whole text."""
    expression = "".join({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.fullmatch(expression, text, re.DOTALL) is not None


def allows(statements: Any, action: str, arn: str, **context: str) -> bool:
    """Tell whether some statement allows an action on a resource.

    Args:
        statements: Actions, resources and conditions of each statement, as `Template.statements` returns them.
        action: The action, such as `s3:GetObject`.
        arn: The resource, in which CloudFormation's values are `<Name>`.
        context: Values of condition keys; `__` stands for a colon.
    """
    values = {key.replace("__", ":"): value for key, value in context.items()}
    return any(
        any(matches(each.lower(), action.lower()) for each in actions)
        and any(matches(each, arn) for each in arns)
        and all(_holds(operator, keys, values) for operator, keys in (conditions or {}).items())
        for actions, arns, conditions in statements
    )


def _holds(operator: str, keys: dict[str, Any], values: dict[str, str]) -> bool:
    compare = {"StringEquals": lambda expected, value: expected == value, "StringLike": matches}[operator]
    return all(
        key in values and any(compare(each, values[key]) for each in listed(wanted)) for key, wanted in keys.items()
    )
