"""What an operator sees and does: dead letters looked at without being taken, brought back, jobs listed."""

from __future__ import annotations

import json

import pytest

from offload import DefinitionError, Permanent, Refused, Retry, State, Unavailable, UnknownTask, task
from offload.core.fingerprint import fingerprint
from offload.core.manifest import dead_letter_name
from offload.core.ports import Outgoing
from offload.operate.dead_letters import find_dead_letter, list_dead_letters
from offload.operate.listing import list_jobs
from offload.operate.queues import list_queues
from offload.operate.redriving import Selection, redrive

STACK = "test"


@task(priorities=("default", "high"), retry=Retry(max_attempts=1), batch_size=10)
def work(name: str = "", fail: bool = True) -> str:
    if fail:
        raise Permanent(f"no account {len(name)}: {name!r}")
    return name


@task
def other() -> None: ...


@pytest.fixture
def world(stage):
    return stage(work, other)


def fail_some(world, number, lane="default"):
    jobs = [work.options(priority=lane).delay(str(n)) for n in range(number)]
    world.run_until_idle()
    world.clock.advance(60)
    return jobs


def test_looking_takes_nothing_and_sees_all(world):
    jobs = fail_some(world, 25)
    for _ in range(2):
        letters = list_dead_letters(world.client, "work", limit=100)
        assert {letter.job_id for letter in letters} == {job.id for job in jobs}
        assert len(letters) == 25
        assert all(message.visible_at <= world.clock.now() for message in world.dead("work"))
    assert letters[0].reason.startswith("Permanent: no account 1")
    assert len(list_dead_letters(world.client, "work", limit=7)) == 7


def test_lanes_have_their_own(world):
    fail_some(world, 1)
    fail_some(world, 2, "high")
    lanes = [letter.lane for letter in list_dead_letters(world.client, "work", limit=10)]
    assert sorted(lanes) == ["default", "high", "high"]


def test_one_is_found_by_either_id(world):
    (job,) = fail_some(world, 1)
    by_job = find_dead_letter(world.client, "work", job.id)
    assert by_job == find_dead_letter(world.client, "work", by_job.message_id)
    assert find_dead_letter(world.client, "work", "missing") is None


def test_what_was_looked_at_is_put_back_though_the_look_failed(world):
    fail_some(world, 3)
    world.store.fail("get", Unavailable("throttled"), skip=1)
    with pytest.raises(Unavailable):
        list_dead_letters(world.client, "work")
    assert all(message.visible_at <= world.clock.now() for message in world.dead("work"))


def test_a_selection_is_brought_back_with_its_history(world):
    jobs = fail_some(world, 5)
    wanted = {jobs[1].id, jobs[3].id}
    done = redrive(world.client, "work", Selection(ids=wanted))
    assert {job_id for job_id, _ in done.moved} == wanted
    assert done.kept == 3
    world.run_until_idle()
    assert [job.record().redrives for job in jobs] == [0, 1, 0, 1, 0]
    assert len(world.dead("work")) == 5


def test_a_kind_of_error_is_brought_back(world):
    jobs = fail_some(world, 2)
    world.send("no json", "work")
    world.run_until_idle()
    world.clock.advance(60)
    kind = fingerprint(jobs[0].record().error)
    assert kind == fingerprint(jobs[1].record().error)
    done = redrive(world.client, "work", Selection(fingerprint=kind))
    assert (len(done.moved), done.kept) == (2, 1)


def test_a_bare_message_that_was_rejected_runs_after_a_fix_as_the_job_it_was(world):
    message_id = world.send('{"payload": {"count": 3}}', "work")
    world.run_until_idle()
    assert world.job(message_id).error["type"] == "PayloadError"

    def fixed(count: int) -> int:
        return count

    fixed.__name__ = "work"
    world.deploy(task(fixed))
    world.clock.advance(60)
    done = redrive(world.client, "work", Selection(ids=(message_id,)))
    assert [job_id for job_id, _ in done.moved] == [message_id]
    world.run_until_idle()
    (job,) = world.jobs
    assert (job.id, job.state, job.redrives) == (message_id, State.SUCCEEDED, 1)


def test_a_dry_run_changes_nothing(world):
    fail_some(world, 12)
    before = json.dumps([(message.message_id, message.body) for message in world.dead("work")])
    done = redrive(world.client, "work", dry_run=True)
    assert len(done.moved) == 12
    assert json.dumps([(message.message_id, message.body) for message in world.dead("work")]) == before
    assert all(message.visible_at <= world.clock.now() for message in world.dead("work"))


@pytest.mark.parametrize("died", ["send", "delete"])
def test_a_redrive_that_dies_loses_nothing_and_runs_nothing_twice(world, died):
    jobs = fail_some(world, 5)
    world.queues.fail(died, Unavailable("down"), skip=2)
    with pytest.raises(Unavailable):
        redrive(world.client, "work", Selection(ids={job.id for job in jobs}))
    world.clock.advance(901)
    redrive(world.client, "work", Selection(ids={job.id for job in jobs}))
    world.run_until_idle()
    assert all(job.record().redrives >= 1 for job in jobs)
    assert {json.loads(message.body)["id"] for message in world.dead("work")} == {job.id for job in jobs}


def test_a_redrive_keeps_to_its_rate(world):
    jobs = fail_some(world, 5)
    begin = world.clock.now()
    redrive(world.client, "work", Selection(ids={job.id for job in jobs}), rate=2)
    assert world.clock.now() - begin >= 2_500
    for rate in (0, -1, 501):
        with pytest.raises(DefinitionError, match="rate="):
            redrive(world.client, "work", rate=rate)


def draining(world, *, after="delete"):
    """The workers are as quick as the redrive: each message is run to its end before the next one is looked at."""
    original = getattr(world.queues.port, after)
    calls = []

    def call(*args, **kwargs):
        answer = original(*args, **kwargs)
        calls.append(args)
        assert len(calls) < 1000, "the redrive does not end"
        world.drain()
        return answer

    setattr(world.queues.port, after, call)


@pytest.mark.parametrize("behind", [0, 3600])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_redrive_does_not_chase_what_fails_again_at_once(world, copies, behind):
    jobs = fail_some(world, 2)
    body = world.dead("work")[0].body
    for _ in range(copies - 1):
        world.send(body, "work")
    world.run_until_idle()
    world.clock.advance(2 * 3600)
    draining(world)
    send = world.queues.port.send

    def stamped(queue, message):
        message_id = send(queue, message)
        # The queues' clock may be behind ours.
        world.queues.port._queues[queue].messages[-1].sent_at -= behind * 1000
        return message_id

    world.queues.port.send = stamped
    done = redrive(world.client, "work", Selection(ids={jobs[0].id}))
    assert [job_id for job_id, _ in done.moved] == [jobs[0].id] * copies
    assert len(set(done.moved)) == copies
    assert done.kept == 1 + copies
    assert 1 <= jobs[0].record().redrives <= copies
    assert jobs[1].record().redrives == 0
    assert len(world.dead("work")) == copies + 1
    assert all(message.visible_at <= world.clock.now() for message in world.dead("work"))


def test_copies_that_lay_there_all_move_however_fresh(world):
    (job,) = fail_some(world, 1)
    for _ in range(12):
        world.send(world.dead("work")[0].body, "work")
        world.run_until_idle()
    done = redrive(world.client, "work", Selection(ids={job.id}))
    assert len(done.moved) == 13
    assert world.dead("work") == []


def test_a_renewed_message_that_comes_back_is_known(world):
    (job,) = fail_some(world, 1)
    dead = dead_letter_name(STACK, "work")
    sent = []
    original = world.queues.port.send

    def note(queue, message):
        sent.append(original(queue, message))
        if len(sent) == 1:
            body = json.dumps({**json.loads(message.body), "renewed": ["first", sent[0]]})
            original(dead, Outgoing(body))
        return sent[-1]

    world.queues.port.send = note
    done = redrive(world.client, "work", Selection(ids={job.id}))
    assert (len(done.moved), done.kept) == (1, 1)


def test_a_send_carried_out_twice_is_not_chased(world):
    (job,) = fail_some(world, 1)
    world.clock.advance(3600)
    original = world.queues.port.send

    def twice(queue, message):
        world.clock.advance(1)
        original(queue, message)
        return original(queue, message)

    world.queues.port.send = twice
    draining(world)
    done = redrive(world.client, "work", Selection(ids={job.id}))
    assert (len(done.moved), done.kept) == (1, 2)


def test_a_redrive_ends_while_jobs_go_on_failing(world):
    wanted = fail_some(world, 3)
    kind = fingerprint(wanted[0].record().error)
    original = world.queues.port.receive
    world.clock.advance(3600)

    def failing(queue, **options):
        if queue.endswith("-dlq"):
            assert len(world.queues.messages(queue)) < 5000, "the redrive does not end"
            world.clock.advance(100)
            for n in range(10):
                world.queues.port.send(queue, Outgoing(json.dumps({"payload": {}, "id": f"new-{n}"})))
        return original(queue, **options)

    world.queues.port.receive = failing
    done = redrive(world.client, "work", Selection(fingerprint=kind))
    assert {job_id for job_id, _ in done.moved} == {job.id for job in wanted}


def test_a_long_redrive_reaches_what_lies_behind_the_messages_it_has_seen(world):
    jobs = fail_some(world, 60)
    kept = {job.id for job in jobs[:30]}
    done = redrive(world.client, "work", Selection(ids={job.id for job in jobs} - kept), rate=1 / 100)
    assert len(done.moved) == 30
    assert len(set(done.moved)) == 30


def test_a_letter_that_cannot_be_put_back_does_not_keep_the_others(world):
    fail_some(world, 5)
    world.queues.fail("change_visibility", Refused("gone"), skip=1)
    assert redrive(world.client, "work", Selection(ids={"missing"})).kept == 5
    hidden = [message for message in world.dead("work") if message.visible_at > world.clock.now()]
    assert len(hidden) == 1


def test_the_same_failure_has_one_name():
    error = {
        "type": "ValueError",
        "message": "no account 17: 'ann'",
        "traceback": '  File "/a/b/handler.py", line 5, in f\n',
    }
    same = {
        "type": "ValueError",
        "message": "no account 4: 'bob'",
        "traceback": '  File "/c/b/handler.py", line 9, in f\n',
    }
    assert fingerprint(error) == fingerprint(same)
    assert len(fingerprint(error)) == 8
    for change in ({"type": "KeyError"}, {"message": "another"}, {"traceback": ""}):
        assert fingerprint({**error, **change}) != fingerprint(error)
    assert fingerprint({}) == fingerprint({"type": ""})


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCEEDED, State.PENDING])
def test_only_what_is_indexed_is_listed(world, state):
    with pytest.raises(DefinitionError, match=f"state={state}: only FAILED, RETRYING, SCHEDULED are indexed"):
        list_jobs(world.client, state=state)


def test_jobs_are_listed_newest_first_within_the_limit(world):
    jobs = []
    for _ in range(12):
        jobs += fail_some(world, 1)
    listed = list_jobs(world.client, task="work", state=State.FAILED, limit=5)
    assert [job.id for job in listed] == [job.id for job in jobs[::-1]][:5]
    assert list_jobs(world.client, task="other") == []


def test_every_queue_has_its_numbers(world):
    fail_some(world, 2)
    work.options(delay="1m").delay()
    states = {(state.task, state.lane): state for state in list_queues(world.client)}
    assert set(states) == {("work", "default"), ("work", "high"), ("other", "default")}
    default = states["work", "default"]
    assert (default.waiting, default.in_flight, default.delayed, default.dead) == (0, 0, 1, 2)


@pytest.mark.parametrize(
    "look", [list_dead_letters, list_queues, redrive, lambda client, name: list_jobs(client, task=name)]
)
def test_an_unknown_task_is_told(world, look):
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed"):
        look(world.client, "wrok")
