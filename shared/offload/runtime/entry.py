"""The Lambda entry point of every task: `offload.runtime.entry.handler`.

Environment: `OFFLOAD_TASK` (name) and `OFFLOAD_MANIFEST` (see `core/manifest.py`). The tasks that this one may enqueue
are in a file of the bundle, which is read when the first job is enqueued. Everything else is built during Lambda's init
phase, which has a full CPU whatever the memory setting.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offload.aws import signed
from offload.aws.blobs import S3Blobs
from offload.aws.queues import SqsQueues
from offload.aws.table import JobTable
from offload.aws.timers import SchedulerTimers
from offload.core.clock import Deadline, SystemClock
from offload.core.enqueueing import producer
from offload.core.ids import system_random
from offload.core.manifest import TASKS_FILE, Manifest
from offload.core.tasks import context
from offload.core.tasks.registry import load_task
from offload.runtime.telemetry import Telemetry
from offload.runtime.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.aws.calls import Call


def build() -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Build the handler of this function from its environment: a worker whose every request knows the time left."""
    context.begin_worker()  # before the task's module is imported, which may enqueue
    manifest = Manifest.load(os.environ["OFFLOAD_MANIFEST"])
    clock, rng, deadline = SystemClock(), system_random(), Deadline()

    def call(service: str) -> Call:
        return signed.caller(service, clock=clock, rng=rng, deadline=deadline)

    store = JobTable(call("dynamodb"), manifest.table, clock=clock, rng=rng)
    queues = SqsQueues(call("sqs"), account=manifest.account, region=manifest.region, clock=clock, rng=rng)
    blobs = S3Blobs(manifest.bucket, call("s3"))
    timers = SchedulerTimers(manifest, call("scheduler"))
    root = Path(os.environ.get("LAMBDA_TASK_ROOT", "."))
    task = load_task(os.environ["OFFLOAD_TASK"], root)
    if task.is_async:
        import offload.runtime.event_loop  # noqa: F401 - now rather than at the first job; all others do without asyncio
    producer.build_with(lambda: _producer(manifest, root / TASKS_FILE, store, queues, blobs, timers))
    worker = Worker(
        task,
        store=store,
        queues=queues,
        blobs=blobs,
        timers=timers,
        clock=clock,
        rng=rng,
        hooks=[Telemetry(task.name)],
    )

    def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
        with deadline.during(lambda: context.get_remaining_time_in_millis() / 1000):
            return worker(event, context)

    return handle


def _producer(
    manifest: Manifest, tasks: Path, store: JobTable, queues: SqsQueues, blobs: S3Blobs, timers: SchedulerTimers
) -> producer.Producer:
    from offload.client.client import Client  # only a task that enqueues others pays for it

    manifest = replace(manifest, tasks=json.loads(tasks.read_bytes()))
    return Client(manifest, store=store, queues=queues, blobs=blobs, timers=timers)


handler = build()
