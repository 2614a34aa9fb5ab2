"""Says when each of its runs starts and ends."""

import time
from pathlib import Path

from offload import Permanent, Retry, current_job, task


@task(
    retry=Retry(max_attempts=4, base="25s", cap="25s", jitter=False),
    timeout="4s",
    soft_timeout="3s",
    batch_size=4,
    max_concurrency=2,
)
def steady(ledger: str, seconds: float = 0.0, failures: int = 0, refused: bool = False) -> int:
    """Take `seconds`, fail the first `failures` attempts, and return the attempt that succeeded."""
    job = current_job()
    with Path(ledger).open("a", buffering=1) as file:
        file.write(f"{job.id} {job.attempt} starts\n")
        time.sleep(seconds)
        if refused:
            raise Permanent("refused")
        if job.attempt <= failures:
            raise ConnectionError(f"attempt {job.attempt} of {failures} that fail")
        file.write(f"{job.id} {job.attempt} ends\n")
    return job.attempt
