"""Enqueueing many jobs of one task, however many, in few requests and in flat memory.

The calls are read once. Each is checked and written to a file; when one is wrong, nothing is sent. Then the file is
read again: see `client/shipment.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from offload.client.in_flight import MOST_AT_ONCE, InFlight
from offload.client.named_calls import NamedCalls
from offload.client.sender import Sender
from offload.client.shipment import Shipment
from offload.client.spool import Spool
from offload.core.clock import SystemClock
from offload.core.enqueueing.bulk import MOST_NAMED, IdPrefix, JobHandles, WrongCalls
from offload.core.errors import DefinitionError, OffloadError, PayloadError

if TYPE_CHECKING:
    from offload.core.enqueueing.bulk import BulkRequest
    from offload.core.enqueueing.handle import JobHandle, JobService

FindSender = Callable[[str, str | None], Sender]


def enqueue_many(find: FindSender, bulk: BulkRequest, service: JobService) -> JobHandles[JobHandle[Any]]:
    """Enqueue many jobs.

    Args:
        find: Returns the sender for a task and a lane; None stands for the default lane.
        bulk: The jobs.
        service: Whom the handles ask.

    Raises:
        UnknownTask: Not deployed in this stack.
        WrongCalls: Some calls are wrong; nothing was sent.
        PartlyEnqueued: Some jobs are not known to be enqueued.
    """
    sender = find(bulk.task, None)
    sender.manifest.lanes(bulk.task)
    prefix = IdPrefix.draw(sender.rng) if bulk.id_prefix is None else IdPrefix.read(bulk.id_prefix)
    spool, names = Spool(), NamedCalls(prefix)
    try:
        sender = _check(find, sender, bulk, spool, names)
        # A virtual clock runs in one thread.
        threads = MOST_AT_ONCE if isinstance(sender.clock, SystemClock) else 0
        with InFlight(threads) as in_flight:
            return Shipment(sender, bulk, prefix, spool, in_flight, service).send()
    finally:
        spool.close()
        names.close()


def _check(find: FindSender, sender: Sender, bulk: BulkRequest, spool: Spool, names: NamedCalls) -> Sender:
    """Read, check and keep the calls, and return the sender that knows all their lanes.

    Raises:
        WrongCalls: Some are wrong.
    """
    wrong: dict[int, OffloadError] = {}
    count = total = 0
    calls = iter(bulk.calls)
    while True:
        try:
            call = next(calls)
        except StopIteration:
            break
        except (PayloadError, DefinitionError) as error:
            # A call was refused where it is made. What has raised gives no further calls.
            raise WrongCalls({**wrong, total: error}, count + 1, total + 1) from error
        try:
            request = bulk.request(call)
            if not sender.manifest.has_lane(bulk.task, request.options.priority):
                sender = find(bulk.task, request.options.priority)
            sender.check(request)
            repeats = names.add(total, request)
            if not count:
                spool.add(request, repeats)
        except (PayloadError, DefinitionError) as error:
            count += 1
            if len(wrong) < MOST_NAMED:
                wrong[total] = error
        total += 1
    if count:
        raise WrongCalls(wrong, count, total)
    return sender
