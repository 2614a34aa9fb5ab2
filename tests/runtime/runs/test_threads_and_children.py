"""Whatever a job starts belongs to it: threads, executors, event loops, child processes, and what it leaves behind."""

from __future__ import annotations

import asyncio
import ctypes
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from offload import Hooks, Retry, State, current_job, task
from offload.core.tasks import context, inherited_job, worker_process
from offload.core.tasks.context import Origin, origin, running_job
from offload.testing import Faults, Pipeline

ROOT = Path(__file__).parents[3]
PRINT_ORIGIN = "from offload.core.tasks.context import origin; import json; print(json.dumps(origin()))"


class Job:
    """A job as `context` takes it."""

    attempt, task, tenant = 1, "work", "acme"

    def __init__(self, job_id, hops=3):
        self.id, self.hops = job_id, hops


@contextmanager
def running(job):
    token = context.enter(job)
    try:
        yield job
    finally:
        context.leave(token)


@pytest.fixture(autouse=True)
def _as_before():
    assert (running_job(), origin()) == (None, Origin())
    yield
    assert (running_job(), origin()) == (None, Origin())
    assert inherited_job.VARIABLE not in os.environ


@pytest.fixture
def in_worker(monkeypatch):
    """Let this process be a worker's, as the entry point does for good."""
    monkeypatch.setattr(worker_process._Process, "now", worker_process.NoJob())


def in_thread(call):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).result()


def in_plain_thread(call):
    found = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


def in_thread_of_a_thread(call):
    return in_plain_thread(lambda: in_plain_thread(call))


def in_event_loop(call):
    async def main():
        return await asyncio.create_task(asyncio.to_thread(call))

    return asyncio.run(main())


def in_executor_of_a_loop(call):
    async def main():
        return await asyncio.get_running_loop().run_in_executor(None, call)

    return asyncio.run(main())


def in_fork(call):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(call()).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading) as end:
        return Origin(*json.loads(end.read()))


def in_child(_call):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", PRINT_ORIGIN], env=environment, capture_output=True, check=True)
    return Origin(*json.loads(done.stdout))


def in_inheriting_child(_call):
    """In a child that is given no environment, and so inherits the one of C."""
    code = f"import sys; sys.path[:0] = {[str(ROOT / 'shared'), str(ROOT)]}; {PRINT_ORIGIN}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return Origin(*json.loads(done.stdout))


def in_spawned_process(call):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(call)


PLACES = [
    in_thread,
    in_plain_thread,
    in_thread_of_a_thread,
    in_event_loop,
    in_executor_of_a_loop,
    in_fork,
    in_child,
    in_inheriting_child,
    in_spawned_process,
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("in_worker")
def test_what_a_job_starts_has_its_origin(place):
    with context.worker(), running(Job("a")):
        assert place(origin) == Origin("a", 4, "acme")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_outside_a_worker_a_chain_begins(place):
    assert place(origin) == Origin()


@pytest.mark.usefixtures("in_worker")
def test_an_executor_that_outlives_its_job_works_for_the_one_that_runs():
    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as other, context.worker():
        for number in range(3):
            with running(Job(str(number))):
                assert pool.submit(origin).result() == Origin(str(number), 4, "acme")
                assert other.apply(origin) == Origin(str(number), 4, "acme")
            assert pool.submit(origin).result() == Origin(str(number), 4, "acme"), "between two jobs: the last one"
            assert other.apply(origin) == Origin(str(number), 4, "acme")


@pytest.mark.usefixtures("in_worker")
def test_a_thread_that_outlives_its_job_still_belongs_to_it():
    turns, seen = threading.Semaphore(0), []
    told = threading.Semaphore(0)

    def goes_on():
        for _ in range(4):
            turns.acquire()
            seen.append(origin())
            told.release()

    def look():
        turns.release()
        told.acquire()

    with context.worker():
        with running(Job("a", hops=7)):
            thread = threading.Thread(target=goes_on)
            thread.start()
            look()
        look()
        with running(Job("b")):
            look()
    look()
    thread.join()
    assert seen == [Origin("a", 8, "acme")] * 4


@pytest.mark.usefixtures("in_worker")
def test_a_thread_that_was_there_before_belongs_to_no_job_for_good():
    turns, seen, told = threading.Semaphore(0), [], threading.Semaphore(0)

    def sends_telemetry():
        for _ in range(2):
            turns.acquire()
            seen.append(origin())
            told.release()

    thread = threading.Thread(target=sends_telemetry)
    thread.start()
    with context.worker():
        for name in "ab":
            with running(Job(name)):
                turns.release()
                told.acquire()
    thread.join()
    assert [each.parent for each in seen] == ["a", "b"]


@pytest.mark.usefixtures("in_worker")
def test_a_worker_outside_any_job_has_begun_the_chain():
    with context.worker():
        assert (running_job(), origin()) == (None, Origin(hops=1))
        assert in_plain_thread(origin) == Origin(hops=1)
        with running(Job("a")):
            pass
        assert origin() == Origin(hops=1), "hooks of the worker itself"
        assert in_plain_thread(origin) == Origin("a", 4, "acme"), "a thread comes from a job"


def test_an_import_in_a_worker_begins_no_chain_and_neither_does_a_child_of_it():
    """In a process of its own, which is a worker for good."""
    code = (
        "from offload.core.tasks import context, inherited_job\n"
        "import json, subprocess, sys, threading\n"
        "context.begin_worker()\n"
        "found = [context.origin()]\n"
        "threading.Thread(target=lambda: found.append(context.origin())).start()\n"
        f"child = subprocess.run([sys.executable, '-c', {PRINT_ORIGIN!r}], capture_output=True, check=True)\n"
        "print(json.dumps([*found, json.loads(child.stdout)]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert [each[1] for each in json.loads(done.stdout)] == [1, 1, 1]


def test_a_child_process_knows_its_job():
    code = (
        "from offload import current_job as j\n"
        "j().progress(1); print(j().id, j().task, j().attempt, j().tenant, j().cancelled, j().remaining)"
    )
    environment = {"PYTHONPATH": f"{ROOT / 'shared'}{os.pathsep}{ROOT}"}
    with context.worker(), running(Job("a")):
        environment = {**os.environ, **environment}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["a", "work", "1", "acme", "False", "inf"]


@pytest.mark.parametrize("value", ["", "no json", "5", "[]", "{}", '{"process": 0}', '{"process": 0, "id": "x"}'])
def test_a_variable_of_somebody_else_is_no_job(monkeypatch, value):
    monkeypatch.setenv(inherited_job.VARIABLE, value)
    assert running_job() is None
    monkeypatch.undo()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere C copies what it is given")
@pytest.mark.usefixtures("in_worker")
def test_the_variable_keeps_its_place_from_job_to_job():
    """A process never frees the memory of a variable's former value, and a worker runs jobs for days."""
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    places, said = set(), []
    with context.worker():
        for name in ("a", "b", "c"):
            with running(Job(name)):
                place = library.getenv(inherited_job.VARIABLE.encode())
                places.add(place)
                said += [json.loads(ctypes.string_at(place))["id"], json.loads(inherited_job.told())["id"]]
    assert said == ["a", "a", "b", "b", "c", "c"]
    assert len(places) == 1


@pytest.mark.usefixtures("in_worker")
def test_a_job_of_any_size_is_told_whole():
    large = "x" * 10_000
    with context.worker():
        for name in (large, "a", large * 2, "b"):
            with running(Job(name)):
                assert in_inheriting_child(origin).parent == name


@pytest.mark.usefixtures("in_worker")
def test_whoever_restores_the_environment_does_not_cut_the_children_off():
    with context.worker(), running(Job("a")):
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(before)
        assert in_inheriting_child(origin) == Origin("a", 4, "acme")
        with running(Job("b")):
            assert in_inheriting_child(origin) == in_child(origin) == Origin("b", 4, "acme")
        assert in_inheriting_child(origin) == Origin("a", 4, "acme")


LOOK_LATER = f"import sys; sys.stdin.readline(); {PRINT_ORIGIN}"
STARTS = {
    "inherits": {},
    "is given a copy": {"copies": True},
    "is spawned": {"close_fds": False},
    "imports at once": {"first": "from offload.core.tasks.context import origin; "},
}


@pytest.mark.parametrize("how", STARTS)
@pytest.mark.usefixtures("in_worker")
def test_a_child_that_outlives_its_job_still_belongs_to_it(monkeypatch, how):
    """The child looks for the first time when its job has ended, another has begun, and that one has ended too."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'shared'}{os.pathsep}{ROOT}")
    options = dict(STARTS[how])
    code = options.pop("first", "") + LOOK_LATER

    def start():
        environment = {"env": os.environ | {"MINE": "1"}} if options.get("copies") else {}
        arguments = [sys.executable, "-c", code]
        return subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            close_fds=options.get("close_fds", True),
            **environment,
        )

    with context.worker():
        with running(Job("a")):
            first = start()
        with running(Job("b", hops=9)):
            second = start()
            told = [json.loads(first.communicate(b"\n")[0])]
        told.append(json.loads(second.communicate(b"\n")[0]))
    assert told == [["a", 4, "acme"], ["b", 10, "acme"]]


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("in_worker")
def test_a_process_of_multiprocessing_that_outlives_its_job_still_belongs_to_it(method):
    with context.worker():
        with running(Job("a")):
            pool = multiprocessing.get_context(method).Pool(1)
        with pool, running(Job("b")):
            assert pool.apply(origin) == Origin("a", 4, "acme")


# Through the real worker and client


@pytest.mark.parametrize("place", [in_thread, in_plain_thread, in_thread_of_a_thread, in_event_loop])
def test_a_task_that_enqueues_itself_through_a_thread_comes_to_an_end(deploy, place):
    @task(retry=Retry(max_attempts=1))
    def again():
        place(again.delay)

    pipeline = deploy(again)
    first = again.options(tenant="acme").delay()
    pipeline.run_until_idle()

    *ran, refused = sorted(pipeline.jobs, key=lambda job: job.state is State.FAILED)
    assert (len(ran), refused.state) == (51, State.FAILED)
    assert {job.tenant for job in ran} == {"acme"}
    parents = {job.parent for job in ran}
    assert len(parents) == 51
    assert parents - {None} < {job.id for job in ran}
    assert first.record().parent is None


@pytest.mark.parametrize("hook", ["before_run", "after_run", "process_started", "invocation_ended"])
def test_what_a_hook_enqueues_is_part_of_a_chain(deploy, register, hook):
    @task
    def other(): ...

    class Enqueueing(Hooks):
        done = False

        def _enqueue(self, *_):
            if not self.done:
                self.done = True
                other.delay()

    setattr(Enqueueing, hook, Enqueueing._enqueue)

    @task
    def work(): ...

    register(Enqueueing())
    pipeline = deploy(work, other)
    job = work.delay()
    pipeline.poll("work")

    (message,) = pipeline.waiting("other")
    body = json.loads(message.body)
    assert body["hops"] == 1
    assert body.get("parent") == (job.id if hook.endswith("_run") else None)


def test_a_thread_of_a_job_speaks_for_it(deploy):
    seen = {}

    @task(retry=Retry(max_attempts=2, base=0))
    def work():
        def in_the_thread():
            job = current_job()
            job.progress(1, 2, stage="in a thread")
            seen.update(id=job.id, attempt=job.attempt)
            pipeline.clock.advance(2)
            seen["cancelled"] = job.cancelled

        if current_job().attempt == 1:
            raise ValueError("once")
        job.cancel()
        in_plain_thread(in_the_thread)

    pipeline = deploy(work)
    job = work.delay()
    pipeline.run_until_idle()

    assert seen == {"id": job.id, "attempt": 2, "cancelled": True}
    assert job.record().progress["stage"] == "in a thread"


def test_threads_of_a_job_write_its_progress_once_a_second_together(deploy):
    @task
    def work():
        with ThreadPoolExecutor(8) as pool:
            for _ in range(2):
                list(pool.map(current_job().progress, range(200)))
                pipeline.clock.advance(1)

    pipeline = deploy(work)
    job = work.delay()
    pipeline.drain()

    alone = [w for (w,) in pipeline.store.called("apply") if "progress" in w.set and "state" not in w.set]
    assert len(alone) == 2
    assert job.status() is State.SUCCEEDED


def test_jobs_that_take_turns_in_a_process_do_not_see_each_other():
    seen = []

    @task(max_concurrency=10, batch_size=1)
    def work():
        mine = current_job().id
        for _ in range(3):
            pipeline.clock.sleep(1)
            seen.append(current_job().id == mine)
            seen.append(in_plain_thread(origin).parent == mine)
            seen.append(json.loads(inherited_job.told())["id"] == mine)

    with Pipeline(work, faults=Faults(), seed=3) as pipeline:
        for _ in range(4):
            work.delay()
        pipeline.clock.start(lambda: seen.append(origin() == Origin()), after=2.5)
        pipeline.run_until_idle()
    assert len(seen) == 4 * 9 + 1
    assert all(seen)


def test_what_a_function_sets_in_its_context_is_not_there_in_the_next_job(deploy):
    from contextvars import ContextVar

    variable, seen = ContextVar("tenant", default=None), []

    @task
    def work():
        seen.append(variable.get())
        variable.set("acme")

    pipeline = deploy(work)
    work.delay_many([{}] * 3)
    pipeline.drain()
    assert seen == [None] * 3
