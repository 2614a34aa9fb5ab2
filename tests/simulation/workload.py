"""What happens to the simulated stack: operations as data, drawn from a seed, and the processes that carry them out."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from offload import IdTaken, KeyReused, OffloadError, PartlyEnqueued, Refused, Unavailable
from offload.core.jobs.state import State
from offload.core.manifest import queue_name
from offload.core.ports import OutgoingMessage
from offload.operate.dead_letters import list_dead_letters
from offload.operate.redrive import Selection, redrive
from offload.testing import Faults
from offload.testing.event_source import act_as
from offload.testing.pipeline import STACK
from offload.testing.processes import Killed, Process
from tests.simulation.ages import QUEUES, SHARE, draw_ages
from tests.simulation.plan import HORIZON, Book, Operation, Plan
from tests.simulation.tasks import ACTING, DEADLY, TASKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.testing import Pipeline

QUIET = "quiet-"
"""How the ids of jobs begin that have no record before they start."""

_STEPS = {
    "ok": 12, "fail": 5, "permanent": 2, "later": 2, "exit": 1, "slow": 3, "long": 1, "clean": 1, "watch": 2,
    "look": 1, "large": 2, "unwritable": 1, "spawn": 2, "thread": 1, "threads": 1, "fork": 1, "frozen": 1,
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
    *[json.dumps({"payload": {"name": DEADLY, "steps": ["ok"]}})] * 4,
)
_FORGED: dict[str, dict[str, Any]] = {
    "message": {},
    "late message": {"expires_at": 1},
    "broken message": {"payload": 3},
    "misfit": {"payload": {"nope": 3}},
}
"""What messages have that name a job id of their own, which may be another task's."""

_KINDS = {
    "enqueue": 30, "many": 4, "keyed": 8, "bare": 8, "copies": 5, "poison": 6, "cancel": 10, "stop": 4, "console": 4,
    "redrive": 5, "retry": 5, "restart": 3, "look": 2, "same_id": 8, "again": 4, "freed": 4, "quiet": 2,
    "misfit": 2, "line": 2, "named": 4,
}  # fmt: skip
_AGAIN = {"same": None, "other payload": KeyReused, "other key": IdTaken}
"""How a program uses an id and a key again, and what it is to be told."""


@dataclass(frozen=True, slots=True)
class _Mix:
    """What operations are drawn from, with weights.

    A plan often has a few kinds alone, of few tasks and in a short time. So it brings together what seldom meets.
    """

    kinds: dict[str, int]
    steps: dict[str, int]
    tasks: tuple[str, ...]
    horizon: float

    @classmethod
    def draw(cls, rng: random.Random) -> _Mix:
        if rng.random() < 0.4:
            return cls(_KINDS, _STEPS, ACTING, HORIZON)
        kinds, steps = rng.sample(sorted(_KINDS), 3), rng.sample(sorted(_STEPS), 3)
        enqueueing = rng.choice(["enqueue", "bare"])
        tasks = tuple(rng.sample(ACTING, 2))
        return cls(dict.fromkeys([*kinds, enqueueing], 1), dict.fromkeys(steps, 1), tasks, rng.choice([60, HORIZON]))


def draw(seed: int) -> Plan:
    """Draw a plan. Each seed has its own mix: some faults never, some often, so that rare ones are not drowned."""
    rng = random.Random(f"plan {seed}")
    chances = {item.name for item in fields(Faults)} - {"seed", "crash_at", "deaths"}
    scale = rng.choice([0.3, 1, 1, 3])
    defaults = Faults()
    mix = {name: min(1.0, getattr(defaults, name) * scale) if rng.random() < 0.6 else 0.0 for name in sorted(chances)}
    if rng.random() < 0.3:
        often = rng.choice(sorted(chances - {"timeout", "crash", "interleave"}))
        mix[often] = min(0.3, getattr(defaults, often) * 8)
    mix["interleave"] = rng.choice([0.0, 0.3, 0.8])
    crash_at = rng.randint(1, 200) if rng.random() < 0.3 else None
    faults = Faults(seed=seed, crash_at=crash_at, deaths=rng.choice([2, 4, 8]), **mix)
    if rng.random() < SHARE:
        operations, horizon, pause = draw_ages(rng)
        if any(operation.details.get("service") == QUEUES for operation in operations):
            faults = Faults.none(seed)
        # An answer that is lost after a copy was sent leaves two messages: they multiply as long as a service is out.
        faults = replace(faults, response=min(faults.response, defaults.response))
        return Plan(seed, faults, tuple(sorted(operations, key=lambda one: one.at)), horizon, pause)
    count, drawn = rng.randint(2, 14), _Mix.draw(rng)
    return Plan(seed, faults, tuple(sorted((_operation(rng, drawn) for _ in range(count)), key=lambda one: one.at)))


def _operation(rng: random.Random, mix: _Mix) -> Operation:  # noqa: C901, PLR0911, PLR0912 - one case a kind
    kind = rng.choices(list(mix.kinds), list(mix.kinds.values()))[0]
    at = round(rng.uniform(0, 60) if rng.random() < 0.5 else rng.uniform(0, mix.horizon), 3)
    task = rng.choice(mix.tasks)
    work = {"task": task, "payload": {"name": rng.choice("abcdef"), "steps": _steps(rng, mix)}}
    match kind:
        case "enqueue":
            return Operation(at, kind, {**work, "options": _options(rng, task)})
        case "stop":
            payload = {"name": "stopped", "steps": [rng.choice(["watch", "look"])]}
            return Operation(at, kind, {"task": task, "payload": payload, "after": round(rng.uniform(0, 8), 3)})
        case "many":
            names = [{"name": str(n), "steps": _steps(rng, mix)} for n in range(rng.randint(2, 23))]
            return Operation(at, kind, {"task": task, "payloads": names, **_bulk(rng)})
        case "line":
            names = [{"name": str(n), "steps": _steps(rng, mix)} for n in range(rng.randint(2, 5))]
            return Operation(
                at, kind, {"payloads": names, "expires": rng.choice([None, "20h"]), "leaves": rng.random()}
            )
        case "keyed":
            options = {"key": rng.choice(["k1", "k2"]), "delay": rng.choice([None, None, "30s"])}
            options["key_may_differ"] = rng.random() < 0.5
            return Operation(at, kind, {**work, "options": options})
        case "copies":
            return Operation(at, kind, {**work, "name": f"copy-{rng.randint(1, 3)}", "times": rng.randint(2, 4)})
        case "same_id":
            # Whatever the task: two tasks use one id now and then, through the client or with a message.
            door = rng.choice(["client", "client", *_FORGED])
            return Operation(at, kind, {**work, "job_id": f"same-{rng.randint(1, 2)}", "door": door})
        case "again":
            payload = {"name": "again", "steps": [rng.choice(["permanent", "fail"]), "ok"]}
            return Operation(at, kind, {"task": task, "payload": payload, "after": round(rng.uniform(20, 200), 3)})
        case "freed":
            payload, delay = {"name": "freed", "steps": ["stumble"]}, rng.choice([None, "30s"])
            details = {"task": task, "payload": payload, "delay": delay, "after": round(rng.uniform(1, 12), 3)}
            return Operation(at, kind, {**details, "key": f"freed-{at}"})
        case "quiet":
            return Operation(at, kind, {**work, "job_id": f"{QUIET}{at}"})
        case "named":
            again, after = rng.choice(list(_AGAIN)), round(rng.uniform(0, 90), 3)
            details = {"again": again, "after": after, "many": rng.random() < 0.5, "name": f"named-{at}"}
            return Operation(at, kind, {**work, **details})
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


def _steps(rng: random.Random, mix: _Mix) -> list[str]:
    return rng.choices(list(mix.steps), list(mix.steps.values()), k=rng.randint(1, 3))


_EXPIRES = {
    None: ("10s", "3m"),
    "5s": ("10s", "3m"),
    "2m": ("130s", "3m"),
    "14m": ("850s", "1h"),
    "20m": ("1210s", "1h"),
}
"""Delays, and what may expire after each: soon after the job is due, or later."""


def _options(rng: random.Random, task: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if rng.random() < 0.25:
        options["delay"] = rng.choice([delay for delay in _EXPIRES if delay is not None])
    if rng.random() < 0.1:
        options["expires"] = rng.choice(_EXPIRES[options.get("delay")])
    if rng.random() < 0.2:
        options["tenant"] = rng.choice(["acme", "Ünïcode tenant"])
    if task == "urgent" and rng.random() < 0.5:
        options["priority"] = "high"
    return options


def _bulk(rng: random.Random) -> dict[str, Any]:
    """Draw the options of many jobs, and the id prefix under which they are tried again until all are enqueued."""
    options = rng.choice([{}, {}, {"track": "start"}, {"delay": "20m"}, {"delay": "5s"}])
    keyed = rng.random() < 0.2
    return {"options": options, "keyed": keyed, "prefix": rng.choice([None, f"bulk{rng.randint(0, 999_999)}"])}


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
        except (Killed, Unavailable) as error:
            self._complain(name, error)
            # With a key it is safe to try again, and whoever uses one does; so do operators.
            again = operation.kind in ("keyed", "redrive", "cancel", "retry") or operation.details.get("prefix")
            if tries and again:
                self._start(f"{name}'", operation, after=20, tries=tries - 1)
        except (Refused, IdTaken, KeyReused):
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody should have been told
            self.book.complaints.append((name, f"it was told {error!r}"))

    def _complain(self, name: str, error: BaseException) -> None:
        """Complain when enqueueing raised an error although the message of the job, and that alone, was sent."""
        requests = [entry for entry in self.pipeline.trace if (entry.process, entry.kind) == (name, "request")]
        if not requests or isinstance(error, Killed) or not name.startswith(("enqueue", "quiet")):
            return
        *before, (last, arguments, _) = (entry.details for entry in requests)
        sent = any(method in ("send", "send_at") and isinstance(answer, str) for method, _, answer in before)
        if last == "apply" and sent:
            self.book.complaints.append((arguments[0].id, f"its message was sent, and {name} was told {error}"))

    def _accepted(self, handle: Any, key: str | None = None) -> None:
        self.book.accepted.append(handle.id)
        if key is not None:
            self.book.keys.setdefault((handle.task, key), []).append((self.pipeline.clock.now(), handle.id))

    def _some(self, n: float) -> str | None:
        """Return one of the jobs known outside."""
        known = self.book.accepted
        return known[int(n * len(known))] if known else None

    def _enqueue(self, task: str, payload: dict[str, Any], options: dict[str, Any]) -> None:
        handle = self.pipeline.client.enqueue(task, payload, **options)
        self._accepted(handle)
        self.book.sound.add(handle.id)

    def _stall(self, task: str, seconds: float) -> None:
        """Have nothing received from a task's queues for some time, as when nothing of its function may run."""
        for stalled in (True, False):
            for lane in self.pipeline.manifest.lanes(task):
                self.pipeline.mapping(task, lane).stalled = stalled
            self.pipeline.clock.sleep(seconds if stalled else 0)

    def _outage(self, service: str, seconds: float) -> None:
        """Have a service refuse its requests for some time."""
        assert self.pipeline.injector is not None
        self.pipeline.injector.refuse(service, seconds)

    def _stop(self, task: str, payload: dict[str, Any], after: float) -> None:
        """Enqueue a job that looks whether it is asked to stop, and ask it to, which may hit it in its run."""
        handle = self.pipeline.client.enqueue(task, payload)
        self._accepted(handle)
        self.pipeline.clock.sleep(after)
        self._ask(self.pipeline.client.cancel, handle.id)

    def _again(self, task: str, payload: dict[str, Any], after: float) -> None:
        """Enqueue a job that fails and had to start soon, and retry it by hand later."""
        handle = self.pipeline.client.enqueue(task, payload, expires="15s", tenant="acme")
        self._accepted(handle)
        self.pipeline.clock.sleep(after)
        self._ask(self.pipeline.client.retry, handle.id)

    def _freed(self, task: str, payload: dict[str, Any], delay: str | None, after: float, key: str) -> None:
        """Cancel a job that has a key, before its start or in its run, and have two programs use its key at once."""
        again = {"task": task, "payload": payload, "options": {"key": key}}
        self._accepted(self.pipeline.client.enqueue(task, payload, key=key, delay=delay), key)
        self.pipeline.clock.sleep(after)
        self._ask(self.pipeline.client.cancel, self.book.accepted[-1])
        for number in range(2):
            self._start(f"keyed-{key}-{number}", Operation(0, "keyed", again), after=number / 20, tries=4)

    def _quiet(self, task: str, payload: dict[str, Any], job_id: str) -> None:
        self._accepted(self.pipeline.client.enqueue(task, payload, id=job_id, track="start"))

    def _keyed(self, task: str, payload: dict[str, Any], options: dict[str, Any]) -> None:
        handle = self.pipeline.client.enqueue(task, payload, **options)
        self._accepted(handle, options["key"])
        given = (
            self.book.payloads.setdefault(handle.id, payload) if handle.created else self.book.payloads.get(handle.id)
        )
        if given not in (None, payload) and not options.get("key_may_differ"):
            self.book.complaints.append((handle.id, f"key {options['key']!r} was used with other arguments"))

    def _named(self, task: str, payload: dict[str, Any], name: str, again: str, many: bool, after: float) -> None:
        """Enqueue a job under an id and a key, and use them again later, with something else perhaps."""

        def use(payload: dict[str, Any], key: str) -> Any:
            if not many:
                return self.pipeline.client.enqueue(task, payload, id=f"{name}-0", key=key)
            try:
                return self.pipeline.client.enqueue_many(task, [(payload, {"key": key})], id_prefix=name)[0]
            except PartlyEnqueued as partly:
                raise partly.failures[0] from None

        self._accepted(use(payload, name), name)
        self.pipeline.clock.sleep(after)
        if again == "other key" and self.pipeline.record(f"{name}-0") is None:
            return  # nobody can know yet that the id is in use
        told: Any = None
        try:
            changed = {**payload, "name": "x"} if again == "other payload" else payload
            handle = use(changed, f"{name}-other" if again == "other key" else name)
            told = handle.id if handle.created else None
        except (IdTaken, KeyReused) as error:
            told = type(error)
        if told is not _AGAIN[again]:
            self.book.complaints.append((f"{name}-0", f"it was used again with {again}: {told}"))

    def _many(
        self, task: str, payloads: list[dict[str, Any]], options: dict[str, Any], keyed: bool, prefix: str | None
    ) -> None:
        entries: list[Any] = list(payloads)
        if keyed:
            entries[::3] = [
                (each, {"key": f"k{number % 5}", "key_may_differ": True}) for number, each in enumerate(entries[::3])
            ]
        try:
            handles = self.pipeline.client.enqueue_many(task, entries, id_prefix=prefix, **options)
        except PartlyEnqueued as partly:
            for index, accepted in enumerate(partly.handles):
                if accepted is not None:
                    self._accepted(accepted, _key(entries[index]))
            if prefix is not None:
                raise Unavailable("some are missing") from partly
        else:
            for entry, handle in zip(entries, handles, strict=True):
                self._accepted(handle, _key(entry))

    def _line(self, payloads: list[dict[str, Any]], expires: str | None, leaves: float) -> None:
        """Enqueue jobs that wait for days in a line, of which one is cancelled meanwhile and one may expire."""
        client = self.pipeline.client
        for number, payload in enumerate(payloads):
            self._accepted(client.enqueue("rare", payload, expires=expires if number == len(payloads) // 2 else None))
        self.pipeline.clock.sleep(leaves * 86_400)
        self._ask(client.cancel, self.book.accepted[-1])

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

    def _same_id(self, task: str, payload: dict[str, Any], job_id: str, door: str) -> None:
        if door == "client":
            self._accepted(self.pipeline.client.enqueue(task, payload, id=job_id))
            return
        self._send(task, json.dumps({"id": job_id, "payload": payload, **_FORGED[door]}))

    def _forge(self, task: str, n: float) -> None:
        """Send a body that breaks the contract and names a job that is between attempts: it must not end the job."""
        waiting = [job for job in self.pipeline.jobs if job.state is State.RETRYING]
        if waiting:
            job = waiting[int(n * len(waiting))]
            self.book.sound.discard(job.id)  # once it has failed, a redrive of that body may fail it anew
            self._send(job.task, json.dumps({"id": job.id, "payload": 3}))

    def _poison(self, task: str, body: str) -> None:
        self._send(task, body)
        self.book.poison.append((task, body, self.pipeline.clock.now()))

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
            job = act(job_id)
            if act == self.pipeline.client.cancel and job.state is State.RUNNING and job.cancel_requested_at is None:
                self.book.complaints.append((job_id, "it runs, and was not asked to stop"))
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

    def _misfit(self, task: str, n: float) -> None:
        """Send a message that cannot run and names no job, and redrive it alone once it is a dead letter."""
        message_id = self._send(task, '{"payload": {"name": "x"}}')
        chosen = Operation(0, "redrive_chosen", {"task": task, "message_id": message_id})
        self._start(f"redrive-{message_id}", chosen, after=30 + 300 * n, tries=4)

    def _redrive_chosen(self, task: str, message_id: str) -> None:
        redrive(self.pipeline.client, task, Selection(ids=(message_id,)))

    def _look(self, task: str, n: float) -> None:
        list_dead_letters(self.pipeline.client, task)

    def _restart(self, task: str, n: float) -> None:
        self.pipeline.deploy(*(one for one in TASKS if one.name == task))


def _key(entry: Any) -> str | None:
    return entry[1]["key"] if isinstance(entry, tuple) else None
