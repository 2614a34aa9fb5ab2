"""One delivery of one message to one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from offload.core.ids import id_apart

if TYPE_CHECKING:
    from offload.core.messages.message import Message


class Delivery(NamedTuple):
    """One receive of one message by one worker.

    Attributes:
        task: The worker's task.
        job_id: The job: the message's `id`, else its SQS message id.
        message_id: SQS message id.
        message: The decoded message.
        sent_at: When the message was sent, epoch milliseconds.
        lease: The lease token that this worker claims the job with.
    """

    task: str
    job_id: str
    message_id: str
    message: Message
    sent_at: int
    lease: str

    @property
    def enqueued_at(self) -> int:
        """When the job was enqueued, epoch milliseconds: as the producer says, else when its message was sent."""
        return self.message.enqueued_at or self.sent_at

    def apart(self) -> Delivery:
        """Return this delivery under an id of its own for its failure, because its job id is another task's."""
        return self._replace(job_id=id_apart(self.job_id, self.task))

    @property
    def message_ids(self) -> tuple[str, ...]:
        """SQS ids of this message and of those that it replaces."""
        return (self.message_id, *self.message.replaces)
