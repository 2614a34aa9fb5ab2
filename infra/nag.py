"""Acknowledged findings: the stack differs from a rule of cdk-nag's AWS Solutions pack, for a stated reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aws_cdk as cdk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from constructs import IConstruct

_PACK = "AwsSolutions"


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Acknowledge a finding on a construct and on the constructs inside it.

    Args:
        construct: The construct.
        rule: Short name of the rule, such as `S1`.
        reason: Why the stack differs from the rule.
    """
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"{_PACK}::{_PACK}-{rule}", reason=reason))


def acknowledge_wildcards(
    construct: IConstruct, entries: Iterable[str], reason: str, *, kind: str = "Resource"
) -> None:
    """Acknowledge the finding on each entry of a policy that contains a `*`.

    Args:
        construct: The role with the policy.
        entries: Resource ARNs or actions.
        reason: Why the policy needs the `*`.
        kind: `Resource` or `Action`.
    """
    stack = cdk.Stack.of(construct)
    for entry in entries:
        if "*" in entry:
            acknowledge(construct, f"IAM5[{kind}::{_as_in_finding(stack.resolve(entry))}]", reason)


def _as_in_finding(value: Any) -> str:
    """Write a resolved value as cdk-nag writes it: a value of CloudFormation becomes `<LogicalId.Attribute>`."""
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(_as_in_finding(part) for part in parts)
        case _:
            return str(value)
