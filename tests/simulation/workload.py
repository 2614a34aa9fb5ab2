"""What happens to the simulated stack: operations as data, drawn from a seed, and the processes that carry them out."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from offload import OffloadError, Refused, Unavailable
from offload.client import PartlyEnqueued
from offload.core.enqueueing.options import CheckedOptions
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.manifest import queue_name
from offload.core.ports import OutgoingMessage
from offload.operate.dead_letters import list_dead_letters
from offload.operate.redrive import Selection, redrive
from offload.testing import Faults
from offload.testing.event_source import act_as
from offload.testing.pipeline import STACK
from offload.testing.processes import Killed, Process
from tests.simulation.tasks import ACTING, TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing import Pipeline

HORIZON = 2_400
"""Seconds in which operations begin."""

_STEPS = {
    "ok": 12, "fail": 5, "permanent": 2, "later": 2, "exit": 1, "slow": 3, "long": 1, "clean": 1, "watch": 2,
    "look": 1, "large": 2, "unwritable": 1, "spawn": 2,
}  # fmt: skip
_POISON = (
    "no json at all",
    "[1, 2]",
    "{}",
    '{"payload": 3}',
    '{"payload": {"name": "x"}}',
    '{"payload": {"name": 1, "steps": "ok"}}',
    '{"payload": {}, "task": "another"}',
    '{"payload": {"name": "x", "steps": ["ok"]}, "hops": 51}',
    '{"payload": {"name": "x", "steps": ["ok"]}, "version": 2}',
    '{"payload": {"name": "x", "steps": ["ok"]}, "id": "no id!"}',
    '{"id": "named", "payload": null}',
    '{"payload_ref": {"bucket": "memory", "key": "gone"}}',
)
_KINDS = {
    "enqueue": 30, "many": 4, "keyed": 8, "bare": 8, "copies": 5, "poison": 6, "cancel": 10, "stop": 4, "console": 4,
    "redrive": 5, "retry": 5, "restart": 3, "look": 2,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that somebody does `at` seconds after the start."""

    at: float
    kind: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole simulation: the same plan always runs the same way."""

    seed: int
    faults: Faults
    operations: tuple[Operation, ...]


@dataclass
class Book:
    """What the programs outside remember.

    Attributes:
        accepted: Job ids they were given, in order.
        keys: Job ids by task and key, with the time each was given.
        poison: Bodies that can never run, as task and body.
    """

    accepted: list[str] = field(default_factory=list)
    keys: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    poison: list[tuple[str, str]] = field(default_factory=list)


def draw(seed: int) -> Plan:
    """Draw a plan. Each seed has its own mix: some faults never, some often, so that rare ones are not drowned."""
    rng = random.Random(f"plan {seed}")
    chances = {item.name for item in fields(Faults)} - {"seed", "crash_at", "deaths"}
    scale = rng.choice([0.3, 1, 1, 3])
    defaults = Faults()
    mix = {name: min(1.0, getattr(defaults, name) * scale) if rng.random() < 0.6 else 0.0 for name in sorted(chances)}
    mix["interleave"] = rng.choice([0.0, 0.3, 0.8])
    crash_at = rng.randint(1, 200) if rng.random() < 0.3 else None
    faults = Faults(seed=seed, crash_at=crash_at, deaths=rng.choice([2, 4, 8]), **mix)
    count = rng.randint(2, 14)
    return Plan(seed, faults, tuple(sorted((_operation(rng) for _ in range(count)), key=lambda one: one.at)))


def _operation(rng: random.Random) -> Operation:  # noqa: PLR0911 - one case a kind
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    at = round(rng.uniform(0, 60) if rng.random() < 0.5 else rng.uniform(0, HORIZON), 3)
    task = rng.choice(ACTING)
    work = {"task": task, "payload": {"name": rng.choice("abcdef"), "steps": _steps(rng)}}
    match kind:
        case "enqueue":
            return Operation(at, kind, {**work, "options": _options(rng, task)})
        case "stop":
            payload = {"name": "stopped", "steps": [rng.choice(["watch", "look"])]}
            return Operation(at, kind, {"task": task, "payload": payload, "after": round(rng.uniform(0, 8), 3)})
        case "many":
            names = [{"name": str(n), "steps": _steps(rng)} for n in range(rng.randint(2, 23))]
            return Operation(at, kind, {"task": task, "payloads": names})
        case "keyed":
            options = {"key": rng.choice(["k1", "k2"]), "delay": rng.choice([None, None, "30s"])}
            return Operation(at, kind, {**work, "options": options})
        case "copies":
            return Operation(at, kind, {**work, "name": f"copy-{rng.randint(1, 3)}", "times": rng.randint(2, 4)})
        case "poison":
            return Operation(at, kind, {"task": task, "body": rng.choice(_POISON)})
        case "bare":
            return Operation(at, kind, {**work, "expires": rng.random() < 0.1})
        case "redrive":
            return Operation(
                at, kind, {"task": task, "which": rng.choice(["all", "id", "fingerprint"]), "n": rng.random()}
            )
        case _:
            return Operation(at, kind, {"task": task, "n": rng.random()})


def _steps(rng: random.Random) -> list[str]:
    return rng.choices(list(_STEPS), list(_STEPS.values()), k=rng.randint(1, 3))


def _options(rng: random.Random, task: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.25:
        options["delay"] = rng.choice(["5s", "2m", "14m", "20m"])
    if rng.random() < 0.1:
        options["expires"] = rng.choice(["10s", "3m"])
    if rng.random() < 0.2:
        options["tenant"] = rng.choice(["acme", "Ünïcode tenant"])
    if task == "urgent" and rng.random() < 0.5:
        options["priority"] = "high"
    return options


class Outside:
    """The programs and people outside the stack. Each operation runs in a process of its own, which may die."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.book = Book()

    def begin(self, plan: Plan) -> None:
        """Have each operation begin at its time."""
        for number, operation in enumerate(plan.operations):
            self._start(f"{operation.kind}-{number}", operation, after=operation.at, tries=4)

    def _start(self, name: str, operation: Operation, *, after: float, tries: int) -> None:
        act = getattr(self, f"_{operation.kind}")
        self.pipeline.clock.start(lambda: self._carry_out(name, act, operation, tries), after=after)

    def _carry_out(self, name: str, act: Callable[..., None], operation: Operation, tries: int) -> None:
        process = Process(name, self.pipeline.clock)
        try:
            with act_as(process):
                act(**operation.details)
        except (Killed, Unavailable):
            # With a key it is safe to try again, and whoever uses one does; so do operators.
            if tries and operation.kind in ("keyed", "redrive", "cancel", "retry"):
                self._start(f"{name}'", operation, after=20, tries=tries - 1)
        except Refused:
            pass

    def _accepted(self, handle: Any, key: str | None = None) -> None:
        self.book.accepted.append(handle.id)
        if key is not None:
            self.book.keys.setdefault((handle.task, key), []).append((self.pipeline.clock.now(), handle.id))

    def _some(self, n: float) -> str | None:
        """Return one of the jobs known outside."""
        known = self.book.accepted
        return known[int(n * len(known))] if known else None

    def _enqueue(self, task: str, payload: dict[str, Any], options: dict[str, Any]) -> None:
        self._accepted(self.pipeline.client.enqueue(task, payload, **options))

    def _stop(self, task: str, payload: dict[str, Any], after: float) -> None:
        """Enqueue a job that looks whether it is asked to stop, and ask it to, which may hit it in its run."""
        handle = self.pipeline.client.enqueue(task, payload)
        self._accepted(handle)
        self.pipeline.clock.sleep(after)
        self._ask(self.pipeline.client.cancel, handle.id)

    def _keyed(self, task: str, payload: dict[str, Any], options: dict[str, Any]) -> None:
        self._accepted(self.pipeline.client.enqueue(task, payload, **options), options["key"])

    def _many(self, task: str, payloads: list[dict[str, Any]]) -> None:
        try:
            handles = self.pipeline.client.send_many(
                [EnqueueRequest(task, payload, CheckedOptions()) for payload in payloads]
            )
        except PartlyEnqueued as partly:
            handles = [handle for handle in partly.handles if handle is not None]
        for handle in handles:
            self._accepted(handle)

    def _bare(self, task: str, payload: dict[str, Any], expires: bool) -> None:
        body: dict[str, Any] = {"payload": payload}
        if expires:
            body["expires_at"] = self.pipeline.clock.now() + 15_000
        self.book.accepted.append(self._send(task, json.dumps(body)))

    def _copies(self, task: str, payload: dict[str, Any], name: str, times: int) -> None:
        job_id = f"{task}-{name}"
        for _ in range(times):
            self._send(task, json.dumps({"id": job_id, "payload": payload}))
            self.pipeline.clock.sleep(0.4)
        self.book.accepted.append(job_id)

    def _poison(self, task: str, body: str) -> None:
        self._send(task, body)
        self.book.poison.append((task, body))

    def _send(self, task: str, body: str) -> str:
        message_id: str = self.pipeline.queues.send(queue_name(STACK, task), OutgoingMessage(body))
        return message_id

    def _cancel(self, task: str, n: float) -> None:
        if (job_id := self._some(n)) is not None:
            self._ask(self.pipeline.client.cancel, job_id)

    def _retry(self, task: str, n: float) -> None:
        if (job_id := self._some(n)) is not None:
            self._ask(self.pipeline.client.retry, job_id)

    def _ask(self, act: Callable[[str], Any], job_id: str) -> None:
        try:
            act(job_id)
        except (Unavailable, Refused):
            raise
        except OffloadError:
            pass  # no record yet, or a state in which there is nothing to do

    def _console(self, task: str, n: float) -> None:
        for lane in self.pipeline.manifest.lanes(task):
            self.pipeline.redrive(task, lane)

    def _redrive(self, task: str, which: str, n: float) -> None:
        selection = None
        if which != "all":
            letters = list_dead_letters(self.pipeline.client, task)
            if not letters:
                return
            letter = letters[int(n * len(letters))]
            selection = Selection(ids=(letter.job_id,)) if which == "id" else Selection(fingerprint=letter.fingerprint)
        redrive(self.pipeline.client, task, selection)

    def _look(self, task: str, n: float) -> None:
        list_dead_letters(self.pipeline.client, task)

    def _restart(self, task: str, n: float) -> None:
        self.pipeline.deploy(*(one for one in TASKS if one.name == task))
