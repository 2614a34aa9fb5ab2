"""A client's connection to its stack: made at first use, and again where the manifest lacks what is asked for."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from offload.client.forks import watch_forks
from offload.core.errors import OffloadError
from offload.core.tasks.context import running_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from offload.core.clock import Clock
    from offload.core.manifest import Manifest
    from offload.core.ports import Blobs, JobStore, Queues, Timers

LOOK_AGAIN_MS = 5_000
"""Milliseconds from one look at the manifest to the next, whatever names are asked for."""


_PATIENCE_AGAIN = 2.0
"""Seconds for which a second look waits for throttles: what is known goes on without it."""


class Connection(NamedTuple):
    """What a deployed stack is made of, and the ports to it; see `Client`."""

    manifest: Manifest
    store: JobStore
    queues: Queues
    blobs: Blobs
    timers: Timers


def connect_to(stack: str, known: Connection | None) -> Connection:
    """Read a stack's manifest and make the ports; those there are stay, unless the stack was made anew."""
    from offload.aws import manifests, sdk
    from offload.aws.blobs import S3Blobs
    from offload.aws.queues import SqsQueues
    from offload.aws.table import JobTable
    from offload.aws.timers import SchedulerTimers

    patience = manifests.PATIENCE if known is None else _PATIENCE_AGAIN
    job = running_job()
    if job is not None:
        patience = min(patience, job.remaining)
    manifest = manifests.read(stack, patience=patience)
    if known is not None and replace(known.manifest, tasks=manifest.tasks) == manifest:
        return known._replace(manifest=manifest)
    return Connection(
        manifest,
        store=JobTable(sdk.caller("dynamodb"), manifest.table),
        queues=SqsQueues(sdk.caller("sqs"), account=manifest.account, region=manifest.region),
        blobs=S3Blobs(manifest.bucket),
        timers=SchedulerTimers(manifest),
    )


class Connector:
    """Connects to a stack when it is first asked, once for all threads.

    Args:
        connect: Reads the manifest and makes the ports; is given the connection there is, if any.
        clock: Time.
    """

    def __init__(self, connect: Callable[[Connection | None], Connection], clock: Clock) -> None:
        """Keep both; nothing is called."""
        self._connect, self._clock = connect, clock
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._failure: OffloadError | None = None
        self._looks = 0
        self._looked_at = 0
        watch_forks(self)

    def after_fork(self) -> None:
        """Replace the lock; see `forks`."""
        self._lock = threading.Lock()

    def connection(self) -> Connection:
        """Return the connection; the first call makes it.

        Raises:
            OffloadError: It cannot be made; the next call tries again.
        """
        if self._connection is not None:
            return self._connection
        looks = self._looks
        with self._lock:
            if self._connection is not None:
                return self._connection
            if self._looks > looks and self._failure is not None:
                raise self._failure  # of another thread, while this one waited: a second wait would end the same
            return self._look()

    def look_again(self, known: Connection) -> Connection:
        """Return a newer connection than one that does not have what is asked for, or the same one.

        Raises:
            OffloadError: The manifest was looked at within the last five seconds, and could not be read.
        """
        with self._lock:
            if self._connection is not None and self._connection is not known:
                return self._connection
            if self._looks and 0 <= self._clock.now() - self._looked_at < LOOK_AGAIN_MS:
                if self._failure is not None:
                    raise self._failure
                return known
            return self._look()

    def _look(self) -> Connection:
        try:
            self._connection = self._connect(self._connection)
            self._failure = None
        except OffloadError as error:
            self._failure = error
            raise
        finally:
            self._looks += 1
            self._looked_at = self._clock.now()
        return self._connection
