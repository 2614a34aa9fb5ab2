"""Which job an idempotency key names, and whether its message still has to be sent; see `core.keys`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from offload.core import keys
from offload.core.errors import Unavailable
from offload.core.writes import Conflict

if TYPE_CHECKING:
    from offload.core.clock import Clock
    from offload.core.ports import JobStore

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Named:
    """The job a key names.

    Attributes:
        job_id: Its id.
        created: The key was free, and names it since just now.
        sent: Its message is known to be sent.
    """

    job_id: str
    created: bool
    sent: bool


def name_job(store: JobStore, clock: Clock, slot: str, fresh: str) -> Named:
    """Have a key name the job `fresh`, unless it names another already.

    A first use costs one write; a later one is refused once and reads the job's record.

    Raises:
        Unavailable: The table did not answer, or others changed the key's item again and again.
    """
    for _ in range(_ROUNDS):
        try:
            store.apply(keys.reserve(slot, fresh, clock.now()))
        except Conflict as conflict:
            named = conflict.item
        else:
            return Named(fresh, created=True, sent=False)
        if named is None:
            continue  # deleted meanwhile: it is free
        holder = named["job"]
        record = store.get(holder)
        if not keys.frees(record) or holder == fresh:
            # A record is written only once the message is sent.
            return Named(holder, created=False, sent=record is not None or "confirmed" in named)
        try:
            store.apply(keys.take_over(slot, holder, fresh, clock.now()))
        except Conflict:
            continue  # another producer took it over
        return Named(fresh, created=True, sent=False)
    raise Unavailable(f"{slot}: the key's record keeps changing; try again")
