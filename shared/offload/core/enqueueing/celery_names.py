"""What Celery calls by another name: hints for whoever comes from there."""

from __future__ import annotations

_HINTS = {
    "countdown": "write delay=",
    "task_id": "write id=",
    "queue": "lanes are called priorities: write priority=, and @task(priorities=...)",
    "routing_key": "lanes are called priorities: write priority=, and @task(priorities=...)",
    "args": "arguments go to .delay(...), options to .options(...)",
    "kwargs": "arguments go to .delay(...), options to .options(...)",
    "retry": "a task retries by its setting: @task(retry=Retry(...))",
    "retries": "a task retries by its setting: @task(retry=Retry(max_attempts=...))",
    "max_retries": "a task retries by its setting: @task(retry=Retry(max_attempts=...))",
    "retry_policy": "a task retries by its setting: @task(retry=Retry(...))",
    "default_retry_delay": "a task retries by its setting: @task(retry=Retry(base=...))",
    "autoretry_for": "a task retries by its setting: @task(retry=Retry(on=...))",
    "time_limit": "a limit is a setting of the task: @task(timeout=...)",
    "soft_time_limit": "a limit is a setting of the task: @task(soft_timeout=...)",
    "link": "a follow-up is a setting of the task: @task(on_success=...)",
    "link_error": "a follow-up is a setting of the task: @task(on_failure=...)",
    "bind": "a task asks current_job()",
    "acks_late": "a message is always acknowledged after its job",
    "ignore_result": 'results end by themselves: @task(result_ttl="1h")',
    "result_expires": "write @task(result_ttl=...)",
}


def hint(name: str) -> str:
    """Return what to write instead of an option or a setting of Celery, in brackets; nothing for any other name."""
    return f" ({_HINTS[name]})" if name in _HINTS else ""
