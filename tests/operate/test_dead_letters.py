from __future__ import annotations

import pytest

from offload import Refused, Unavailable, UnknownTask
from offload.core.manifest import dead_letter_name
from offload.core.ports import OutgoingMessage
from offload.operate.dead_letters import find_dead_letter, list_dead_letters, purge
from tests.operate.jobs import fail_jobs, hidden
from tests.runtime.interference import right_after


def test_looking_takes_nothing_and_sees_all(world):
    jobs = fail_jobs(world, 25)
    for _ in range(2):
        found = list_dead_letters(world.client, "work", limit=100)
        assert {dead_letter.job_id for dead_letter in found} == {job.id for job in jobs}
        assert len(found) == 25
        assert hidden(world) == 0
    assert found[0].reason.startswith("Permanent: no account 1")
    assert len(list_dead_letters(world.client, "work", limit=7)) == 7


def test_lanes_have_their_own(world):
    fail_jobs(world, 1)
    fail_jobs(world, 2, "high")
    lanes = [dead_letter.lane for dead_letter in list_dead_letters(world.client, "work", limit=10)]
    assert sorted(lanes) == ["default", "high", "high"]


def test_one_is_found_by_either_id(world):
    (job,) = fail_jobs(world, 1)
    by_job = find_dead_letter(world.client, "work", job.id)
    assert by_job is not None
    assert by_job == find_dead_letter(world.client, "work", by_job.message_id)
    assert find_dead_letter(world.client, "work", "missing") is None


def take_time(world, method, seconds):
    """Let each request of a kind take some time, as from far away."""
    carry_out = getattr(world.queues.port, method)

    def request(*arguments, **options):
        world.clock.advance(seconds)
        return carry_out(*arguments, **options)

    setattr(world.queues.port, method, request)


@pytest.mark.parametrize("seconds", [1, 15, 25, 300])
def test_one_is_found_however_long_looking_takes(world, seconds):
    jobs = fail_jobs(world, 60)
    take_time(world, "receive", seconds)

    for job in (jobs[0], jobs[-1]):
        found = find_dead_letter(world.client, "work", job.id)
        assert found is not None
        assert found.job_id == job.id
    assert find_dead_letter(world.client, "work", "missing") is None
    assert hidden(world) == 0


def test_only_the_record_of_the_one_that_was_found_is_read(world):
    jobs = fail_jobs(world, 30)
    world.store.calls.clear()
    assert find_dead_letter(world.client, "work", jobs[20].id) is not None
    assert [name for name, _ in world.store.calls] == ["get"]


def test_one_behind_a_thousand_others_is_found(world):
    dead = dead_letter_name(world.manifest.stack, "work")
    for n in range(1_100):
        world.queues.port.send(dead, OutgoingMessage(f'{{"id": "job-{n}", "payload": {{}}}}'))
    assert find_dead_letter(world.client, "work", "job-1099") is not None


def test_a_look_that_is_slow_lists_each_once_and_copes_with_what_is_visible_again(world):
    jobs = fail_jobs(world, 25)
    take_time(world, "receive", 15)

    found = list_dead_letters(world.client, "work", limit=100)

    assert sorted(dead_letter.job_id for dead_letter in found) == sorted(job.id for job in jobs)
    assert hidden(world) == 0


@pytest.mark.parametrize("error", [Refused("its hiding is over"), Unavailable("throttled")])
def test_what_cannot_be_made_visible_does_not_fail_the_look(world, error):
    fail_jobs(world, 3)
    world.queues.calls.clear()
    world.queues.fail("change_visibility", error, times=2)
    assert len(list_dead_letters(world.client, "work")) == 3
    assert len(world.queues.called("change_visibility")) == 3


def test_a_message_that_somebody_else_takes_meanwhile_does_not_fail_the_look(world):
    fail_jobs(world, 3)
    dead = dead_letter_name(world.manifest.stack, "work")

    def purge_at_once():
        world.queues.port.purge(dead)

    right_after(world.queues, "receive", purge_at_once)
    assert len(list_dead_letters(world.client, "work")) == 3


def test_what_was_looked_at_is_put_back_though_the_look_failed(world):
    fail_jobs(world, 3)
    world.store.fail("get", Unavailable("throttled"), skip=1)
    with pytest.raises(Unavailable):
        list_dead_letters(world.client, "work")
    assert len(world.dead("work")) == 3
    assert hidden(world) == 0


def test_a_purge_deletes_the_messages_of_every_lane_and_keeps_the_records(world):
    jobs = [*fail_jobs(world, 2), *fail_jobs(world, 1, "high")]
    assert purge(world.client, "work") == 3
    assert world.dead_letters("work") == []
    assert [job.record().state for job in jobs] == ["FAILED"] * 3


@pytest.mark.parametrize("look", [list_dead_letters, purge])
def test_an_unknown_task_is_told(world, look):
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed"):
        look(world.client, "wrok")
