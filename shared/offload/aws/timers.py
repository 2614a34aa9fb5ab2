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
_OTHER = re.compile(r"[^0-9A-Za-z_.-]")


class SchedulerTimers:
    """`Timers` on EventBridge Scheduler; it deletes a schedule that has fired. Fires at least once, up to 60 s late."""

    def __init__(self, manifest: Manifest, call: Call | None = None) -> None:
        """Say where queues and schedules are.

        Args:
            manifest: The stack: its account and region, and the `group` and `role` of its schedules.
            call: Transport to EventBridge Scheduler; None takes boto3 with the ordinary configuration.
        """
        self._queues = f"arn:{partition(manifest.region)}:sqs:{manifest.region}:{manifest.account}:"
        self._group, self._role = manifest.timers["group"], manifest.timers["role"]
        self._call = call or sdk.caller("scheduler")

    def send_at(self, name: str, queue: str, body: str, at: int) -> None:
        """Have `body` sent to `queue` at epoch milliseconds `at` (60 s precision). A name that exists already is kept.

        Raises:
            Refused: The body is over 256 KB, or permissions are missing.
        """
        # Scheduler counts in whole seconds: rounding up never fires early.
        moment = datetime.fromtimestamp(-(-at // 1000), UTC).strftime("%Y-%m-%dT%H:%M:%S")
        schedule = {
            "Name": schedule_name(name),
            "GroupName": self._group,
            "ScheduleExpression": f"at({moment})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {"Arn": self._queues + queue, "RoleArn": self._role, "Input": body},
        }
        try:
            self._call("CreateSchedule", schedule)
        except Rejected as error:
            if error.code != "ConflictException":
                raise


def schedule_name(name: str) -> str:
    """Return the name a schedule goes by: the given one where Scheduler takes it, else one made from it and its hash.

    Scheduler takes 1 to 64 letters, digits and `_ . -`; a job id may be longer or hold a colon.
    """
    if _NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:24]
    return f"{_OTHER.sub('-', name)[:39]}-{digest}"
