"""The items of the job table, as types: what a store reads and writes."""

from __future__ import annotations

from typing import Any, TypedDict


class ErrorRecord(TypedDict):
    """Why an attempt or a job failed.

    Attributes:
        type: The exception's class.
        message: Its text.
        traceback: Frames of the task's own code; empty where no code of the task ran.
        attempt: The attempt that failed; 0 where none had started.
    """

    type: str
    message: str
    traceback: str
    attempt: int


class BlobReference(TypedDict):
    """Where a large payload or result lies in S3."""

    bucket: str
    key: str


class JobRecord(TypedDict, total=False):
    """The record of a job. Times are epoch milliseconds; attributes that say nothing are absent.

    What a reader of a job is shown is described in `Job`. These attributes serve the library alone:

    Attributes:
        lease: Token of the run that holds the job, or held it last; empty when its claim was released.
        lease_until: When the lease ends.
        message_id: SQS id of the message that the job was last claimed, failed or expired by.
        message_copied_at: When that message was made, if a worker made it as a copy of another; else 0.
        message_sent_at: When that message was sent, if it replaced the one that failed.
        timer_until: Until when the job waits for its next attempt, if a timer sends its message; in the timer's name.
        place_at: When the job's place comes in the front of the line of its task's rate limit.
        line_number: The job's number in the rear of that line.
        follow_up: Task that still has to be enqueued because the job has ended.
        idx: Partition of the index that the job is listed in.
        idx_at: Its place there.
        ttl: When DynamoDB may delete the record, epoch seconds.
    """

    id: str
    task: str
    state: str
    attempt: int
    max_attempts: int
    created_at: int
    started_at: int
    finished_at: int
    updated_at: int
    next_at: int
    result: str
    result_ref: BlobReference
    result_until: int
    error: ErrorRecord
    reason: str
    progress: dict[str, Any]
    history: list[list[Any]]
    usage: dict[str, int]
    lane: str
    tenant: str
    key: str
    expires_at: int
    cancel_requested_at: int
    workflow: str
    parent: str
    redrives: int
    lease: str
    lease_until: int
    message_id: str
    message_copied_at: int
    message_sent_at: int
    timer_until: int
    place_at: int
    line_number: int
    follow_up: str
    idx: str
    idx_at: int
    ttl: int


class KeyRecord(TypedDict, total=False):
    """The item of an idempotency key.

    Attributes:
        id: `key#TASK#KEY`.
        job: The job that the key names.
        digest: Digest of that job's arguments.
        salt: What the digest was made with.
        until: How long it names that job, epoch milliseconds.
        confirmed: Present once the job's message is known to be sent.
        ttl: When DynamoDB may delete the item, epoch seconds.
    """

    id: str
    job: str
    digest: str
    salt: str
    until: int
    confirmed: bool
    ttl: int


class RateRecord(TypedDict, total=False):
    """The item of a task's rate limit.

    Attributes:
        id: `rate#TASK`.
        tat: Theoretical arrival time of the next start, epoch microseconds.
        line: Place of the next job that joins the front of the line, epoch microseconds.
        interval: Microseconds between two starts, which `tat` and `line` count with.
        joined: Numbers that were given in the rear of the line.
        head: The highest number whose job has gone on in its turn.
        left: Jobs that have left the rear.
        ttl: When DynamoDB may delete the item, epoch seconds.
    """

    id: str
    tat: int
    line: int
    interval: int
    joined: int
    head: int
    left: int
    ttl: int
