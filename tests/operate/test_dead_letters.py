from __future__ import annotations

import pytest

from offload import Unavailable, UnknownTask
from offload.operate.dead_letters import find_dead_letter, list_dead_letters, purge
from tests.operate.jobs import fail_jobs, hidden


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
