"""Findings of cdk-nag's AWS Solutions pack that we keep, each with its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aws_cdk as cdk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from constructs import IConstruct

_PACK = "AwsSolutions"


def explain(construct: IConstruct, rule: str, reason: str) -> None:
    """Keep a finding on a construct and what is inside it."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"{_PACK}::{_PACK}-{rule}", reason=reason))


def explain_wildcards(construct: IConstruct, entries: Iterable[str], reason: str, *, kind: str = "Resource") -> None:
    """Keep the finding on each entry of a policy that holds a `*`.

    Args:
        construct: The role.
        entries: Resource ARNs or actions.
        reason: Why the `*` is there.
        kind: `Resource` or `Action`.
    """
    here = cdk.Stack.of(construct)
    for entry in entries:
        if "*" in entry:
            explain(construct, f"IAM5[{kind}::{_shown(here.resolve(entry))}]", reason)


def _shown(value: Any) -> str:
    """Write a resolved value as findings do: `<LogicalId.Attribute>` for what CloudFormation fills in."""
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_shown(part) for part in parts)
        case _:
            return str(value)
