"""Dies in the middle of a run, or waits there long enough to be killed."""

import os
import time
from pathlib import Path

from offload import Retry, current_job, task


# Short limits, because a batch whose worker died comes back after six times the hard one.
@task(
    retry=Retry(max_attempts=2, base="1s", jitter=False),
    timeout="3s",
    soft_timeout="2s",
    batch_size=10,
    max_concurrency=2,
)
def mortal(ledger: str, dies: int = 0, seconds: float = 0.0) -> int:
    """End the worker's own process on the first `dies` attempts; else wait on the first, and return the attempt."""
    job = current_job()
    with Path(ledger).open("a") as file:
        file.write(f"{job.id} {job.attempt} starts\n")
    job.progress(os.getpid())
    if job.attempt <= dies:
        os._exit(1)
    if job.attempt == 1:
        time.sleep(seconds)
    return job.attempt
