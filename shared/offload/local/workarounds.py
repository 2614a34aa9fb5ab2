"""Workarounds for faults of the embedded engine. A workaround can be removed when the engine no longer has the fault.

Faults of the version that `engine.txt` pins:

| fault of the engine                                                     | workaround                              |
|-------------------------------------------------------------------------|-----------------------------------------|
| ignores the `TimeToLiveSpecification` of a template                     | `enable_ttl`, after each deployment     |
| keeps its port in the URLs of queues; after a restart on another port,  | `move_port`, before a start on another  |
| no function gets messages                                               | port                                    |
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_TABLES = frozenset({"AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable"})


def enable_ttl(template: dict[str, Any], stack: str, client: Callable[[str], Any]) -> list[str]:
    """Enable expiry for the tables whose template asks for it. A second call changes nothing.

    Args:
        template: The synthesised template of the stack.
        stack: Name of the deployed stack.
        client: Builds a boto3 client by service.

    Returns:
        The names of the tables.
    """
    ttl_attributes = dict(_ttl_attributes(template))
    if not ttl_attributes:
        return []
    cloudformation, dynamodb = client("cloudformation"), client("dynamodb")
    tables = []
    for logical_id, attribute in ttl_attributes.items():
        described = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        table = described["StackResourceDetail"]["PhysicalResourceId"]
        setting = {"Enabled": True, "AttributeName": attribute}
        dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=setting)
        tables.append(table)
    return tables


def move_port(services: Path, before: int, after: int) -> None:
    """Rewrite the engine's state files for another port, because the engine identifies queues by their URLs.

    Args:
        services: The folder of the engine's state files.
        before: The port in the files.
        after: The port that the engine will listen on.
    """
    for file in services.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        moved = text
        for host in ("localhost", "127.0.0.1"):
            moved = moved.replace(f"//{host}:{before}/", f"//{host}:{after}/")
        if moved != text:
            file.write_text(moved, encoding="utf-8")


def read_template(assembly: Path, stack: str) -> dict[str, Any]:
    """Return a stack's template from a synthesised app; an empty dict when the app has no stack of this name."""
    manifest = json.loads((assembly / "manifest.json").read_text(encoding="utf-8"))
    for identifier, artifact in manifest.get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        if artifact["type"] == "aws:cloudformation:stack" and properties.get("stackName", identifier) == stack:
            template: dict[str, Any] = json.loads((assembly / properties["templateFile"]).read_text(encoding="utf-8"))
            return template
    return {}


def _ttl_attributes(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the logical id and the expiry attribute of each table that has one."""
    for logical_id, resource in template.get("Resources", {}).items():
        if resource["Type"] in _TABLES:
            setting = resource.get("Properties", {}).get("TimeToLiveSpecification") or {}
            if setting.get("Enabled", True) and setting.get("AttributeName"):
                yield logical_id, setting["AttributeName"]
