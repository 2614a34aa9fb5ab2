"""One-time schedules on EventBridge Scheduler, for delays beyond what a queue holds back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from offload.aws import sdk
from offload.aws.calls import Rejected
from offload.aws.regions import partition
from offload.core.manifest import undelivered_name
from offload.core.ports import LONGEST_DELIVERY, MOST_DELIVERIES, TimedMessage

if TYPE_CHECKING:
    from offload.aws.calls import Call
    from offload.core.manifest import Manifest


class SchedulerTimers:
    """`Timers` on EventBridge Scheduler.

    A schedule fires at least once and up to 60 s late. EventBridge Scheduler deletes the schedule afterwards. What it
    cannot deliver goes to the stack's queue for the undelivered.
    """

    def __init__(self, manifest: Manifest, call: Call | None = None) -> None:
        """Read from the manifest where queues and schedules are; nothing is called.

        Args:
            manifest: The stack: its account and region, and the group and roles of its schedules.
            call: Transport to EventBridge Scheduler; None means boto3 with the ordinary configuration.
        """
        self._arn_prefix = f"arn:{partition(manifest.region).name}:sqs:{manifest.region}:{manifest.account}:"
        self._manifest, self._group = manifest, manifest.timers["group"]
        self._call = call or sdk.caller("scheduler")

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`, up to 60 s late.

        A second schedule of the same name changes nothing: the first one is kept.

        Raises:
            Refused: The body is larger than 256 KB, or permissions are missing.
        """
        # Scheduler counts in whole seconds. The time is rounded up, so that the schedule never fires early.
        moment = datetime.fromtimestamp(-(-at // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        schedule: dict[str, Any] = {
            **self._address(name),
            "ScheduleExpression": f"at({moment})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": self._arn_prefix + queue,
                "RoleArn": self._role_for(queue),
                "Input": _as_it_is(body),
                "RetryPolicy": {
                    "MaximumEventAgeInSeconds": LONGEST_DELIVERY,
                    "MaximumRetryAttempts": MOST_DELIVERIES,
                },
                "DeadLetterConfig": {"Arn": self._arn_prefix + undelivered_name(self._manifest.stack)},
            },
        }
        try:
            self._call("CreateSchedule", schedule)
        except Rejected as error:
            if error.code != "ConflictException":
                raise

    def get(self, name: str) -> TimedMessage | None:
        """Read a schedule; None when there is none, or when it has fired."""
        try:
            target = self._call("GetSchedule", self._address(name))["Target"]
        except Rejected as error:
            if error.code != "ResourceNotFoundException":
                raise
            return None
        return TimedMessage(target["Arn"].rpartition(":")[2], target["Input"])

    def delete(self, name: str) -> None:
        """Delete a schedule; one that does not exist is no error."""
        try:
            self._call("DeleteSchedule", self._address(name))
        except Rejected as error:
            if error.code != "ResourceNotFoundException":
                raise

    def _role_for(self, queue: str) -> str:
        timers = self._manifest.timers
        role: str = timers["roles"][self._manifest.task_of(queue)] if "roles" in timers else timers["role"]
        return role

    def _address(self, name: str) -> dict[str, str]:
        return {"Name": name, "GroupName": self._group}


def _as_it_is(body: str) -> str:
    """Return a JSON text that says the same, and in which Scheduler finds nothing to fill in.

    Scheduler replaces its context attributes, such as `<aws.scheduler.scheduled-time>`, wherever they stand in an input
    (EventBridge Scheduler User Guide, "Adding context attributes").
    """
    return body.replace("<aws.scheduler.", "\\u003caws.scheduler.")
