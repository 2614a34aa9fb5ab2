"""What Celery (and Dramatiq, for methods) calls by another name: hints for whoever comes from there."""

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


_TASK_METHODS = {
    "s": ".si(...), a call as a value for delay_many",
    "subtask": ".si(...), a call as a value for delay_many",
    "apply": "task(...), a plain call, or .delay(...)",
    "send": ".delay(...)",
    "send_with_options": ".options(...).delay(...)",
    "map": ".delay_many(...)",
    "starmap": ".delay_many(...)",
    "chunks": ".delay_many(...)",
    "retry": "raise RetryLater(...) inside the task, or @task(retry=Retry(...))",
    "request": "current_job() inside the task",
    "update_state": "current_job().progress(...) inside the task",
    "AsyncResult": "Client.from_stack().handle(id)",
}
_HANDLE_METHODS = {
    "get": ".result(timeout=...)",
    "state": ".status()",
    "ready": ".status().ended",
    "successful": '.status() == "SUCCEEDED"',
    "failed": '.status() == "FAILED"',
    "revoke": ".cancel()",
    "abort": ".cancel()",
    "info": ".record().progress, or .record().error",
    "traceback": ".record().error",
    "task_id": ".id",
}


def no_method_of_tasks(task: str, name: str) -> AttributeError:
    """Return the error for an attribute that a task does not have, with what stands for a method of Celery's."""
    return _missing(f"task {task!r}", name, _TASK_METHODS)


def no_method_of_handles(name: str) -> AttributeError:
    """Return the error for an attribute that a handle does not have."""
    return _missing("a JobHandle", name, _HANDLE_METHODS)


def _missing(owner: str, name: str, instead: dict[str, str]) -> AttributeError:
    said = f": write {instead[name]}" if name in instead else ""
    return AttributeError(f"{owner} has no attribute {name!r}{said}", name=name)


def hint(name: str) -> str:
    """Return what to write instead of an option or a setting of Celery, in brackets; nothing for any other name."""
    return f" ({_HINTS[name]})" if name in _HINTS else ""
