"""The Lambda entry point of every task: `offload.runtime.entry.handler`.

Environment: `OFFLOAD_TASK` (name), `OFFLOAD_MANIFEST` (see `core/manifest.py`), `OFFLOAD_MAX_RECEIVES`. Everything is
built during Lambda's init phase, which has a full CPU whatever the memory setting.
"""

from __future__ import annotations

import os
from pathlib import Path

from offload.aws import signed
from offload.aws.blobs import S3Blobs
from offload.aws.queues import SqsQueues
from offload.aws.table import JobTable
from offload.core.clock import SystemClock
from offload.core.enqueueing import producer
from offload.core.ids import system_random
from offload.core.manifest import Manifest
from offload.core.tasks.registry import load_task
from offload.runtime.telemetry import Telemetry
from offload.runtime.worker import Worker


def build() -> Worker:
    """Build the worker of this function from its environment."""
    manifest = Manifest.load(os.environ["OFFLOAD_MANIFEST"])
    clock, rng = SystemClock(), system_random()
    store = JobTable(signed.caller("dynamodb"), manifest.table, clock=clock)
    queues = SqsQueues(signed.caller("sqs"), account=manifest.account, region=manifest.region)
    blobs = S3Blobs(manifest.bucket)
    task = load_task(os.environ["OFFLOAD_TASK"], Path(os.environ.get("LAMBDA_TASK_ROOT", ".")))
    if task.is_async:
        import asyncio  # noqa: F401 - now rather than at the first job; `powertools` keeps it away from all others
    producer.build_with(lambda: _producer(manifest, store, queues, blobs))
    return Worker(
        task,
        store=store,
        queues=queues,
        blobs=blobs,
        clock=clock,
        rng=rng,
        max_receives=int(os.environ["OFFLOAD_MAX_RECEIVES"]),
        hooks=[Telemetry(task.name)],
    )


def _producer(manifest: Manifest, store: JobTable, queues: SqsQueues, blobs: S3Blobs) -> producer.Producer:
    from offload.aws.timers import SchedulerTimers  # only a task that enqueues others pays for these
    from offload.client.client import Client

    return Client(manifest, store=store, queues=queues, blobs=blobs, timers=SchedulerTimers(manifest))


handler = build()
