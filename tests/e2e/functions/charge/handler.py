"""Charges, or fails as it is told to."""

from pathlib import Path

from offload import Permanent, Retry, current_job, task


@task(retry=Retry(max_attempts=2, base="2s"), timeout="10s", soft_timeout="2s", batch_size=10, max_concurrency=2)
def charge(ledger: str, number: int, plan: str) -> int:
    """Note the run in the ledger; `stumble` fails once, `exhaust` each time, `refuse` for good."""
    job = current_job()
    with Path(ledger).open("a") as file:
        file.write(f"{job.id} {job.attempt} starts\n")
    if plan == "refuse":
        raise Permanent(f"refused: {number}")
    if plan == "exhaust" or (plan == "stumble" and job.attempt == 1):
        raise ConnectionError(f"{plan}: {number}")
    return number
