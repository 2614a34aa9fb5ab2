"""In a test, a job is known to what it starts and to nothing else, whatever else the process does."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import pytest
from botocore.httpsession import URLLib3Session

from offload import current_job, task, use
from offload.core.tasks import context, inherited_job
from offload.core.tasks.context import Origin, origin, running_job
from offload.testing import Eager, Pipeline


@task
def child(name: str = "") -> str | None:
    return origin().parent


@task
def parent(names: list[str]) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return [job.id for job in pool.map(child.delay, names)]


@pytest.fixture(autouse=True)
def _nothing_is_left():
    methods = [threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.apply_async, ThreadPool.imap]
    yield
    assert (running_job(), origin(), os.environ.get(inherited_job.VARIABLE)) == (None, Origin(), None)
    after = [threading.Thread.start, ThreadPoolExecutor.submit, ThreadPool.apply_async, ThreadPool.imap]
    assert after == methods
    assert "imap" not in vars(ThreadPool)


def test_a_pool_of_the_program_belongs_to_no_job_before_while_and_after_one_runs():
    seen = []

    @task
    def work() -> None:
        seen.append(foreign.submit_as_request())

    class Foreign:
        """A web server's threads: they take requests from elsewhere, also while a job runs."""

        def __init__(self):
            self.requests, self.answers = threading.Semaphore(0), []
            self.done = threading.Semaphore(0)
            self.thread = threading.Thread(target=self._serve, daemon=True)
            self.thread.start()

        def _serve(self):
            for _ in range(3):
                self.requests.acquire()
                self.answers.append(child.options(tenant=None).delay().record().parent)
                self.done.release()

        def submit_as_request(self):
            self.requests.release()
            self.done.acquire()
            return self.answers[-1]

    with Pipeline(work, child) as pipeline:
        foreign = Foreign()
        foreign.submit_as_request()
        work.options(tenant="acme").delay()
        pipeline.run_until_idle()
        foreign.submit_as_request()
        pipeline.run_until_idle()
        assert (foreign.answers, seen) == ([None] * 3, [None])
        assert [job.tenant for job in pipeline.jobs if job.task == "child"] == [None] * 3
        foreign.thread.join()


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_a_pool_whose_threads_a_job_has_started_serves_whoever_asks(mode):
    @task
    def through_pools() -> list[str | None]:
        other = threads.apply(origin)
        return [pool.submit(origin).result().parent, other.parent, threads.map(_parent, [1, 2])[1], current_job().id]

    with ThreadPoolExecutor(1) as pool, ThreadPool(1) as threads, mode(through_pools, child) as deployed:
        for _ in range(2):
            job = through_pools.delay()
            deployed.run_until_idle()
            assert job.result() == [job.id] * 4
            assert pool.submit(origin).result() == Origin()
            assert threads.apply_async(func=origin).get() == Origin()
            assert list(threads.imap(_parent, [1])) == list(threads.imap_unordered(_parent, [1])) == [None]


def _parent(_number):
    return origin().parent


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_jobs_that_a_task_enqueues_in_threads_have_the_task_as_their_parent(mode):
    with mode(parent, child) as deployed:
        job = parent.delay(["a", "b", "c", "d"])
        deployed.run_until_idle()
        children = [deployed.job(each) for each in job.result()]
        assert [each.parent for each in children] == [job.id] * 4
        assert [json.loads(each.result) for each in children] == [each.id for each in children]


def test_jobs_that_run_at_once_in_threads_of_an_eager_test_do_not_see_each_other():
    barrier = threading.Barrier(4, timeout=30)

    @task
    def meets() -> list[str]:
        barrier.wait()
        mine = current_job().id
        barrier.wait()
        return [mine, current_job().id, child.delay().record().parent]

    with Eager(meets, child), ThreadPoolExecutor(4) as pool:
        jobs = list(pool.map(lambda _: meets.delay(), range(4)))
        assert [job.result() for job in jobs] == [[job.id] * 3 for job in jobs]
        assert [job.record().parent for job in jobs] == [None] * 4


def test_jobs_that_overlap_leave_the_process_without_a_job():
    """The first to begin is the first to end: neither the next test nor a child process finds one that has ended."""

    class Job:
        attempt, task, tenant, hops = 1, "work", None, 0

        def __init__(self, name):
            self.id = name

    turns = {name: threading.Semaphore(0) for name in "ab"}
    told = threading.Semaphore(0)

    def run(name):
        token = context.enter(Job(name))
        told.release()
        turns[name].acquire()
        context.leave(token)
        told.release()

    def named():
        return json.loads(inherited_job.told())["id"]

    threads = [threading.Thread(target=run, args=name, daemon=True) for name in "ab"]
    for thread in threads:
        thread.start()
        told.acquire()
    assert named() == "b"
    for name, after in (("a", "b"), ("b", None)):
        turns[name].release()
        told.acquire()
        assert (named() if after else inherited_job.told()) == after
    for thread in threads:
        thread.join()


def test_fifty_tests_with_jobs_in_threads_are_no_chain_of_fifty_jobs():
    for _ in range(55):
        with Eager(parent, child), ThreadPoolExecutor(2) as pool:
            (job,) = pool.map(lambda _: parent.delay(["a", "b"]), range(1))
            assert job.record().parent is None


@pytest.mark.parametrize("mode", [Eager, Pipeline])
def test_a_failing_child_fails_alone_in_a_thread_of_a_task_too(mode):
    from offload import Permanent

    @task
    def fails() -> None:
        raise Permanent("no")

    @task
    def starts_it() -> str:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(fails.delay).result().task

    with mode(starts_it, fails) as deployed:
        deployed.expect_dead_letters("fails")
        job = starts_it.delay()
        deployed.run_until_idle()
        assert job.result() == "fails"


def test_an_asynchronous_task_hands_its_job_to_what_it_starts():
    @task
    async def works() -> list[str | None]:
        found = await asyncio.gather(asyncio.to_thread(_parent, 0), asyncio.create_task(_aparent()))
        return [*found, current_job().id]

    with Pipeline(works) as pipeline:
        job = works.delay()
        pipeline.run_until_idle()
        assert job.result() == [job.id] * 3


async def _aparent():
    return origin().parent


def test_pipelines_that_end_in_another_order_than_they_began_restore_everything():
    before = dict(os.environ), URLLib3Session.send
    use(None)
    first, second = Pipeline(child), Pipeline(child)
    with first:
        second.__enter__()
    child.delay()
    assert (len(first.waiting()), len(second.waiting())) == (0, 1)
    second.run_until_idle()
    second.close()
    assert (dict(os.environ), URLLib3Session.send) == before
    assert use(None) is None
