"""Queues of a task: each lane has its own, with a dead-letter queue of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from offload.core.errors import DefinitionError
from offload.core.manifest import dead_letter_name, queue_name

if TYPE_CHECKING:
    from offload.core.settings import Settings

RETENTION = cdk.Duration.days(7)
"""Longest a message waits: a week's outage of a task loses nothing. Every retry wait (at most 12 hours each) fits too:
a worker that comes near the limit of receives sends the message anew, and its age begins again."""

DEAD_RETENTION = cdk.Duration.days(14)
"""The longest SQS offers. It must exceed `RETENTION`: on a standard queue a message keeps its age when it moves, so
one that failed in its last hour still has a week in which somebody can look at it."""

_VISIBILITY_TIMEOUTS = 6
"""AWS's advice for Lambda: room for the poller's own retries of a throttled batch. No batching window is added, as
there is none."""

_NAME_LONGEST = 80


class Lane(Construct):
    """A queue and its dead-letter queue.

    Attributes:
        queue: Where jobs wait.
        dead_letters: Where they end after their last failure, and are redriven from.
    """

    def __init__(self, scope: Construct, id: str, *, stack: str, task: str, settings: Settings, lane: str) -> None:  # noqa: A002 - CDK's name
        """Create both.

        Raises:
            DefinitionError: Stack, task and lane make a name longer than SQS takes.
        """
        super().__init__(scope, id)
        name, dead_name = queue_name(stack, task, lane), dead_letter_name(stack, task, lane)
        if len(dead_name) > _NAME_LONGEST:
            raise DefinitionError(
                f"queue name {dead_name!r} is over {_NAME_LONGEST} characters: shorten stack, task or lane"
            )
        source = cdk.Stack.of(self).format_arn(service="sqs", resource=name)
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            queue_name=dead_name,
            retention_period=DEAD_RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            redrive_allow_policy=sqs.RedriveAllowPolicy(
                redrive_permission=sqs.RedrivePermission.BY_QUEUE,
                # By name: the two queues would otherwise each wait for the other.
                source_queues=[sqs.Queue.from_queue_arn(self, "Source", source)],
            ),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            queue_name=name,
            retention_period=RETENTION,
            visibility_timeout=visibility_timeout(settings),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=settings.max_receives, queue=self.dead_letters),
        )


def visibility_timeout(settings: Settings) -> cdk.Duration:
    """Return how long a received message stays hidden."""
    return cdk.Duration.seconds(_VISIBILITY_TIMEOUTS * settings.hard_limit)
