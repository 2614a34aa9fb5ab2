"""Replaying dead letters: bring failed jobs back to their queues, with fresh attempts and their history kept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.client.replay import Replay
from offload.core.errors import DefinitionError, Refused
from offload.core.fingerprint import fingerprint
from offload.core.manifest import dead_letter_name, queue_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from offload.client import Client
    from offload.client.replay import Letter

_HIDE = 900
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
        kept: Number of dead letters looked at and left, those among them that came (back) during the redrive.
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
    the same, since a job that has ended well is not run again. What fails again meanwhile, and what fails anew, stays.

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
    done, run = Redrive(), Replay(client.queues, client.clock, hide=_HIDE)
    for lane in client.manifest.lanes(task):
        stack = client.manifest.stack
        source, dead = queue_name(stack, task, lane), dead_letter_name(stack, task, lane)
        if selection.everything and not dry_run and _hand_over(client, dead, rate):
            done.handed_over.append(dead)
            continue
        with closing(run.letters(dead)) as letters:
            for letter in _chosen(client, letters, selection, done):
                if not dry_run:
                    run.bring_back(letter, source)
                    if rate is not None:
                        client.clock.sleep(1 / rate)
                tell(len(done.moved))
    done.kept += run.returned
    return done


def _hand_over(client: Client, dead: str, rate: float | None) -> bool:
    try:
        client.queues.redrive(dead, rate=None if rate is None else max(1, int(rate)))
    except Refused:
        return False  # no such operation there, or a move is under way: one by one does the same
    return True


def _chosen(client: Client, letters: Iterable[Letter], selection: Selection, done: Redrive) -> Iterator[Letter]:
    for letter in letters:
        if _selected(client, letter, selection):
            done.moved.append((letter.job_id, letter.message.message_id))
            yield letter
        else:
            done.kept += 1


def _selected(client: Client, letter: Letter, selection: Selection) -> bool:
    if selection.ids and not {letter.job_id, letter.message.message_id} & set(selection.ids):
        return False
    if selection.fingerprint is None:
        return True
    item = client.store.get(letter.job_id)
    return item is not None and "error" in item and fingerprint(item["error"]) == selection.fingerprint
