"""The manifest: what a deployed stack is made of, in one SSM parameter that every client reads."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from offload.core.errors import Refused, UnknownTask

DEFAULT_STACK = "offload"
DEFAULT_LANE = "default"
INDEX = "by_state"
"""The job table's sparse index; partition key `idx`, sort key `idx_at`."""


def parameter_name(stack: str) -> str:
    """Return the SSM parameter that holds a stack's manifest."""
    return f"/offload/{stack}/manifest"


def queue_name(stack: str, task: str, lane: str = DEFAULT_LANE) -> str:
    """Return the name of a task's queue for a lane."""
    return f"{stack}-{task}" if lane == DEFAULT_LANE else f"{stack}-{task}-{lane}"


def dead_letter_name(stack: str, task: str, lane: str = DEFAULT_LANE) -> str:
    """Return the name of a queue's dead-letter queue. Each lane has its own, so that a redrive finds its way back."""
    return f"{queue_name(stack, task, lane)}-dlq"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A deployed stack.

    Attributes:
        stack: Its name; queues are named after it.
        account: AWS account id.
        region: AWS region.
        table: Job table.
        bucket: Bucket for large payloads and results.
        tasks: What producers need to know of each task: those of its settings that `Settings.for_producers` returns.
        timers: `group` and `role` of the one-time schedules.
    """

    stack: str
    account: str
    region: str
    table: str
    bucket: str
    tasks: dict[str, dict[str, Any]]
    timers: dict[str, str]

    def lanes(self, task: str) -> list[str]:
        """Return a task's lanes.

        Raises:
            UnknownTask: Not deployed in this stack.
        """
        if task not in self.tasks:
            has = ", ".join(sorted(self.tasks)) or "none"
            msg = f"task {task!r} is not deployed in stack {self.stack!r}: it has {has}"
            raise UnknownTask(msg)
        lanes: list[str] = self.tasks[task].get("priorities", [DEFAULT_LANE])
        return lanes

    def dump(self) -> str:
        """Write the parameter's text."""
        return json.dumps({"version": 1, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Manifest:
        """Read the parameter's text.

        Raises:
            Refused: The stack was deployed by a version this one cannot read.
        """
        data: dict[str, Any] = json.loads(text)
        if data.pop("version", None) != 1:
            msg = "the stack's manifest is of another version: deploy the stack with this version of offload"
            raise Refused(msg)
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})
