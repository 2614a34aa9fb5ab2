"""Fails on its first attempts, then succeeds."""

from offload import Retry, current_job, task


@task(retry=Retry(max_attempts=4, base="1s", jitter=False), timeout="20s")
def flaky(failures: int = 1) -> int:
    """Return the attempt that succeeded."""
    attempt = current_job().attempt
    if attempt <= failures:
        raise ConnectionError(f"attempt {attempt} of at least {failures} that fail")
    return attempt
