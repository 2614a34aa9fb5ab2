"""Redriving dead letters: failed jobs go back to their queues. They have all their attempts again and keep history."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.client.dead_letter_scan import DeadLetterScan
from offload.client.message_records import ids_of, record_of
from offload.core.errors import DefinitionError, Refused
from offload.core.jobs.fingerprint import fingerprint
from offload.core.manifest import dead_letter_name, queue_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from offload.client import Client
    from offload.core.ports import ReceivedMessage

_HIDE = 900
"""Seconds that a received dead letter stays hidden: enough to look through a large queue."""

_MOST_RATE = 500
"""Messages per second that SQS's own move task can move at most."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters to redrive. Without any attribute set, the selection has all dead letters.

    Attributes:
        ids: Job ids or message ids.
        fingerprint: Fingerprint of an error, which is equal for errors of the same kind; see `core/jobs/fingerprint`.
    """

    ids: Collection[str] = ()
    fingerprint: str | None = None

    @property
    def everything(self) -> bool:
        """True when no dead letter is left out."""
        return not self.ids and self.fingerprint is None


@dataclass(slots=True)
class Redrive:
    """The result of a redrive.

    Attributes:
        moved: Job id and message id of each dead letter that was sent back; in a dry run, of each that would be.
        kept: Number of dead letters that stay: they are not in the selection, or they came to the dead-letter queue
            after the redrive began.
        handed_over: Dead-letter queues whose messages SQS moves itself, in the background.
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
    on_progress: Callable[[int], None] = lambda _moved: None,
) -> Redrive:
    """Send a task's dead letters back to the queues from which they came.

    All dead letters together are moved by SQS's own move task, if the service has one. A selection is moved message by
    message: each one is received, sent to its queue, and only then deleted. When the redrive is interrupted between
    send and delete, the message is in both queues. Its job still runs only once, because a job that has ended well does
    not run again. Jobs that fail during the redrive, again or for the first time, stay in the dead-letter queue.

    Args:
        client: The stack.
        task: Task name.
        selection: The dead letters to redrive; None for all.
        rate: The largest number of messages per second; None for no limit. SQS moves at whole numbers, so it is given
            the one below; at less than one a second the messages are moved one by one here.
        dry_run: Move nothing, and return what would be moved.
        on_progress: Called with the number of messages moved so far.

    Raises:
        UnknownTask: The task is not deployed.
        DefinitionError: The rate is out of range.
    """
    selection = selection or Selection()
    if rate is not None and not 0 < rate <= _MOST_RATE:
        raise DefinitionError(f"rate={rate:g} must be above 0 and at most {_MOST_RATE} messages a second")
    result, scan = Redrive(), DeadLetterScan(client.queues, client.clock, hide=_HIDE)
    for lane in client.manifest.lanes(task):
        stack = client.manifest.stack
        source, dead = queue_name(stack, task, lane), dead_letter_name(stack, task, lane)
        if selection.everything and not dry_run and _move_by_service(client, dead, rate):
            result.handed_over.append(dead)
            continue
        with closing(scan.messages(dead)) as messages:
            for message in _selected(client, task, messages, selection, result):
                if not dry_run:
                    scan.send_back(message, source)
                    if rate is not None:
                        client.clock.sleep(1 / rate)
                on_progress(len(result.moved))
    result.kept += scan.returned
    return result


def _move_by_service(client: Client, dead: str, rate: float | None) -> bool:
    """Have SQS move a whole dead-letter queue; returns False when SQS refuses, or cannot be as slow as asked."""
    if rate is not None and rate < 1:
        return False
    try:
        client.queues.redrive(dead, rate=None if rate is None else int(rate))
    except Refused:
        return False  # the service has no such operation, or a move is under way
    return True


def _selected(
    client: Client, task: str, messages: Iterable[ReceivedMessage], selection: Selection, result: Redrive
) -> Iterator[ReceivedMessage]:
    """Yield the messages of the selection, and count all messages in `result`."""
    for message in messages:
        if _is_selected(client, task, message, selection):
            ids = ids_of(message, task)
            asked_for = next((job_id for job_id in ids if job_id in selection.ids), ids[0])
            result.moved.append((asked_for, message.message_id))
            yield message
        else:
            result.kept += 1


def _is_selected(client: Client, task: str, message: ReceivedMessage, selection: Selection) -> bool:
    if selection.ids and not {*ids_of(message, task), message.message_id} & set(selection.ids):
        return False
    if selection.fingerprint is None:
        return True
    _, record = record_of(client.store.get, message, task)
    return record is not None and "error" in record and fingerprint(record["error"]) == selection.fingerprint
