"""The queues of a task: each lane has a queue and a dead-letter queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from offload.core.errors import DefinitionError
from offload.core.manifest import dead_letter_name, queue_name
from offload.core.messages.waiting import MAX_RECEIVES
from offload.core.retention import DEAD_LETTER_DAYS, QUEUE_DAYS

if TYPE_CHECKING:
    from offload.core.tasks.settings import Settings

_TIMEOUTS_HIDDEN = 6
"""Function timeouts that a received message stays hidden. AWS advises six, so that Lambda can repeat a throttled batch.
The advice adds the batching window, which the queues do not have."""

_LONGEST_NAME = 80
"""Characters that SQS allows in a queue's name."""


class Lane(Construct):
    """A queue and its dead-letter queue.

    Attributes:
        queue: The queue in which the messages of jobs wait.
        dead_letters: The queue for the messages of failed jobs, from which they can be redriven.
    """

    def __init__(self, scope: Construct, id: str, *, stack: str, task: str, settings: Settings, lane: str) -> None:  # noqa: A002 - CDK's name
        """Create the queue and its dead-letter queue.

        Raises:
            DefinitionError: Stack, task and lane make a name that is too long for SQS.
        """
        super().__init__(scope, id)
        name, dead_name = queue_name(stack, task, lane), dead_letter_name(stack, task, lane)
        if len(dead_name) > _LONGEST_NAME:
            raise DefinitionError(
                f"queue name {dead_name!r} is over {_LONGEST_NAME} characters: shorten stack, task or lane"
            )
        source = cdk.Stack.of(self).format_arn(service="sqs", resource=name)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=dead_name,
            retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                # The ARN is built from the name, because two queues that refer to each other cannot be created.
                source_queues=[sqs.Queue.from_queue_arn(self, "Source", source)],
            ),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            retention_period=cdk.Duration.days(QUEUE_DAYS),
            visibility_timeout=visibility_timeout(settings),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=MAX_RECEIVES, queue=self.dead_letters),
        )


def visibility_timeout(settings: Settings) -> cdk.Duration:
    """Return how long a received message stays hidden."""
    return cdk.Duration.seconds(_TIMEOUTS_HIDDEN * settings.hard_limit)
