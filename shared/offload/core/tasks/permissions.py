"""`Allow`: what a task's function may call on AWS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from offload.core.errors import DefinitionError


@dataclass(frozen=True, slots=True, init=False)
class Allow:
    """AWS actions a task's function may call: one statement of its role.

    Attributes:
        actions: Such as `s3:GetObject`. No bare `*`.
        resources: ARNs, in which `{bucket}`, `{table}`, `{stack}`, `{partition}`, `{region}` and `{account}` stand for
            this stack's: `{bucket}/thumbnails/*`.
        conditions: An IAM condition block, if any.
    """

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: dict[str, dict[str, Any]] | None

    def __init__(
        self,
        actions: str | tuple[str, ...],
        resources: str | tuple[str, ...],
        conditions: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Take one or several of each, and refuse what would open more than the task says."""
        for name, value in (("actions", actions), ("resources", resources)):
            listed = tuple(value) if isinstance(value, tuple | list) else (value,)
            if not listed or not all(isinstance(item, str) and item for item in listed):
                msg = f"allow: {name}={value!r} must be a text, or a tuple of at least one"
                raise DefinitionError(msg)
            object.__setattr__(self, name, listed)
        if conditions is not None and not (
            isinstance(conditions, dict) and all(isinstance(each, dict) for each in conditions.values())
        ):
            msg = (
                f"allow: conditions={conditions!r} must map operators to conditions, such as "
                "{'StringEquals': {'aws:SourceAccount': '123456789012'}}"
            )
            raise DefinitionError(msg)
        object.__setattr__(self, "conditions", conditions)
        for action in self.actions:
            if not re.fullmatch(r"[a-z0-9-]+:[A-Za-z0-9]+\*?", action):
                msg = f"allow: action {action!r} must name one action of one service, such as 's3:GetObject'"
                raise DefinitionError(msg)
