"""A task that behaves as it is told to."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Literal

from offload import PayloadError, Retry, current_job, enqueue, task

HEAVY = {"asyncio", "boto3", "botocore.session", "aws_lambda_powertools.utilities.parser", "pydantic"}


@task(
    timeout="10s",
    soft_timeout=os.environ.get("PROBE_SOFT_TIMEOUT", "2s"),
    retry=Retry(max_attempts=3, base="30s", jitter=False, never=(PayloadError,)),
)
def probe(
    do: Literal["return", "raise", "exit", "sleep", "hang", "look", "list", "enqueue"] = "return", seconds: float = 0
) -> str:
    """Return, fail, end the process, take a while, ignore every limit, or tell where it runs and what is loaded."""
    match do:
        case "raise":
            raise ValueError("as it was told to")
        case "exit":
            raise SystemExit(3)
        case "sleep":
            time.sleep(seconds)
        case "hang":
            if current_job().attempt == 1:
                _hang(seconds)
        case "look":
            return f"{Path(os.environ['LAMBDA_TASK_ROOT']).resolve()} {Path(__file__).resolve()}"
        case "enqueue":
            enqueue("probe", {"seconds": "soon" if seconds else 0})
        case "list":
            return " ".join(sorted(HEAVY & set(sys.modules)))
    return f"attempt {current_job().attempt}"


def _hang(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            time.sleep(end - time.monotonic())
        except BaseException:  # noqa: BLE001 - what no limit can end
            continue
