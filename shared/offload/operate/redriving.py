"""Replaying dead letters: bring failed jobs back to their queues, with fresh attempts and their history kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError, MessageError, Refused
from offload.core.fingerprint import fingerprint
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.messages import Message, compact, job_id_of
from offload.core.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from offload.client import Client
    from offload.core.ports import Received

_HIDE = 900
"""Seconds a dead letter stays hidden while this run works through its queue. A run that dies leaves it where it is."""

_MOST_RATE = 500
"""Messages a second that SQS's own move task takes."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters; everything unset means all.

    Attributes:
        ids: Job or message ids.
        fingerprint: Errors of one kind; see `core.fingerprint`.
    """

    ids: Collection[str] = ()
    fingerprint: str | None = None

    @property
    def everything(self) -> bool:
        """True when no dead letter is left out."""
        return not self.ids and self.fingerprint is None


@dataclass(slots=True)
class Redrive:
    """What a redrive did.

    Attributes:
        moved: Job and message id of each that was brought back, or would be in a dry run.
        kept: Number of dead letters looked at and left.
        handed_over: Queues whose whole content SQS moves by itself, in the background.
    """

    moved: list[tuple[str, str]] = field(default_factory=list)
    kept: int = 0
    handed_over: list[str] = field(default_factory=list)


def redrive(
    client: Client,
    task: str,
    selection: Selection | None = None,
    *,
    rate: float | None = None,
    dry_run: bool = False,
    tell: Callable[[int], None] = lambda _moved: None,
) -> Redrive:
    """Bring a task's dead letters back to the queues they came from.

    All of them go by SQS's own move task where there is one. A selection is taken message by message: received, sent
    to its queue, and only then deleted. Interrupted between the two, a message is in both places; its job runs once all
    the same, since a job that has ended well is not run again.

    Args:
        client: The stack.
        task: Task name.
        selection: Which; None is all.
        rate: Most messages a second.
        dry_run: Only say what would be moved.
        tell: Called with the number moved so far.

    Raises:
        UnknownTask: Not deployed.
        DefinitionError: The rate is wrong.
    """
    selection = selection or Selection()
    if rate is not None and not 0 < rate <= _MOST_RATE:
        raise DefinitionError(f"rate={rate:g} must be above 0 and at most {_MOST_RATE} messages a second")
    done = Redrive()
    for lane in client.manifest.lanes(task):
        stack = client.manifest.stack
        source, dead = queue_name(stack, task, lane), dead_letter_name(stack, task, lane)
        if selection.everything and not dry_run and _hand_over(client, dead, rate):
            done.handed_over.append(dead)
            continue
        _move(client, dead, source, selection, rate=rate, dry_run=dry_run, done=done, tell=tell)
    return done


def _hand_over(client: Client, dead: str, rate: float | None) -> bool:
    try:
        client.queues.redrive(dead, rate=None if rate is None else max(1, int(rate)))
    except Refused:
        return False  # no such operation there, or a move is under way: one by one does the same
    return True


def _move(
    client: Client,
    dead: str,
    source: str,
    selection: Selection,
    *,
    rate: float | None,
    dry_run: bool,
    done: Redrive,
    tell: Callable[[int], None],
) -> None:
    held: list[str] = []
    seen: set[str] = set()
    try:
        while True:
            batch = client.queues.receive(dead, limit=10, visibility=_HIDE, wait=1)
            fresh = [message for message in batch if message.message_id not in seen]
            if not fresh:
                return
            for message in fresh:
                seen.add(message.message_id)
                job_id = job_id_of(message.body) or message.message_id
                if not _selected(client, message, job_id, selection):
                    held.append(message.receipt)
                    done.kept += 1
                    continue
                done.moved.append((job_id, message.message_id))
                if dry_run:
                    held.append(message.receipt)
                else:
                    client.queues.send(source, _again(message))
                    client.queues.delete(dead, message.receipt)
                    if rate is not None:
                        client.clock.sleep(1 / rate)
                tell(len(done.moved))
    finally:
        for receipt in held:
            client.queues.change_visibility(dead, receipt, 0)


def _selected(client: Client, message: Received, job_id: str, selection: Selection) -> bool:
    if selection.ids and not {job_id, message.message_id} & set(selection.ids):
        return False
    if selection.fingerprint is None:
        return True
    item = client.store.get(job_id)
    return item is not None and "error" in item and fingerprint(item["error"]) == selection.fingerprint


def _again(message: Received) -> Outgoing:
    """Return the message to send: the same body, and the job's id in it, which a bare message got from SQS."""
    try:
        read = Message.decode(message.body)
    except MessageError:
        return Outgoing(message.body)
    body = message.body if read.id is not None else compact({**json.loads(message.body), "id": message.message_id})
    return Outgoing(body, group=read.group)
