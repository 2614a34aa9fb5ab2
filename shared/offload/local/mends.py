"""What the embedded engine leaves undone, done from outside. Each mend names what it answers and when it may go.

Measured on the version pinned in `engine.txt`:

| the engine                                                              | here                                    |
|-------------------------------------------------------------------------|-----------------------------------------|
| leaves a template's `TimeToLiveSpecification` disabled                   | `enable_ttl`, after each deployment     |
| keeps the port in queue URLs, and polls no queue for a function when it | `move_port`, before a start on another  |
| was restarted on another port                                           | port                                    |
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TABLES = frozenset({"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"})


def enable_ttl(template: dict[str, Any], stack: str, client: Callable[[str], Any]) -> list[str]:
    """Switch expiry on for the tables whose template asks for it; done twice, it changes nothing.

    Args:
        template: The stack's template, as synthesised.
        stack: The deployed stack.
        client: Builds a boto3 client by service.

    Returns:
        The names of the tables.
    """
    wanted = dict(_expiring(template))
    if not wanted:
        return []
    cloudformation, dynamodb = client("cloudformation"), client("dynamodb")
    done = []
    for logical, attribute in wanted.items():
        described = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical)
        table = described["StackResourceDetail"]["PhysicalResourceId"]
        setting = {"Enabled": True, "AttributeName": attribute}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=setting)
        done.append(table)
    return done


def move_port(services: Path, before: int, after: int) -> None:
    """Rewrite kept state for another port: the engine keys queues by their URLs.

    Args:
        services: The folder of the engine's state files.
        before: The port they were written under.
        after: The port the engine is about to listen on.
    """
    for file in services.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        moved = text
        for host in ("localhost", "127.0.0.1"):
            moved = moved.replace(f"//{host}:{before}/", f"//{host}:{after}/")
        if moved != text:
            file.write_text(moved, encoding="utf-8")


def read_template(assembly: Path, stack: str) -> dict[str, Any]:
    """Read the template of the stack of that name out of a synthesised app; empty when the app has no such stack."""
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    for identifier, artifact in manifest.get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack" and properties.get("stackName", identifier) == stack:
            template: dict[str, Any] = json.loads((assembly / properties["templateFile"]).read_text(encoding="utf-8"))
            return template
    return {}


def _expiring(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for logical, resource in template.get("Resources", {}).items():
        if resource["Type"] in _TABLES:
            wanted = resource.get("Properties", {}).get("TimeToLiveSpecification") or {}
            if wanted.get("Enabled", True) and wanted.get("AttributeName"):
                yield logical, wanted["AttributeName"]
