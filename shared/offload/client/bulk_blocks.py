"""The calls of a bulk, read again block by block: as many at once as one look at the job table takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.client.spool import Spool
    from offload.core.enqueueing.bulk import IdPrefix
    from offload.core.enqueueing.request import EnqueueRequest

LOOKS_AT_ONCE = 100
"""Records of one look at the job table."""

_BLOCK = 2_000_000
"""Bytes of calls that are in memory at once, apart from those in flight."""


class BulkCall(NamedTuple):
    """One call.

    Attributes:
        place: Its place among the calls.
        request: The request.
        job_id: The id that its job is to have.
        repeats: The earlier call whose id or key it has; its own place when there is none.
    """

    place: int
    request: EnqueueRequest
    job_id: str
    repeats: int


def blocks(spool: Spool, prefix: IdPrefix, *, repeating: bool) -> Iterator[list[BulkCall]]:
    """Yield the calls that repeat no earlier one, or those that do."""
    block: list[BulkCall] = []
    room = _BLOCK
    for index, (request, size, repeats) in enumerate(spool):
        if (repeats is not None) != repeating:
            continue
        job_id = request.options.id or prefix.job_id(index)
        block.append(BulkCall(index, request, job_id, index if repeats is None else repeats))
        room -= size
        if len(block) == LOOKS_AT_ONCE or room <= 0:
            yield block
            block, room = [], _BLOCK
    yield block
