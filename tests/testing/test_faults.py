"""Seeded faults: each kind happens, is survived, and happens again at the same point with the same seed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from offload import DefinitionError, Refused, Retry, State, current_job, task
from offload.testing import Faults, Pipeline


@task(retry=Retry(max_attempts=6, base="5s"), batch_size=4, timeout="20s")
def work(name: str) -> str:
    current_job().progress(1, 2)
    return name


@task(retry=Retry(max_attempts=6, base="5s"), batch_size=4, timeout="20s")
async def awaiting(name: str) -> str:
    await asyncio.sleep(0)
    current_job().progress(1, 2)
    await asyncio.sleep(0)
    return name


def run(faults, *tasks, seed=3):
    with Pipeline(*(tasks or (work,)), faults=faults, seed=seed) as pipeline:
        jobs = [one.delay(str(n)) for n in range(6) for one in (tasks or (work,))]
        pipeline.run_until_idle()
        assert [job.status() for job in jobs] == [State.SUCCEEDED] * len(jobs)
    return pipeline


def happened(pipeline):
    return Counter(entry.details[0] for entry in pipeline.trace if entry.kind == "fault")


KINDS = ("duplicate", "reorder", "delay", "throttle", "lost", "crash", "timeout", "freeze", "slow", "response")


@pytest.mark.parametrize(("kind", "chance"), [*((kind, 0.2) for kind in KINDS), ("refused", 0.005)])
def test_each_kind_happens_alone_and_is_survived(kind, chance):
    seen = Counter()
    for seed in range(30):
        seen += happened(run(Faults.none(seed, **{kind: chance})))
    assert set(seen) == {kind}


def test_a_request_that_hangs_takes_time_and_never_the_rest_of_the_invocation():
    for seed in range(20):
        began = Pipeline(work).clock.now()
        pipeline = run(Faults.none(seed, slow=0.2))
        assert "killed" not in {entry.kind for entry in pipeline.trace}
        assert pipeline.clock.now() - began > 5_000


def test_a_service_refuses_for_a_while_and_then_no_longer():
    pipeline = next(found for found in (run(Faults.none(seed, refused=0.01)) for seed in range(40)) if happened(found))
    refused = [entry for entry in pipeline.trace if isinstance(entry.details[-1], Refused)]
    assert refused
    assert not any(error.lasting for error in (entry.details[-1] for entry in refused))
    assert refused[-1].at - refused[0].at <= 600_000 * happened(pipeline)["refused"]


def test_what_sqs_delivers_it_hides_and_deletes_whatever_it_refuses():
    pipeline = run(Faults.none(2, refused=0.05, throttle=0.1))
    answers = {entry.details[0] for entry in pipeline.trace if isinstance(entry.details[-1], Refused)}
    assert not answers & {"receive", "delete", "change_visibility"}


def test_none_never_happens():
    pipeline = run(Faults.none(1))
    assert pipeline.injector.happened == 0
    assert [run.attempt for run in pipeline.runs] == [1] * 6


def test_the_same_seed_is_the_same_run_and_another_is_not():
    first, second, other = (run(Faults(seed)) for seed in (5, 5, 6))
    assert list(map(str, first.trace)) == list(map(str, second.trace))
    assert list(map(str, first.trace)) != list(map(str, other.trace))


def test_a_crash_at_every_request_is_survived():
    requests = run(Faults.none(0)).injector.requests
    assert requests > 15
    for n in range(1, requests + 1):
        pipeline = run(Faults.none(0, crash_at=n))
        assert happened(pipeline)["crash_at"] == 1
        # Six jobs, one process that died: at most one of them was charged a second attempt.
        assert 6 <= len(pipeline.runs) <= 7


def test_asynchronous_tasks_are_interleaved_too():
    for seed in range(40):
        pipeline = run(Faults(seed, interleave=0.9), awaiting, work)
        assert pipeline.injector.requests > 20


def test_no_more_processes_die_than_allowed():
    for deaths in (0, 1, 3):
        deadly = Faults.none(1, crash=0.3, timeout=0.3, deaths=deaths)
        assert sum(happened(run(deadly)).values()) <= deaths


def test_the_tests_own_requests_are_spared():
    with Pipeline(work, faults=Faults.none(0, throttle=1.0)) as pipeline:
        work.delay("a")
        assert [method for method, _ in pipeline.queues.calls] == ["send"]


@pytest.mark.parametrize(("name", "value"), [("crash", 1.2), ("duplicate", -0.1)])
def test_a_wrong_chance_is_refused(name, value):
    with pytest.raises(DefinitionError, match=f"{name}={value} must be a probability from 0 to 1"):
        Faults(**{name: value})


def test_a_failure_names_its_faults():
    with pytest.raises(ZeroDivisionError) as caught, Pipeline(work, faults=Faults(41)):
        raise ZeroDivisionError
    assert "Faults(seed=41" in caught.value.__notes__[0]
