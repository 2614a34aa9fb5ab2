"""One delivery of one message, and what every decision about it shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offload.core.jobs import DAY_MS, RECORD_LIFE_DAYS, State, transition
from offload.core.writes import Condition, Test

if TYPE_CHECKING:
    from offload.core.messages import Message


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receive of one message by one worker.

    Attributes:
        task: The worker's task.
        job_id: The job: the message's `id`, else its SQS message id.
        message_id: SQS message id.
        message: The decoded message.
        sent_at: When the message was sent, epoch milliseconds.
        token: Lease token this worker would hold.
    """

    task: str
    job_id: str
    message_id: str
    message: Message
    sent_at: int
    token: str

    @property
    def facts(self) -> dict[str, Any]:
        """What a record takes over from the message when it has nothing better."""
        return {"task": self.task, "created_at": self._created_at, **message_facts(self.message)}

    @property
    def beginning(self) -> dict[str, list[Any]]:
        """How a history begins whose record the worker creates: as it would have, had the client been faster."""
        return {"history": [transition(State.PENDING, self._created_at, 0)]}

    @property
    def _created_at(self) -> int:
        return self.message.enqueued_at or self.sent_at


def message_facts(message: Message) -> dict[str, Any]:
    """Return what a record keeps of a message, unset fields left out."""
    facts = {"tenant": message.tenant, "key": message.key, "expires_at": message.expires_at, "lane": message.lane}
    facts |= {"parent": message.parent, "workflow": message.workflow}
    return {name: value for name, value in facts.items() if value is not None}


def life(now: int) -> int:
    """Return the record's new deletion time (`ttl`) in epoch seconds."""
    return (now + RECORD_LIFE_DAYS * DAY_MS) // 1000


def in_states(*states: State) -> Condition:
    """Return the condition that a record is in one of some states."""
    return tuple((Test("state", "=", state.value),) for state in states)


NOT_STARTED: Condition = ((Test("id", "absent"),), *in_states(State.PENDING, State.SCHEDULED))
"""No run has begun: there is no record yet, or it waits for its first."""
