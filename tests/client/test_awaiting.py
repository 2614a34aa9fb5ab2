"""Waiting in `async` code: one thread and few requests, whatever the number of waits and of event loops."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from offload import (
    Client,
    JobCancelled,
    JobFailed,
    Refused,
    ResultExpired,
    ResultTimeout,
    State,
    Unavailable,
    UnknownJob,
    current_job,
    task,
    use,
)
from offload.client import poller
from offload.client.connection import Connector
from offload.client.request_threads import MOST_THREADS
from offload.core.clock import SystemClock
from offload.core.ids import system_random
from offload.core.jobs import polling
from offload.core.manifest import Manifest, dead_letter_name, queue_name
from offload.core.tasks.manifest_entry import manifest_entry
from offload.memory.blobs import MemoryBlobs
from offload.memory.queues import MemoryQueues
from offload.memory.table import MemoryTable

PATIENCE = 20
CONTEXT: contextvars.ContextVar[str] = contextvars.ContextVar("context")


@task
def double(number: int) -> int:
    return number * 2


class Table(MemoryTable):
    """A table that counts its reads."""

    def __init__(self) -> None:
        super().__init__(SystemClock())
        self.looks: list[tuple[float, list[str]]] = []
        self.failures: list[Exception] = []
        self.slow = 0.0
        self.silent = None
        self.under_way, self.most_under_way = 0, 0

    def get_many(self, keys):
        keys = list(keys)
        self.looks.append((time.monotonic(), keys))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            time.sleep(self.slow)
            if self.failures:
                raise self.failures.pop()
            if self.silent is not None:
                raise self.silent
            return super().get_many(keys)
        finally:
            self.under_way -= 1

    def end(self, job_id, state="SUCCEEDED", **attributes):
        self.change(job_id, state=state, **attributes)


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def client(table, monkeypatch):
    """A client on the machine's own clock."""
    monkeypatch.setattr(poller, "IDLE_SECONDS", 0.05)
    queues = MemoryQueues(SystemClock(), system_random())
    queues.create(dead_letter_name("test", "double"), retention=99)
    queues.create(queue_name("test", "double"), retention=99)
    tasks = {"double": manifest_entry(double)}
    manifest = Manifest("test", "1", "eu-west-1", "jobs", "bucket", tasks, {"group": "g", "role": "r"})
    made = Client(manifest, store=table, queues=queues, blobs=MemoryBlobs("bucket"), timers=None)
    before = use(made)
    yield made
    use(before)
    ended = time.monotonic() + PATIENCE
    while made._poller._thread is not None and time.monotonic() < ended:
        time.sleep(0.05)
    assert made._poller._thread is None, "nobody waits any more, so the thread ends"


def in_a_while(action, seconds=0.3):
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer


def pollers():
    return [thread for thread in threading.enumerate() if thread.name == "offload-poller"]


# How each wait ends


def test_a_wait_sees_the_end(client, table):
    async def produce():
        job = await double.adelay(3)
        in_a_while(lambda: table.end(job.id, result="6"))
        return await job.aresult(PATIENCE), await job.astatus(), (await job.await_()).state, (await job.arecord()).id

    result, status, state, _ = asyncio.run(produce())
    assert (result, status, state) == (6, State.SUCCEEDED, State.SUCCEEDED)


def test_each_wait_has_its_own_error(client, table):
    async def produce():
        failed, cancelled, expired, slow = [await client.aenqueue("double", {"number": 1}) for _ in range(4)]
        table.end(failed.id, "FAILED", error={"type": "ValueError", "message": "no"})
        table.end(cancelled.id, "CANCELLED")
        table.end(expired.id, result="2", result_until=1)
        return await asyncio.gather(
            failed.aresult(PATIENCE),
            cancelled.aresult(PATIENCE),
            expired.aresult(PATIENCE),
            slow.aresult(0.3),
            client.await_("missing"),
            return_exceptions=True,
        )

    told = asyncio.run(produce())
    assert [type(error) for error in told] == [JobFailed, JobCancelled, ResultExpired, ResultTimeout, UnknownJob]
    assert "is PENDING after 0.3 s; it goes on" in str(told[3])


def test_a_request_that_is_refused_ends_the_waits_that_it_was_for(client, table):
    async def produce():
        job = await double.adelay(1)
        table.failures.append(Refused("AccessDenied: no"))
        with pytest.raises(Refused, match="AccessDenied"):
            await job.aresult(PATIENCE)
        table.failures.append(KeyError("a defect"))
        with pytest.raises(KeyError, match="a defect"):
            await job.aresult(PATIENCE)
        table.end(job.id, result="2")
        return await job.aresult(PATIENCE)

    assert asyncio.run(produce()) == 2


def test_a_record_that_cannot_be_read_ends_its_wait_alone(client, table):
    async def produce():
        broken, sound = await double.adelay(1), await double.adelay(1)
        table.change(broken.id, state="NO SUCH STATE")
        table.end(sound.id, result="2")
        return await asyncio.gather(broken.aresult(PATIENCE), sound.aresult(PATIENCE), return_exceptions=True)

    error, result = asyncio.run(produce())
    assert isinstance(error, ValueError)
    assert result == 2


def test_a_timeout_of_nothing_looks_once(client, table):
    async def produce():
        job = await double.adelay(1)
        with pytest.raises(ResultTimeout):
            await job.await_(0)

    asyncio.run(produce())
    assert len(table.looks) == 1


def test_a_large_result_is_read_off_the_loop(client, table):
    async def produce():
        job = await double.adelay(1)
        place = {"bucket": "bucket", "key": f"results/7d/double/{job.id}/lease.json"}
        client.blobs.put(place["key"], b"[1]")
        table.end(job.id, result_ref=place)
        loop_thread = threading.get_ident()
        read_in = []
        get = client.blobs.get
        client.blobs.get = lambda ref: (read_in.append(threading.get_ident()), get(ref))[1]
        handle = await client.ahandle(job.id)
        assert await handle.aresult(PATIENCE) == [1]
        assert read_in
        assert loop_thread not in read_in

    asyncio.run(produce())


# A table that is slow, or does not answer for a while


def test_timeouts_are_told_on_time_however_slow_the_table_is(client, table):
    table.slow = 2.0

    async def wait(number):
        began = time.monotonic()
        with pytest.raises(ResultTimeout, match=r"nothing is known of job job-\d+ after 1 s: no look was answered"):
            await client.await_(f"job-{number}", 1)
        return time.monotonic() - began

    async def produce():
        return await asyncio.gather(*(wait(number) for number in range(600)))

    took = asyncio.run(produce())
    assert min(took) >= 1
    assert max(took) < 1.5, "600 jobs are six requests, and the first one is answered after 2 s"


def test_a_last_look_that_is_not_answered_holds_nobody_up(client, table):
    async def produce():
        job = await double.adelay(1)
        wait = asyncio.ensure_future(job.aresult(1.5))
        began = time.monotonic()
        await asyncio.sleep(0.6)
        table.slow = 3.0
        with pytest.raises(ResultTimeout, match=r"is PENDING after 1\.5 s; it goes on"):
            await wait
        return time.monotonic() - began

    assert 1.5 <= asyncio.run(produce()) < 2


def test_a_first_look_is_waited_for_however_short_the_time_is(client, table):
    async def produce():
        job = await double.adelay(1)
        table.end(job.id, result="2")
        table.slow = 0.4
        assert await job.aresult(0) == 2
        table.slow = 3.0
        began = time.monotonic()
        with pytest.raises(ResultTimeout):
            await job.aresult(0)
        return time.monotonic() - began

    assert 1 <= asyncio.run(produce()) < 1.5


def test_many_jobs_are_looked_at_in_several_requests_at_once(client, table):
    async def produce():
        handles = [client.send(client.request("double", {"number": number})) for number in range(1000)]
        for handle in handles:
            table.end(handle.id, result="1")
        table.slow = 0.5
        began = time.monotonic()
        waits = [asyncio.ensure_future(handle.aresult(PATIENCE)) for handle in handles]
        await asyncio.sleep(0.2)
        await client.off_loop(lambda: None)
        assert time.monotonic() - began < 0.5, "looks leave threads to other requests"
        assert await asyncio.gather(*waits) == [1] * 1000
        return time.monotonic() - began

    assert asyncio.run(produce()) < 3, "one after the other, ten requests take 5 s"
    assert table.most_under_way == poller.MOST_LOOKS


def test_a_table_that_fails_for_a_while_ends_no_wait_with_time_left(client, table):
    async def produce():
        handles = [await double.adelay(number) for number in range(3)]
        table.silent = Unavailable("throttled")
        in_a_while(lambda: setattr(table, "silent", None), 0.5)
        for handle in handles:
            table.end(handle.id, result="7")
        return await asyncio.gather(handles[0].aresult(PATIENCE), handles[1].aresult(), handles[2].aresult(PATIENCE))

    assert asyncio.run(produce()) == [7, 7, 7]
    assert sum(1 for _ in table.looks) > 1


def test_a_timeout_while_the_table_fails_says_so(client, table):
    async def produce():
        job = await double.adelay(1)
        table.silent = Unavailable("throttled")
        with pytest.raises(ResultTimeout, match=r"is not known to have ended after 0\.4 s: throttled") as told:
            await job.aresult(0.4)
        assert told.value.__cause__ is table.silent

    asyncio.run(produce())


def test_a_table_that_fails_for_a_minute_ends_every_wait(client, table, monkeypatch):
    monkeypatch.setattr(polling, "LONGEST_FAILURE", 0.4)

    async def produce():
        job = await double.adelay(1)
        table.silent = Unavailable("throttled")
        began = time.monotonic()
        told = await asyncio.gather(job.aresult(), job.aresult(PATIENCE), return_exceptions=True)
        assert told == [table.silent] * 2
        assert 0.4 <= time.monotonic() - began < 3

    asyncio.run(produce())


def test_so_it_is_in_plain_code(client, table, monkeypatch):
    job, get, failures = double.delay(1), table.get, []

    def failing(key):
        if failures:
            raise failures.pop()
        return get(key)

    monkeypatch.setattr(table, "get", failing)
    table.end(job.id, result="2")
    failures += [Unavailable("throttled")] * 2
    assert job.result(PATIENCE) == 2
    failures += [Unavailable("throttled")] * 99
    with pytest.raises(ResultTimeout, match=r"is not known to have ended after 0\.3 s: throttled"):
        job.result(0.3)
    failures[:] = [Refused("AccessDenied: no")]
    with pytest.raises(Refused):
        job.result(PATIENCE)


def test_a_stack_that_was_never_reached_is_told_at_once(client, monkeypatch):
    def connect(_known):
        raise Unavailable("nothing answers")

    connector = Connector(connect, SystemClock())
    monkeypatch.setattr(client, "_connector", connector)
    with pytest.raises(Unavailable, match="nothing answers"):
        asyncio.run(client.await_("any"))
    with pytest.raises(Unavailable, match="nothing answers"):
        client.wait("any")


# Rhythm, threads and requests


def test_a_job_is_looked_at_more_and_more_rarely(client, table):
    async def produce():
        job = await double.adelay(1)
        with pytest.raises(ResultTimeout):
            await job.await_(1)

    asyncio.run(produce())
    times = [at for at, _ in table.looks]
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    # A busy machine looks later and never earlier; the last look is at the end of the wait.
    assert all(pause > least - 0.02 for pause, least in zip(pauses[:-1], [0.1, 0.15, 0.225, 0.3375], strict=False))
    assert 3 <= len(pauses) <= 5
    assert times[-1] - times[0] >= 0.95


def test_ten_thousand_waits_are_one_thread_and_few_requests(client, table):
    before = set(threading.enumerate())
    started = []

    async def produce():
        handles = [client.send(client.request("double", {"number": number})) for number in range(10_000)]
        waits = [asyncio.ensure_future(handle.aresult(60)) for handle in handles]
        await asyncio.sleep(2)
        started.extend(set(threading.enumerate()) - before)
        for number, handle in enumerate(handles):
            table.end(handle.id, result=str(number))
        return await asyncio.gather(*waits)

    began_at = time.monotonic()
    assert asyncio.run(produce()) == list(range(10_000))

    assert set(pollers()) <= set(started)  # it may have ended since
    assert sum(each.name == "offload-poller" for each in started) == 1
    others = [each.name for each in started if each.name != "offload-poller"]
    assert len(others) <= MOST_THREADS
    assert all(name.startswith("offload-request") for name in others)
    waited = time.monotonic() - began_at
    assert max(len(keys) for _, keys in table.looks) == poller.MOST_KEYS
    looked_at = sum(len(keys) for _, keys in table.looks)
    # Each round of looks at 10,000 jobs is 100 full requests, and perhaps one that is not full.
    assert len(table.looks) <= looked_at / 100 + 20 * (waited + 2)


def test_waits_for_one_job_share_its_look(client, table):
    async def produce():
        job = await double.adelay(1)
        in_a_while(lambda: table.end(job.id, result="2"))
        return await asyncio.gather(*(job.aresult(PATIENCE) for _ in range(500)))

    assert asyncio.run(produce()) == [2] * 500
    assert all(len(keys) == len(set(keys)) == 1 for _, keys in table.looks)
    assert len(table.looks) < 20


def test_many_loops_share_the_thread(client, table):
    def program(number):
        async def produce():
            job = await double.adelay(number)
            in_a_while(lambda: table.end(job.id, result=str(number)))
            return await job.aresult(PATIENCE), len(pollers())

        return asyncio.run(produce())

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(program, range(20))) == [(number, 1) for number in range(20)]


def test_short_requests_share_a_few_threads_and_see_the_callers_context(client, table):
    seen, before = set(), set(threading.enumerate())
    get = table.get

    def slow(key):
        seen.add((threading.current_thread().name.rpartition("_")[0], CONTEXT.get()))
        time.sleep(0.01)
        return get(key)

    table.get = slow

    async def produce():
        CONTEXT.set("mine")
        job = await double.adelay(1)
        assert await asyncio.gather(*(job.astatus() for _ in range(200))) == [State.PENDING] * 200
        return set(threading.enumerate()) - before

    assert len(asyncio.run(produce())) == MOST_THREADS
    assert seen == {("offload-request", "mine")}


# Waits that nobody waits for


def test_a_wait_that_is_cancelled_is_dropped(client, table):
    async def produce():
        job = await double.adelay(1)
        waits = [asyncio.ensure_future(job.aresult()) for _ in range(10)]
        await asyncio.sleep(0.15)
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)
        assert all(wait.cancelled() for wait in waits)
        looks = len(table.looks)
        await asyncio.sleep(0.5)
        assert len(table.looks) == looks

    asyncio.run(produce())


def test_a_timeout_of_the_callers_own_drops_the_wait(client, table):
    async def produce():
        job = await double.adelay(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await job.aresult()

    asyncio.run(produce())


def test_a_loop_that_was_closed_asks_no_more(client, table):
    job = double.delay(1)
    loop = asyncio.new_event_loop()
    wait = loop.create_task(job.aresult())
    loop.run_until_complete(asyncio.sleep(0.15))
    loop.close()  # with the wait in it
    wait._log_destroy_pending = False
    ended = time.monotonic() + PATIENCE
    while client._poller._thread is not None and time.monotonic() < ended:
        time.sleep(0.02)
    assert client._poller._thread is None, "a wait of a closed loop is dropped at its next look"
    assert wait is not None, "it is kept: a wait that is collected has given up"


def test_a_loop_that_is_closed_meanwhile_is_no_error(client, table, caplog):
    job = double.delay(1)
    loop = asyncio.new_event_loop()
    wait = loop.create_task(job.aresult())
    loop.run_until_complete(asyncio.sleep(0.15))
    loop.close()  # with the wait in it
    wait._log_destroy_pending = False
    table.slow = 0.2

    other = asyncio.new_event_loop()
    lost = other.create_task(job.aresult())
    other.run_until_complete(asyncio.sleep(0.05))
    table.end(job.id, result="2")
    other.close()  # while its job is looked at
    lost._log_destroy_pending = False

    assert asyncio.run(job.aresult(PATIENCE)) == 2
    assert "exception" not in caplog.text.lower()


def test_the_thread_ends_when_nobody_waits_and_comes_again(client, table):
    job = double.delay(1)
    table.end(job.id, result="2")
    for _ in range(3):
        assert asyncio.run(job.aresult(PATIENCE)) == 2
        ended = time.monotonic() + PATIENCE
        while pollers() and time.monotonic() < ended:
            time.sleep(0.02)
        assert not pollers()


# Forks


def in_child(program):
    """Run a program in a forked child; returns what it wrote."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(PATIENCE)  # kills a child that waits for a lock which nobody releases
        try:
            os.write(write, repr(program()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as told:
        answer = told.read()
    assert os.waitpid(child, 0)[1] == 0
    return answer


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_client_that_was_used_before_a_fork_works_in_the_child(client, table):
    job, other = double.delay(1), double.delay(2)

    async def wait_and_fork():
        wait = asyncio.ensure_future(job.aresult(PATIENCE))  # the parent's thread runs, and holds its lock now and then
        await other.astatus()  # so does a thread for requests
        table.end(other.id, result="4")

        def program():
            asyncio._set_running_loop(None)

            async def ask():
                return await other.aresult(PATIENCE), await other.astatus()

            return asyncio.run(ask())

        told = [in_child(program) for _ in range(20)]
        table.end(job.id, result="2")
        return told, await wait

    told, result = asyncio.run(wait_and_fork())
    assert told == ["(4, <State.SUCCEEDED: 'SUCCEEDED'>)"] * 20
    assert result == 2


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_locks_that_were_held_at_the_fork_are_free_in_the_child(client, table):
    job = double.delay(1)
    table.end(job.id, result="2")

    def program():
        client._connector.look_again(client._connector.connection())

        async def ask():
            return await job.aresult(PATIENCE), await job.astatus()

        return asyncio.run(ask())

    with client._connector._lock, client._poller._changed, client._threads._lock:
        told = in_child(program)
    assert told == "(2, <State.SUCCEEDED: 'SUCCEEDED'>)"


def test_a_pipelines_waits_pass_its_own_time(deploy):
    pipeline = deploy(double)

    async def produce():
        job = await double.adelay(1)
        with pytest.raises(ResultTimeout):
            await job.aresult(30)
        return current_job().attempt

    began_at = pipeline.clock.now()
    asyncio.run(produce())
    assert pipeline.clock.now() - began_at == 30_000
    assert not pollers()
