from __future__ import annotations

import random

import pytest

from offload import DefinitionError, PartlyEnqueued, Refused, WrongCalls
from offload.core.enqueueing.bulk import LONGEST_PREFIX, IdPrefix, JobHandles
from offload.core.ids import check_job_id


def test_ids_are_numbered():
    prefix = IdPrefix.read("import:2026.11")
    assert [prefix.job_id(number) for number in (0, 1, 1_000_000)] == [
        "import:2026.11-0", "import:2026.11-1", "import:2026.11-1000000"
    ]  # fmt: skip
    assert str(prefix) == "import:2026.11"


def test_ids_with_a_secret_cannot_be_told_from_each_other_and_stay_the_same():
    prefix, other = IdPrefix.read("a/secret"), IdPrefix.read("a/another")
    assert prefix.job_id(7) == "a-7-cd2fbe0d1645257f6653"
    assert prefix.job_id(7) == IdPrefix.read(str(prefix)).job_id(7) != other.job_id(7)
    assert len({prefix.job_id(number).rpartition("-")[2] for number in range(1_000)}) == 1_000


def test_a_drawn_prefix_has_a_secret():
    drawn = IdPrefix.draw(random.Random(1))
    assert IdPrefix.read(str(drawn)) == drawn
    assert len(drawn.secret) == 36
    assert drawn != IdPrefix.draw(random.Random(2))


@pytest.mark.parametrize("text", ["x" * LONGEST_PREFIX, f"{'x' * 30}/{'y' * 33}"])
def test_the_longest_prefix_makes_job_ids(text):
    check_job_id(IdPrefix.read(text).job_id(10**12))


@pytest.mark.parametrize("text", ["", "/", "a/", "/b", "a/b/c", "a b", "x" * (LONGEST_PREFIX + 1), 5, None, "key#x"])
def test_a_wrong_prefix_is_named(text):
    with pytest.raises(DefinitionError, match=r"id_prefix=.* must be PREFIX or PREFIX/SECRET"):
        IdPrefix.read(text)


@pytest.mark.parametrize("text", ["import", "import-7", "a-1/secret"])
def test_a_prefix_knows_the_ids_that_it_gives(text):
    prefix = IdPrefix.read(text)
    for number in (0, 7, 1_000_000):
        assert prefix.index_of(prefix.job_id(number)) == number
    for other in ("", "import", "import-", "import-07", "import-7-7-7", "import-x", "import-²", "a-1-7", "7" * 99):
        assert prefix.index_of(other) is None
        assert prefix.index_of(f"{text}-{other}") in (None, *range(8))


def test_handles_are_made_when_they_are_asked_for():
    made = []
    jobs = JobHandles(3, "a", lambda index: made.append(index) or f"job {index}")
    assert (len(jobs), made) == (3, [])
    assert (jobs[0], jobs[-1], jobs[1:]) == ("job 0", "job 2", ["job 1", "job 2"])
    assert list(jobs) == ["job 0", "job 1", "job 2"]
    assert "job 1" in jobs
    assert repr(jobs) == "<3 jobs>"
    assert repr(JobHandles(1, "a", str)) == "<1 job>"
    with pytest.raises(IndexError, match="there are 3 jobs, and no job -4"):
        jobs[-4]
    with pytest.raises(IndexError, match="there is 1 job, and no job 1"):
        JobHandles(1, "a", str)[1]


def test_wrong_calls_are_listed():
    one = WrongCalls({4: DefinitionError("delay=-1")}, 1, 5)
    assert str(one) == "1 of 5 calls is wrong, so nothing was enqueued:\n  call 4: delay=-1"
    many = WrongCalls({4: DefinitionError("delay=-1")}, 7, 9)
    assert str(many).endswith("delay=-1\n  and 6 more")


def test_what_was_not_enqueued_is_told_without_the_secret():
    handles = JobHandles(9, "a/secret", lambda _: None)
    partly = PartlyEnqueued(handles, 3, {2: Refused("no")}, {2: "a-2"})
    assert str(partly) == "3 of 9 jobs were not enqueued, as far as is known; the first, call 2: no"
    one = PartlyEnqueued(JobHandles(1, "a", lambda _: None), 1, {0: Refused("no")}, {})
    assert str(one) == "1 of 1 job was not enqueued, as far as is known; the first, call 0: no"
    assert (partly.id_prefix, partly.failed, partly.ids) == ("a/secret", 3, {2: "a-2"})
