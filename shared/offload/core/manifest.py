"""The manifest: what a deployed stack is made of, in SSM parameters that every client reads.

What producers need to know of the tasks, their payloads' schemas included, is one compressed text. It stands in the
manifest's own parameter while it fits there, else in parameters beside it, which the manifest names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from offload.core.errors import Refused, UnknownTask, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEFAULT_STACK = "offload"
DEFAULT_LANE = "default"
INDEX = "by_state"
"""The job table's sparse index; partition key `idx`, sort key `idx_at`."""

TASKS_FILE = "tasks.json"
"""The file of a function's bundle with the manifest's `tasks`, those that the function may enqueue. A function's
environment is too small for schemas."""

LARGEST_PARAMETER = 4096
"""Bytes of a standard SSM parameter, which is free."""

_VERSION = 1


def parameter_name(stack: str) -> str:
    """Return the SSM parameter that holds a stack's manifest."""
    return f"/offload/{stack}/manifest"


def queue_name(stack: str, task: str, lane: str = DEFAULT_LANE) -> str:
    """Return the name of a task's queue for a lane."""
    return f"{stack}-{task}" if lane == DEFAULT_LANE else f"{stack}-{task}-{lane}"


def dead_letter_name(stack: str, task: str, lane: str = DEFAULT_LANE) -> str:
    """Return the name of a queue's dead-letter queue. Each lane has its own, so that a redrive finds its way back."""
    return f"{queue_name(stack, task, lane)}-dlq"


def undelivered_name(stack: str) -> str:
    """Return the name of the queue for what no schedule could deliver. No task's queue has a capital in its name."""
    return f"{stack}-Undelivered"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A deployed stack.

    Attributes:
        stack: Its name; queues are named after it.
        account: AWS account id.
        region: AWS region.
        table: Job table.
        bucket: Bucket for large payloads and results.
        tasks: What producers need to know of each task: those of its settings that `Settings.for_producers` returns,
            and `schema`, the JSON schema of its payload.
        timers: The one-time schedules: their `group`, and either the `role` with which they send to any queue of the
            stack, or `roles`, the roles by the task that is sent to.
    """

    stack: str
    account: str
    region: str
    table: str
    bucket: str
    tasks: dict[str, dict[str, Any]]
    timers: dict[str, Any]

    def task_of(self, queue: str) -> str:
        """Return the task that a queue of the stack belongs to; names of tasks have no hyphen."""
        return queue.removeprefix(f"{self.stack}-").partition("-")[0]

    def lanes(self, task: str) -> list[str]:
        """Return a task's lanes.

        Raises:
            UnknownTask: Not deployed in this stack.
        """
        lanes: list[str] = self.task(task).get("priorities", [DEFAULT_LANE])
        return lanes

    def has_lane(self, task: str, lane: str | None) -> bool:
        """Return whether a task is deployed and has a lane; None stands for the default lane."""
        return task in self.tasks and (lane or DEFAULT_LANE) in self.lanes(task)

    def task(self, name: str) -> dict[str, Any]:
        """Return what producers need to know of a task.

        Raises:
            UnknownTask: Not deployed in this stack; names all tasks of a few, or the nearest of many.
        """
        if name not in self.tasks:
            has = ", ".join(sorted(self.tasks)) or "none"
            if len(self.tasks) > _FEW:
                has = f"{len(self.tasks)} others{did_you_mean(name, self.tasks)}"
            msg = f"task {name!r} is not deployed in stack {self.stack!r}: it has {has}"
            raise UnknownTask(msg)
        return self.tasks[name]

    def dump(self, parts: Sequence[str] = ()) -> str:
        """Write the parameter's text.

        Args:
            parts: Names of the parameters that hold the tasks; none: the text holds the tasks itself.
        """
        named: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "tasks"}
        if parts:
            named["parts"] = list(parts)
        elif self.tasks:
            named["tasks"] = pack_tasks(self.tasks)
        return json.dumps({"version": _VERSION, **named}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str, read_parts: Callable[[list[str]], Sequence[str]] | None = None) -> Manifest:
        """Read the parameter's text.

        Args:
            text: The text.
            read_parts: Returns the texts of the parameters of some names.

        Raises:
            Refused: The stack was deployed by a version this one cannot read.
        """
        data: dict[str, Any] = json.loads(text)
        if data.get("version") != _VERSION:
            raise Refused(_OTHER_VERSION, lasting=False)
        parts: list[str] = data.get("parts", [])
        packed = "".join(read_parts(parts)) if parts and read_parts is not None else data.get("tasks")
        try:
            named = {each.name: data[each.name] for each in fields(cls) if each.name != "tasks"}
            return cls(**named, tasks=unpack_tasks(packed) if packed else {})
        except (KeyError, ValueError) as error:
            raise Refused(_OTHER_VERSION, lasting=False) from error


_FEW = 12
"""Tasks that an error can name."""

_OTHER_VERSION = "the stack's manifest is of another version: deploy the stack with this version of offload"


def pack_tasks(tasks: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the `tasks` of a manifest as one text of letters, digits and `+/=`.

    Schemas repeat themselves, so a tenth of their length is left. SSM refuses some plain texts, such as `{{name}}`.
    """
    import base64
    import zlib

    plain = json.dumps(tasks, separators=(",", ":"))
    return base64.b64encode(zlib.compress(plain.encode(), 9)).decode()


def unpack_tasks(text: str) -> dict[str, dict[str, Any]]:
    """Read what `pack_tasks` wrote.

    Raises:
        ValueError: The text is something else.
    """
    import base64  # a worker that enqueues nothing needs neither
    import zlib

    try:
        tasks: dict[str, dict[str, Any]] = json.loads(zlib.decompress(base64.b64decode(text)))
    except zlib.error as error:
        raise ValueError("no compressed text") from error
    return tasks
