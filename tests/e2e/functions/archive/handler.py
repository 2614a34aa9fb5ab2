"""Archives, or fails as it is told to; with a coroutine function."""

import asyncio
from pathlib import Path

from offload import Permanent, Retry, current_job, task


@task(retry=Retry(max_attempts=2, base="2s"), timeout="10s", soft_timeout="2s", batch_size=10, max_concurrency=2)
async def archive(ledger: str, number: int, plan: str) -> int:
    """Note the run in the ledger; `stumble` fails once, `exhaust` each time, `refuse` for good."""
    job = current_job()
    _note(ledger, f"{job.id} {job.attempt} starts\n")
    await asyncio.sleep(0)
    if plan == "refuse":
        raise Permanent(f"refused: {number}")
    if plan == "exhaust" or (plan == "stumble" and job.attempt == 1):
        raise ConnectionError(f"{plan}: {number}")
    return number


def _note(ledger: str, line: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(line)
