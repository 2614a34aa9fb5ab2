"""How long everything is kept: the one source of these numbers for the CDK app, the twins and the documents.

| what                             | is kept for                                                               |
|----------------------------------|---------------------------------------------------------------------------|
| a message that nobody receives   | `QUEUE_DAYS` from its send; a copy that replaces it begins anew           |
| a message in a dead-letter queue | `DEAD_LETTER_DAYS` from the same send; a redrive sends it anew            |
| a job's record                   | `RECORD_DAYS` from its last change, or from the end of its delay          |
| an object under `payloads/60d/`  | 60 days from its last write, and so on for the folders of `PAYLOAD_DAYS`  |
| an object under `results/7d/`    | one day more than its seven (`RESULT_DAYS`), as S3 counts in whole days   |

A payload must be there for as long as its job may run. From its last write on, a job may wait for the end of a delay,
then `DEAD_LETTER_DAYS` in a queue and its dead-letter queue, and as long again after a redrive. Then a worker receives
its message and reads the payload. A worker that reads an old payload writes it again (`is_old_payload`), and the time
begins anew. So a payload that is written for a delay of d days is kept for at least d + 2 * `DEAD_LETTER_DAYS` days.
"""

from __future__ import annotations

DAY = 86_400
"""Seconds."""

LONGEST_DELAY = 365 * DAY
"""Seconds that a job may be delayed by, or may wait for its next attempt."""

QUEUE_DAYS = 7
"""Days that a message can wait in its queue before SQS deletes it: the longest outage that loses no message. Waits of
the worker's own making fit whatever their length: they are cut into copies and timers."""

DEAD_LETTER_DAYS = 14
"""The longest retention of SQS. It must be longer than `QUEUE_DAYS`, because a message keeps its age when it moves to a
dead-letter queue. So a message that fails in its last hour stays there for one more week."""

RECORD_DAYS = 35
"""Days that a record outlives its last change. A message lives at most 14 days in queue and DLQ together (the age on a
standard queue counts from the first enqueue), and a redrive gives it 14 more: a duplicate may still arrive 28 days
after the job ended and must find the record. A week is added for the operator who redrives on the last day."""

PAYLOAD_DAYS = (60, 425)
"""The folders of payloads, by days. Most jobs have no long delay: their payloads should not cost a year's storage."""

RESULT_DAYS = (1, 7, 30, 90, 366)
"""The folders of results, by days. They are the same for all tasks and deployments: a lifecycle rule that came and went
with a task's `result_ttl` would leave objects behind that no rule deletes."""

_REDRIVEN_DAYS = 2 * DEAD_LETTER_DAYS
_OLD_PAYLOAD = 14 * DAY


def payload_key(task: str, job_id: str, delay: float) -> str:
    """Return the name of the object that holds a job's payload while the job waits `delay` seconds."""
    days = next((days for days in PAYLOAD_DAYS if delay <= (days - _REDRIVEN_DAYS) * DAY), PAYLOAD_DAYS[-1])
    return f"{_payload_folder(days, task)}{job_id}.json"


def payload_folders(task: str) -> list[str]:
    """Return the folders that payloads of a task lie in; each ends with a slash."""
    return [_payload_folder(days, task) for days in PAYLOAD_DAYS]


def is_payload_of(key: str, task: str, job_id: str) -> bool:
    """Tell whether an object's name is that of a job's payload."""
    return any(key == f"{folder}{job_id}.json" for folder in payload_folders(task))


def is_old_payload(sent_at: int, now: int) -> bool:
    """Tell whether a payload has to be written again; its job was enqueued at epoch milliseconds `sent_at`."""
    return now - sent_at > _OLD_PAYLOAD * 1000


def result_days(life: float) -> int:
    """Return the folder, by its days, of results that can be read for `life` seconds, at most 365 days."""
    return next(days for days in RESULT_DAYS if life <= days * DAY)


def result_folder(task: str, life: float) -> str:
    """Return the folder of a task's results; it ends with a slash."""
    return _result_folder(result_days(life), task)


def result_folders(task: str) -> list[str]:
    """Return all folders that results of a task can lie in, whatever its `result_ttl` was; each ends with a slash.

    Roles name them one by one. A `*` in the place of the days would match slashes too, and so the results of another
    task's job whose id is this task's name.
    """
    return [_result_folder(days, task) for days in RESULT_DAYS]


def is_result_of(key: str, task: str, job_id: str) -> bool:
    """Tell whether an object's name is that of a result of a job; each run has an object of its own."""
    folders = tuple(f"{folder}{job_id}/" for folder in result_folders(task))
    return key.startswith(folders) and "/" not in key[len(next(each for each in folders if key.startswith(each))) :]


def folder_lives() -> dict[str, int]:
    """Return for how many days an object is kept after its write, by folder; what lies elsewhere stays."""
    payloads = {f"payloads/{days}d/": days for days in PAYLOAD_DAYS}
    return payloads | {f"results/{days}d/": days + 1 for days in RESULT_DAYS}


def _payload_folder(days: int, task: str) -> str:
    return f"payloads/{days}d/{task}/"


def _result_folder(days: int, task: str) -> str:
    return f"results/{days}d/{task}/"
