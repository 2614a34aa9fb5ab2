"""What an id and a key mean together: one table, for every way to enqueue."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from offload import (
    Client,
    Hooks,
    IdTaken,
    KeyReused,
    PartlyEnqueued,
    PayloadError,
    Retry,
    Unavailable,
    enqueue,
    task,
)
from offload.cli.main import main
from offload.core.jobs.idempotency_keys import KEY_WINDOW
from tests.runtime.interference import right_after
from tests.runtime.scripted_task import ScriptedTask, fail


@task
def other(name: str) -> None: ...


@dataclass(frozen=True)
class Case:
    """What is there, and what a job enqueued with the arguments `{"name": "mine"}` comes to.

    Attributes:
        record: What the id that is given names: nothing, another task's job, or a job of the task in this state.
        key: What the key names: see `_arrange`.
        comes_to: The id of the job that the caller gets, or the error. `drawn` stands for an id that was drawn.
        created: Whether the job is new.
    """

    record: str | None
    key: str | None
    comes_to: Any
    created: bool = False

    def __str__(self) -> str:
        return f"{self.record or 'no'} id, {self.key or 'no'} key"


MINE = "q-1"
"""The id that is given. It is also the id that the prefix `q` gives to call 1 of many."""

STATES = ("waiting", "running", "succeeded", "failed", "cancelled", "expired")
KEYS = (None, "free", "over", "of another", "of another, other arguments")

TABLE = [
    # No id: the key alone decides.
    Case(None, None, "drawn", created=True),
    Case(None, "free", "drawn", created=True),
    Case(None, "over", "drawn", created=True),
    Case(None, "of another", "another"),
    Case(None, "of another, other arguments", KeyReused),
    Case(None, "of a cancelled one, other arguments", "drawn", created=True),
    # An id that nobody has: it names the job, if a new one is made.
    Case("new", None, MINE, created=True),
    Case("new", "free", MINE, created=True),
    Case("new", "over", MINE, created=True),
    Case("new", "of another", "another"),
    Case("new", "of another, other arguments", KeyReused),
    Case("new", "of a cancelled one, other arguments", MINE, created=True),
    Case("new", "not sent", MINE),
    Case("new", "not sent, other arguments", KeyReused),
    # An id of another task: never.
    *(Case("another task's", key, IdTaken) for key in KEYS),
    # An id of a job that is there: nothing is sent, whatever its state.
    *(Case(state, None, MINE) for state in STATES),
    *(Case(state, "its own", MINE) for state in STATES),
    *(Case(state, "its own, other arguments", KeyReused) for state in STATES),
    *(Case(state, "its own, over", MINE) for state in STATES),
    *(Case(state, "free", IdTaken) for state in STATES),
    *(Case(state, "over", IdTaken) for state in STATES),
    *(Case(state, "of another", "another") for state in STATES),
    *(Case(state, "of another, other arguments", KeyReused) for state in STATES),
    *(Case(state, "of another, not sent", "another") for state in STATES),
    *(Case(state, "of another, not sent, other arguments", KeyReused) for state in STATES),
    *(Case(state, "of a cancelled one, other arguments", IdTaken) for state in STATES),
    *(Case(state, "its own, then of a newer one", "another") for state in ("cancelled", "expired")),
]


def _delay(_pipeline, work, options):
    return work.options(**options).delay("mine")


def _adelay(_pipeline, work, options):
    return asyncio.run(work.options(**options).adelay("mine"))


def _apply_async(_pipeline, work, options):
    return work.apply_async(("mine",), **options)


def _by_name(pipeline, _work, options):
    return pipeline.client.enqueue("work", {"name": "mine"}, **options)


def _by_name_async(pipeline, _work, options):
    return asyncio.run(pipeline.client.aenqueue("work", {"name": "mine"}, **options))


def _in_force(_pipeline, _work, options):
    return enqueue("work", {"name": "mine"}, **options)


def _one(enqueue_many):
    """Enqueue one among others, and raise what its failure is."""
    try:
        return enqueue_many()[1]
    except PartlyEnqueued as partly:
        (error,) = partly.failures.values()
        raise error from None


def _many(_pipeline, work, options):
    return _one(lambda: work.delay_many(["before", work.options(**options).si("mine"), "after"]))


def _many_async(_pipeline, work, options):
    return _one(lambda: asyncio.run(work.adelay_many(["before", work.options(**options).si("mine"), "after"])))


def _many_by_name(pipeline, _work, options):
    entries = [{"name": "before"}, ({"name": "mine"}, options), {"name": "after"}]
    return _one(lambda: pipeline.client.enqueue_many("work", entries))


def _many_delayed(_pipeline, work, options):
    return _one(lambda: work.delay_many(["before", work.options(**options, delay="1h").si("mine"), "after"]))


def _many_by_prefix(_pipeline, work, options):
    given = {name: value for name, value in options.items() if name != "id"}
    return _one(lambda: work.delay_many(["before", work.options(**given).si("mine"), "after"], id_prefix="q"))


def _command(pipeline, _work, options):
    given = [word for name, value in options.items() for word in (f"--{name}", value)]
    told = json.loads(_offload(pipeline, "enqueue", "work", "--payload", '{"name": "mine"}', "--json", *given))
    return SimpleNamespace(**told)


def _command_of_lines(pipeline, _work, options):
    lines = [{"payload": {"name": "before"}}, {"payload": {"name": "mine"}, **options}, {"payload": {"name": "after"}}]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    arguments = ["enqueue", "work", "--from", "-", "--line-options"]

    def enqueue_lines():
        try:
            return [SimpleNamespace(id=job_id) for job_id in _offload(pipeline, *arguments, stdin=text).split()]
        except PayloadError as error:
            raise error.__cause__ from None

    return _one(enqueue_lines)


def _offload(pipeline, *arguments, stdin=""):
    """Return what the command line prints."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(Client, "from_stack", lambda _: pipeline.client)
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        main.main(args=list(arguments), standalone_mode=False)
    return out.getvalue()


DOORS = [
    _delay, _adelay, _apply_async, _by_name, _by_name_async, _in_force, _command,
    _many, _many_async, _many_by_name, _many_delayed, _many_by_prefix, _command_of_lines,
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _no_threads_stay():
    """The threads of a client end with it, and other tests count threads."""
    yield
    gc.collect()


@pytest.fixture
def work():
    return ScriptedTask(retry=Retry(max_attempts=1))


@pytest.fixture
def pipeline(deploy, work):
    return deploy(work, other)


def _to_state(pipeline, work, state, name, **options):
    """Bring a job into a state."""
    if state == "failed":
        work.on_every_run(fail, of=name)
    job = work.options(**options, expires="1m" if state == "expired" else None).delay(name)
    if state == "running":
        pipeline.store.port.change(job.id, state="RUNNING", started_at=pipeline.clock.now())
    elif state in ("succeeded", "failed"):
        pipeline.run_until_idle()
    elif state == "cancelled":
        job.cancel()
    elif state == "expired":
        pipeline.clock.advance(61)
        pipeline.run_until_idle()
    assert job.status().value == ("PENDING" if state == "waiting" else state.upper())


def _arrange(pipeline, work, case):
    """Make what a case says is there."""
    key = case.key or ""
    own = {"key": "k"} if key.startswith("its own") else {}
    if key == "over":
        work.options(key="k", id="before", key_window="1m").delay("mine")
        pipeline.clock.advance(61)
    elif key.startswith("of another, not sent"):
        pipeline.queues.fail("send", Unavailable("down"))
        with pytest.raises(Unavailable):
            work.options(key="k", id="another").delay("theirs" if "other arguments" in key else "mine")
    elif key.startswith("of another"):
        work.options(key="k", id="another").delay("theirs" if "other arguments" in key else "mine")
    elif key.startswith("of a cancelled one"):
        work.options(key="k", id="another").delay("theirs").cancel()
    elif key.startswith("not sent"):
        pipeline.queues.fail("send", Unavailable("down"))
        with pytest.raises(Unavailable):
            work.options(key="k", id=MINE).delay("theirs" if "other arguments" in key else "mine")
    if case.record == "another task's":
        other.options(id=MINE).delay("mine")
    elif case.record in STATES:
        name = "theirs" if "other arguments" in key else "mine"
        _to_state(pipeline, work, case.record, name, id=MINE, **own)
    if key == "its own, over":
        pipeline.clock.advance(KEY_WINDOW + 1)
    if key == "its own, then of a newer one":
        work.options(key="k", id="another").delay("mine")


def _everything(pipeline):
    return [
        *(message.body for task in ("work", "other") for message in pipeline.waiting(task)),
        *(message.body for task in ("work", "other") for message in pipeline.dead(task)),
        *pipeline.timers.port.waiting(),
    ]


def _judge(case, pipeline, work, door):
    options = {
        **({"id": MINE} if case.record is not None else {}),
        **({"key": "k"} if case.key is not None else {}),
    }
    before, record = _everything(pipeline), pipeline.record(MINE)
    runs = len(work.runs)
    if isinstance(case.comes_to, type):
        with pytest.raises(case.comes_to) as told:
            door(pipeline, work, options)
        assert MINE in str(told.value) or "'k'" in str(told.value)
        sent = 0
    else:
        job = door(pipeline, work, options)
        assert getattr(job, "created", case.created) is case.created
        expected = case.comes_to
        assert job.id == expected or (expected == "drawn" and job.id not in (MINE, "another", "before"))
        sent = 1 if case.created or (case.key or "").endswith("not sent") else 0
    neighbours = 2 if "_many" in door.__name__ or "lines" in door.__name__ else 0
    assert len(_everything(pipeline)) == len(before) + sent + neighbours
    if case.record in STATES:
        assert pipeline.record(MINE) == record
    assert len(work.runs) == runs
    if isinstance(case.comes_to, type):
        # What was refused once is refused again: nothing was left behind that names the job.
        with pytest.raises(case.comes_to):
            door(pipeline, work, options)
    else:
        again = door(pipeline, work, options)
        named = case.record is not None or case.key is not None
        assert (again.id == job.id, getattr(again, "created", not named)) == (named, not named)


@pytest.mark.parametrize(
    ("case", "door"),
    # With a prefix each call has an id.
    [(case, door) for case in TABLE for door in DOORS if door is not _many_by_prefix or case.record is not None],
    ids=lambda each: each.__name__.strip("_") if callable(each) else str(each),
)
def test_the_table(pipeline, work, case, door):
    _arrange(pipeline, work, case)
    _judge(case, pipeline, work, door)


# What happens meanwhile


def test_a_key_that_becomes_free_meanwhile_is_not_given_to_a_job_that_is_there(pipeline, work, register):
    item = "key#work#k"

    class Meanwhile(Hooks):
        """Frees the key after it was looked at, and before it is used."""

        def before_enqueue(self, request):
            if request.options.key is not None and request.payload == {"name": "mine"}:
                pipeline.store.port.delete(item)

    work.options(id=MINE).delay("mine")
    pipeline.queues.fail("send", Unavailable("down"))
    with pytest.raises(Unavailable):
        work.options(key="k", id="another").delay("mine")
    register(Meanwhile())

    with pytest.raises(PartlyEnqueued) as partly:
        work.delay_many(["before", work.options(key="k").si("mine")], id_prefix="q")

    assert isinstance(partly.value.failures[1], IdTaken)
    assert len(pipeline.waiting("work")) == 2
    assert not [each for each in pipeline.store.items() if each["id"] == item]


def test_whoever_is_faster_with_the_id_has_created_the_job(pipeline, work):
    def faster():
        pipeline.clock.advance(1)
        assert work.options(id=MINE).delay("mine").created
        pipeline.clock.advance(1)

    right_after(pipeline.store, "get", faster)
    job = work.options(id=MINE, key="k").delay("mine")
    assert (job.id, job.created) == (MINE, False)
    pipeline.run_until_idle()
    assert work.names == ["mine"]
