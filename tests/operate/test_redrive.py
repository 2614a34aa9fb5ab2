"""Redriving: what goes back runs again with its history, nothing is lost, and nothing that fails anew is chased."""

from __future__ import annotations

import json

import pytest

from offload import DefinitionError, Refused, State, Unavailable, UnknownTask, task
from offload.core.jobs.fingerprint import fingerprint
from offload.core.manifest import dead_letter_name
from offload.core.ports import OutgoingMessage
from offload.operate.redrive import Selection, redrive
from tests.operate.jobs import fail_jobs, hidden


def of_jobs(*jobs):
    """Select the dead letters of some jobs."""
    return Selection(ids={job.id for job in jobs})


# What is redriven


def test_a_selection_is_brought_back_with_its_history(world):
    jobs = fail_jobs(world, 5)
    wanted = {jobs[1].id, jobs[3].id}
    done = redrive(world.client, "work", Selection(ids=wanted))
    assert {job_id for job_id, _ in done.moved} == wanted
    assert done.kept == 3
    world.run_until_idle()
    assert [job.record().redrives for job in jobs] == [0, 1, 0, 1, 0]
    assert len(world.dead("work")) == 5


def test_a_kind_of_error_is_brought_back(world):
    jobs = fail_jobs(world, 2)
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
    fail_jobs(world, 12)
    before = json.dumps([(message.message_id, message.body) for message in world.dead("work")])
    done = redrive(world.client, "work", dry_run=True)
    assert len(done.moved) == 12
    assert json.dumps([(message.message_id, message.body) for message in world.dead("work")]) == before
    assert hidden(world) == 0


def test_copies_that_lay_there_all_move_however_fresh(world):
    (job,) = fail_jobs(world, 1)
    for _ in range(12):
        world.send(world.dead("work")[0].body, "work")
        world.run_until_idle()
    done = redrive(world.client, "work", of_jobs(job))
    assert len(done.moved) == 13
    assert world.dead("work") == []


def test_a_long_redrive_reaches_what_lies_behind_the_messages_it_has_seen(world):
    jobs = fail_jobs(world, 60)
    done = redrive(world.client, "work", of_jobs(*jobs[30:]), rate=1 / 100)
    assert len(done.moved) == 30
    assert len(set(done.moved)) == 30


def test_a_redrive_keeps_to_its_rate(world):
    jobs = fail_jobs(world, 5)
    begin = world.clock.now()
    redrive(world.client, "work", of_jobs(*jobs), rate=2)
    assert world.clock.now() - begin >= 2_500
    for rate in (0, -1, 501):
        with pytest.raises(DefinitionError, match="rate="):
            redrive(world.client, "work", rate=rate)


@pytest.mark.parametrize(("rate", "asked"), [(None, [None]), (500, [500]), (2.7, [2]), (1, [1]), (0.5, [])])
def test_sqs_moves_at_the_rate_or_slower_or_not_at_all(world, rate, asked):
    fail_jobs(world, 3)
    given = []
    world.queues.port.redrive = lambda _dead, rate=None: given.append(rate)
    began_at = world.clock.now()

    done = redrive(world.client, "work", rate=rate)

    assert given == asked * 2  # the task has two lanes
    assert len(done.moved) == (0 if asked else 3)
    assert world.clock.now() - began_at >= (0 if asked else 6_000)


def test_an_unknown_task_is_told(world):
    with pytest.raises(UnknownTask, match="task 'wrok' is not deployed"):
        redrive(world.client, "wrok")


# What goes wrong


@pytest.mark.parametrize("died", ["send", "delete"])
def test_a_redrive_that_dies_loses_nothing_and_runs_nothing_twice(world, died):
    jobs = fail_jobs(world, 5)
    world.queues.fail(died, Unavailable("down"), skip=2)
    with pytest.raises(Unavailable):
        redrive(world.client, "work", of_jobs(*jobs))
    world.clock.advance(901)
    redrive(world.client, "work", of_jobs(*jobs))
    world.run_until_idle()
    assert all(job.record().redrives >= 1 for job in jobs)
    assert {json.loads(message.body)["id"] for message in world.dead("work")} == {job.id for job in jobs}


def test_a_dead_letter_that_cannot_be_put_back_does_not_keep_the_others(world):
    fail_jobs(world, 5)
    world.queues.fail("change_visibility", Refused("gone"), skip=1)
    assert redrive(world.client, "work", Selection(ids={"missing"})).kept == 5
    assert hidden(world) == 1


# What fails again meanwhile


def run_jobs_after_each_delete(world):
    """Let the workers be as quick as the redrive: each message runs to its end before the next one is looked at."""
    original = world.queues.port.delete
    deleted = []

    def delete(queue, receipt):
        original(queue, receipt)
        deleted.append(receipt)
        assert len(deleted) < 1000, "the redrive does not end"
        world.drain()

    world.queues.port.delete = delete


@pytest.mark.parametrize("seconds_behind", [0, 3600])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_redrive_does_not_chase_what_fails_again_at_once(world, copies, seconds_behind):
    wanted, left_alone = fail_jobs(world, 2)
    body = world.dead("work")[0].body
    assert json.loads(body)["id"] == wanted.id
    for _ in range(copies - 1):
        world.send(body, "work")
    world.run_until_idle()
    world.clock.advance(2 * 3600)
    run_jobs_after_each_delete(world)

    def stamp_late(_queue, message):
        message.sent_at -= seconds_behind * 1000  # the queues' clock is behind ours

    world.queues.port.on_stored = stamp_late
    done = redrive(world.client, "work", of_jobs(wanted))
    assert [job_id for job_id, _ in done.moved] == [wanted.id] * copies
    assert len(set(done.moved)) == copies
    assert done.kept == 1 + copies
    assert 1 <= wanted.record().redrives <= copies
    assert left_alone.record().redrives == 0
    assert len(world.dead("work")) == copies + 1
    assert hidden(world) == 0


def test_a_copy_that_replaces_a_message_is_known_when_it_comes_to_the_dead_letter_queue(world):
    (job,) = fail_jobs(world, 1)
    dead = dead_letter_name(world.manifest.stack, "work")
    sent = []
    original = world.queues.port.send

    def send_and_replace(queue, message):
        """Send a message; the first one is at once replaced by a copy, which fails."""
        sent.append(original(queue, message))
        if len(sent) == 1:
            body = json.dumps({**json.loads(message.body), "replaces": ["first", sent[0]]})
            original(dead, OutgoingMessage(body))
        return sent[-1]

    world.queues.port.send = send_and_replace
    done = redrive(world.client, "work", of_jobs(job))
    assert (len(done.moved), done.kept) == (1, 1)


def test_a_send_carried_out_twice_is_not_chased(world):
    (job,) = fail_jobs(world, 1)
    world.clock.advance(3600)
    original = world.queues.port.send

    def send_twice(queue, message):
        world.clock.advance(1)
        original(queue, message)
        return original(queue, message)

    world.queues.port.send = send_twice
    run_jobs_after_each_delete(world)
    done = redrive(world.client, "work", of_jobs(job))
    assert (len(done.moved), done.kept) == (1, 2)


def test_a_redrive_ends_while_jobs_go_on_failing(world):
    wanted = fail_jobs(world, 3)
    kind = fingerprint(wanted[0].record().error)
    original = world.queues.port.receive
    world.clock.advance(3600)

    def receive_while_jobs_fail(queue, **options):
        if queue.endswith("-dlq"):
            assert len(world.queues.messages(queue)) < 5000, "the redrive does not end"
            world.clock.advance(100)
            for n in range(10):
                world.queues.port.send(queue, OutgoingMessage(json.dumps({"payload": {}, "id": f"new-{n}"})))
        return original(queue, **options)

    world.queues.port.receive = receive_while_jobs_fail
    done = redrive(world.client, "work", Selection(fingerprint=kind))
    assert {job_id for job_id, _ in done.moved} == {job.id for job in wanted}
