"""Many conditional writes, and many reads, in few requests to DynamoDB.

A batch answers for each of its members. A member that failed by DynamoDB's fault is sent again, up to three times, and
is `Unavailable` then. DynamoDB does not return the item that made an `INSERT` fail, so one more request reads the items
of all that failed: each is the item as it is a moment later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.aws import items
from offload.aws.calls import THROTTLED, TRANSIENT, Rejected, is_carried_out, was_repeated
from offload.aws.statements import MOST_STATEMENTS, Statement, compile_statement
from offload.core.errors import Refused, Unavailable
from offload.core.writes import Conflict

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from offload.aws.calls import Call
    from offload.core.clock import Clock
    from offload.core.writes import Item, Write

    Apply = Callable[[Write[Any]], Any]
    Outcomes = dict[int, Any]
    """By the places of the writes: the item after a write, or its error."""

MOST_KEYS = 100
"""Keys of one `BatchGetItem`."""

_MOST_ROUNDS = 4
"""Requests for one chunk: the first one, and three for members that failed by DynamoDB's fault."""

_BACKOFF_BASE = 0.1
_TRANSIENT = THROTTLED | TRANSIENT | {"ProvisionedThroughputExceeded", "ThrottlingError", "TransactionConflict"}
_CONDITION_FAILED, _DUPLICATE = "ConditionalCheckFailed", "DuplicateItem"


class Batches:
    """Batch requests to one table."""

    def __init__(self, call: Call, table: str, clock: Clock, rng: random.Random) -> None:
        """Keep the name of the table; nothing is called."""
        self._call, self._table, self._clock, self._rng = call, table, clock, rng

    def read(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        """Read raw items, consistently; a key without an item is left out.

        Raises:
            Unavailable: DynamoDB left keys out, four times in a row.
        """
        waiting = list(dict.fromkeys(keys))  # DynamoDB refuses a batch that names a key twice
        found: list[dict[str, Any]] = []
        rounds = 0
        while waiting:
            chunk, waiting = waiting[:MOST_KEYS], waiting[MOST_KEYS:]
            request = {"Keys": [{"id": {"S": key}} for key in chunk], "ConsistentRead": True}
            answer = self._call("BatchGetItem", {"RequestItems": {self._table: request}})
            left_out = answer.get("UnprocessedKeys", {}).get(self._table, {}).get("Keys", [])
            found += answer.get("Responses", {}).get(self._table, [])
            waiting += [key["id"]["S"] for key in left_out]
            # An answer has at most 16 MB, so keys are left out in ordinary operation, too.
            rounds = rounds + 1 if len(left_out) == len(chunk) else 0
            if rounds == _MOST_ROUNDS:
                raise Unavailable(f"BatchGetItem: {len(waiting)} keys were not processed")
            self._pause(rounds)
        return found

    def write(self, writes: Sequence[Write[Any]], apply: Apply) -> list[Any]:
        """Carry out writes; see `JobStore.apply_many`.

        Args:
            writes: The writes.
            apply: Carries out a write that no statement expresses, or an `INSERT` that met an item.
        """
        outcomes: Outcomes = {}
        chunk = _Chunk()
        for index, write in enumerate(writes):
            # DynamoDB refuses a batch that names an item twice, and writes of one item have an order.
            if len(chunk) == MOST_STATEMENTS or write.id in chunk.ids:
                outcomes |= self._carry_out(chunk, apply)
                chunk = _Chunk()
            try:
                statement = compile_statement(self._table, write)
            except Refused as error:
                outcomes[index] = error
                continue
            if statement is None:
                outcomes[index] = _outcome(apply, write)
            else:
                chunk.add(index, write, statement)
        outcomes |= self._carry_out(chunk, apply)
        return [outcomes[index] for index in range(len(writes))]

    def _carry_out(self, chunk: _Chunk, apply: Apply) -> Outcomes:
        outcomes: Outcomes = {}
        met: list[int] = []
        lost = False
        pending = dict(chunk.members)
        for attempt in range(_MOST_ROUNDS if pending else 0):
            self._pause(attempt)
            request = {"Statements": [statement.request for _, statement in pending.values()]}
            try:
                answer = self._call("BatchExecuteStatement", request)
            except (Unavailable, Refused) as error:
                outcomes |= dict.fromkeys(pending, error)
                break
            lost = lost or was_repeated(answer)
            for index, response in zip(list(pending), answer["Responses"], strict=True):
                failed = response.get("Error")
                if failed is None:
                    stored = pending.pop(index)[1].inserted or items.load_map(response["Item"])
                    outcomes[index] = stored
                elif failed["Code"] in (_CONDITION_FAILED, _DUPLICATE):
                    met.append(index)
                    del pending[index]
                elif failed["Code"] in _TRANSIENT:
                    lost = True  # an internal error of DynamoDB does not say whether the write was carried out
                    outcomes[index] = Unavailable(_message(failed))
                else:
                    outcomes[index] = Rejected(_message(failed), failed["Code"])
                    del pending[index]
            if not pending:
                break
        return outcomes | self._meet({index: chunk.members[index][0] for index in met}, apply, lost=lost)

    def _meet(self, met: dict[int, Write[Any]], apply: Apply, *, lost: bool) -> Outcomes:
        """Find out what the failed condition of each write met."""
        outcomes: Outcomes = {}
        conflicts: dict[int, Write[Any]] = {}
        for index, write in met.items():
            if len(write.when) > 1:  # an `INSERT` that stands for one of several cases
                outcomes[index] = _outcome(apply, write)
            else:
                conflicts[index] = write
        if not conflicts:
            return outcomes
        try:
            raw_items = self.read(write.id for write in conflicts.values())
        except (Unavailable, Refused) as error:
            return outcomes | dict.fromkeys(conflicts, error)
        there: dict[str, Item] = {raw["id"]["S"]: items.load_map(raw) for raw in raw_items}
        for index, write in conflicts.items():
            item = there.get(write.id)
            if lost and item is not None and is_carried_out(write, item):
                outcomes[index] = item
            else:
                outcomes[index] = Conflict(item)
        return outcomes

    def _pause(self, attempt: int) -> None:
        if attempt:
            self._clock.sleep(self._rng.uniform(0, _BACKOFF_BASE * 2**attempt))


class _Chunk:
    """The members of one batch: statements on different items, by the places of their writes."""

    def __init__(self) -> None:
        self.members: dict[int, tuple[Write[Any], Statement]] = {}
        self.ids: set[str] = set()

    def __len__(self) -> int:
        return len(self.members)

    def add(self, index: int, write: Write[Any], statement: Statement) -> None:
        self.members[index] = (write, statement)
        self.ids.add(write.id)


def _outcome(apply: Apply, write: Write[Any]) -> Any:
    try:
        return apply(write)
    except (Conflict, Unavailable, Refused) as error:
        return error


def _message(error: dict[str, Any]) -> str:
    return f"BatchExecuteStatement: {error['Code']}: {error.get('Message', '')}"
