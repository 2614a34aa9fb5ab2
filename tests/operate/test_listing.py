from __future__ import annotations

import pytest

from offload import DefinitionError, State, UnknownTask
from offload.operate.listing import list_jobs
from tests.operate.jobs import fail_jobs


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCEEDED, State.PENDING])
def test_only_what_is_indexed_is_listed(world, state):
    with pytest.raises(DefinitionError, match=f"state={state}: only FAILED, RETRYING, SCHEDULED are indexed"):
        list_jobs(world.client, state=state)


def test_jobs_are_listed_newest_first_within_the_limit(world):
    jobs = []
    for _ in range(12):
        jobs += fail_jobs(world, 1)
    listed = list_jobs(world.client, task="work", state=State.FAILED, limit=5)
    assert [job.id for job in listed] == [job.id for job in jobs[::-1]][:5]
    assert list_jobs(world.client, task="other") == []


def test_an_unknown_task_is_told(world):
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed"):
        list_jobs(world.client, task="wrok")
