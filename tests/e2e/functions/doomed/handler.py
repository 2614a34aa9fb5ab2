"""Fails in the way it is told to."""

from offload import Permanent, Retry, RetryLater, current_job, task


@task(retry=Retry(max_attempts=2, base="1s", jitter=False), timeout="20s")
def doomed(how: str) -> None:
    """Raise."""
    if how == "permanent":
        raise Permanent("no such account: 42")
    if how == "later" and current_job().attempt == 1:
        raise RetryLater("not before tomorrow", delay="11h")
    raise ValueError(f"failing with {how}")
