"""Waiting: how a message waits in the meantime, and how many receives it has.

| the message is to wait | how                                                                                        |
|------------------------|--------------------------------------------------------------------------------------------|
| up to `LONGEST_HIDDEN` | hidden by its visibility, while it has receives left                                       |
| up to 15 minutes       | a copy with `DelaySeconds` replaces it                                                     |
| longer                 | a one-time schedule, the timer, sends the copy; the last minute is waited for in the queue |

Only a hidden message counts as in flight, and SQS stalls a queue that has 120,000 of those. So what is in flight
because it waits is at most what comes due within a minute. A copy costs as much as a change of visibility (one request;
four for a body of 256 KB, since SQS bills each 64 KB), and a timer costs as much as two and a half.
"""

from __future__ import annotations

import hashlib
import math
from base64 import b32encode
from typing import NamedTuple

from offload.core.ports import LONGEST_QUEUE_DELAY, TIMER_LATENESS
from offload.core.retention import LONGEST_DELAY

MAX_RECEIVES = 4
"""The `maxReceiveCount` of every queue: a message is received so often, and the next receive moves it to the
dead-letter queue. A message whose job fails at its first receive is thus received three times more. The number does not
depend on the task's attempts: a deployment that allows fewer attempts must not dead-letter messages that wait."""

REPLACED_FROM = MAX_RECEIVES - 1
"""A message that is received so often, or more, is replaced by a copy before anything runs, unless its job has ended.
So two workers in a row may die on a message, or never begin with it, and two receives are left to replace it in."""

LONGEST_HIDDEN = 60
"""Seconds that a message waits at most by its visibility. A shorter time would send copies for the common backoffs."""

_LEAST_WITHOUT_COPY = {1: 0, 2: 15 * 60, 3: 10 * 3_600}
"""Seconds that a message waits at least, by its receives, when no copy could replace it. It has few receives left, so
they are spread over half a day, in which somebody can mend what is wrong."""

_LONGEST_WITHOUT_COPY = 10 * 3_600
"""SQS hides a message for 12 hours, counted from its receive. Lambda may hold a batch for as long as the visibility
timeout (90 minutes at most) before it invokes the function, and the invocation lasts up to 15 minutes."""


_DIGEST_BYTES = 14
"""Bytes of the digest in a timer's name: 23 characters, which fit behind the longest name of a task."""


class Hide(NamedTuple):
    """Change the message's visibility: it comes back in so many seconds."""

    seconds: int


class SendCopy(NamedTuple):
    """Send a copy that its queue delays by so many seconds."""

    delay: int


class SetTimer(NamedTuple):
    """Have a timer send a copy at epoch milliseconds `at`."""

    at: int


Way = Hide | SendCopy | SetTimer


def way_to_wait(until: int, now: int, receives: int) -> Way:
    """Decide how a message waits.

    Args:
        until: When its wait ends, epoch milliseconds.
        now: Epoch milliseconds.
        receives: How often it was received.
    """
    seconds = math.ceil(max(0, min(until - now, LONGEST_DELAY * 1000)) / 1000)
    if seconds <= LONGEST_HIDDEN and receives + 1 < REPLACED_FROM:
        return Hide(seconds)
    if seconds <= LONGEST_QUEUE_DELAY:
        return SendCopy(seconds)
    # A timer may be late. The message comes that much before its time, and waits for the rest to the second.
    return SetTimer(now + (seconds - TIMER_LATENESS) * 1000)


def takes_timer(until: int, now: int) -> bool:
    """Tell whether a message that is to wait from now on gets a timer."""
    return isinstance(way_to_wait(until, now, 1), SetTimer)


def without_copy(until: int, now: int, receives: int) -> Hide:
    """Decide how a message waits when no copy could be sent."""
    seconds = math.ceil(max(0, until - now) / 1000)
    least = _LEAST_WITHOUT_COPY.get(receives, _LONGEST_WITHOUT_COPY)
    return Hide(min(max(seconds, least), _LONGEST_WITHOUT_COPY))


def timer_name(task: str, job_id: str, until: int) -> str:
    """Return the name of the timer of a job that waits until epoch milliseconds `until`.

    A second timer of one name is not set, and its message is lost. So two timers have one name only when their messages
    are of one job and wait until one moment: either message is as good as the other.

    Scheduler accepts 64 letters, digits and `_ . -`. The task comes first, and no task's name holds a dot: so a role
    can be limited to the timers of a task. The rest is a digest of 112 bits, in letters that differ in any case.
    """
    digest = hashlib.sha256("/".join((task, job_id, str(until))).encode()).digest()[:_DIGEST_BYTES]
    return f"{task}.{b32encode(digest).decode().rstrip('=').lower()}"
