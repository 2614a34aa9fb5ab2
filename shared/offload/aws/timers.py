"""One-time schedules on EventBridge Scheduler, for delays beyond what a queue holds back."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.aws.calls import Rejected, partition

if TYPE_CHECKING:
    from offload.aws.calls import Call
    from offload.core.manifest import Manifest

_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_NOT_ACCEPTED = re.compile(r"[^0-9A-Za-z_.-]")


class SchedulerTimers:
    """`Timers` on EventBridge Scheduler.

    A schedule fires at least once and up to 60 s late. EventBridge Scheduler deletes the schedule afterwards.
    """

    def __init__(self, manifest: Manifest, call: Call | None = None) -> None:
        """Read from the manifest where queues and schedules are; nothing is called.

        Args:
            manifest: The stack: its account and region, and the `group` and `role` of its schedules.
            call: Transport to EventBridge Scheduler; None means boto3 with the ordinary configuration.
        """
        self._arn_prefix = f"arn:{partition(manifest.region)}:sqs:{manifest.region}:{manifest.account}:"
        self._group, self._role = manifest.timers["group"], manifest.timers["role"]
        self._call = call or sdk.caller("scheduler")

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at`, up to 60 s late.

        A second schedule of the same name changes nothing: the first one is kept.

        Raises:
            Refused: The body is larger than 256 KB, or permissions are missing.
        """
        # Scheduler counts in whole seconds. The time is rounded up, so that the schedule never fires early.
        moment = datetime.fromtimestamp(-(-at // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        schedule = {
            "Name": schedule_name(name),
            "GroupName": self._group,
            "ScheduleExpression": f"at({moment})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self._arn_prefix + queue, "RoleArn": self._role, "Input": body},
        }
        try:
            self._call("CreateSchedule", schedule)
        except Rejected as error:
            if error.code != "ConflictException":
                raise


def schedule_name(name: str) -> str:
    """Return the name of a schedule in EventBridge Scheduler.

    Scheduler accepts 1 to 64 letters, digits and `_ . -`. A job id may be longer or hold a colon; then the name
    consists of the accepted characters of `name` and a hash of `name`.
    """
    if _NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:24]
    return f"{_NOT_ACCEPTED.sub('-', name)[:39]}-{digest}"
