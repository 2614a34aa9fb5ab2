"""Leaves a trace in the bucket each time it runs."""

import os
import time
import uuid

from functions import stack
from offload import Allow, current_job, task


@task(timeout="30s", allow=(Allow("s3:PutObject", "{bucket}/stamps/*"),))
def stamp(seconds: float = 0.0, size: int = 0) -> dict[str, str]:
    """Put one object a run, say progress, and return as much as asked."""
    import boto3

    job = current_job()
    key = f"stamps/{job.id}/{uuid.uuid4()}"
    boto3.client("s3").put_object(Bucket=stack().bucket, Key=key, Body=str(os.getpid()).encode())
    steps = 10 if seconds else 1
    for step in range(steps):
        time.sleep(seconds / steps)
        job.progress(step + 1, steps, stage="stamping")
    return {"key": key, "padding": "x" * size}
