"""Retrying a job by hand, whatever keeps it: its dead letter is sent again, or its wait is cut short."""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from offload.client.replay import Letter, Replay
from offload.core import retrying
from offload.core.errors import NoDeadLetter, Refused, Unavailable, WrongState
from offload.core.jobs import Job, State
from offload.core.manifest import DEFAULT_LANE, dead_letter_name, queue_name
from offload.core.messages import job_id_of
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.client.client import Client
    from offload.core.jobs import Item

_log = logging.getLogger(__name__)

_SETTLED_MS = 2_000
"""A worker takes a message for redriven when it was sent after the failure, by clocks that differ a little."""

_HIDE = 120
"""Seconds: enough to look through tens of thousands of messages, and bearable when this process dies."""

_ROUNDS = 5


def retry(client: Client, job_id: str, timeout: float, task: str | None) -> Job:
    """Run a job again; see `Client.retry`."""
    deadline = client.clock.now() + timeout * 1000
    races = 0
    while True:
        item = client.store.get(job_id)
        if item is None or item.get("state") not in (State.FAILED.value, State.RETRYING.value):
            retrying.check(client.job(job_id, task))  # raises, unless the state has changed just now
        elif item["state"] == State.RETRYING.value:
            with suppress(Conflict):  # its wait has ended meanwhile
                return _at_once(client, item)
        else:
            found = _bring_back(client, item)
            if found is not None:
                return found
            if client.clock.now() >= deadline:
                raise NoDeadLetter(
                    f"job {job_id} is FAILED, but its message is not in the dead-letter queue of {item['task']!r} "
                    f"(looked for {timeout:g} s): it was purged, has expired after 14 days, is still on its way "
                    "there, or somebody is looking at it; try again in a few minutes, or enqueue the job anew"
                )
            continue
        races += 1
        if races == _ROUNDS:
            raise Unavailable(f"job {job_id} keeps changing; try again")


def _at_once(client: Client, item: Item) -> Job:
    job = Job.read(client.store.apply(retrying.at_once(item, client.clock.now())))
    parked = item.get("parked")
    if parked is not None:
        with suppress(Refused):  # not in flight any more: visible already, or a copy took its place and finds it due
            client.queues.change_visibility(parked["queue"], parked["receipt"], 0)
    return job


def _bring_back(client: Client, item: Item) -> Job | None:
    """Look through the task's dead-letter queues once; None when the message is in none."""
    stack, task, run = client.manifest.stack, item["task"], Replay(client.queues, client.clock, hide=_HIDE)
    first = item.get("lane", DEFAULT_LANE)
    for lane in sorted(client.manifest.lanes(task), key=lambda name: name != first):
        with closing(run.letters(dead_letter_name(stack, task, lane))) as letters:
            for letter in letters:
                if letter.job_id == item["id"]:
                    return _send_again(client, run, letter, item, queue_name(stack, task, lane))
    return None


def _send_again(client: Client, run: Replay, letter: Letter, item: Item, source: str) -> Job:
    job_id = item["id"]
    if job_id_of(letter.again().body) != job_id:
        raise WrongState(
            f"job {job_id} is FAILED and its message breaks the contract without naming the job, so that sent again it "
            "would be another job that fails; send a mended message"
        )
    early = item.get("finished_at", 0) + _SETTLED_MS - client.clock.now()
    if early > 0:
        client.clock.sleep(early / 1000)
    after = item

    def record() -> None:
        nonlocal after
        try:
            after = client.store.apply(retrying.brought_back(item, client.clock.now()))
        except Conflict as conflict:
            after = conflict.item or item  # its worker was faster
        except (Unavailable, Refused) as trouble:
            # It is sent and will run; an error here would make the caller send it twice.
            _log.warning("job %s was brought back, but its record waits for the worker: %s", job_id, trouble)

    run.bring_back(letter, source, record)
    return Job.read(after)
