"""Counting a cancelled job out of the line of its rate limit, so that those behind it move up."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from offload.core.errors import Refused, Unavailable
from offload.core.flow.line import leave_line
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.ports import JobStore
    from offload.core.records import JobRecord


def count_out(store: JobStore, record: JobRecord) -> JobRecord:
    """Count a cancelled job out of its line, if it was in one, and return its record.

    The job is cancelled, so no error is raised here: without the count, the line finds out later.
    """
    left = leave_line(record)
    if left is not None:
        with suppress(Conflict, Unavailable, Refused):
            store.apply(left)
    return record
