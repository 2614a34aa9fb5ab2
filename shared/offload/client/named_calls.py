"""Which ids and keys the calls of one bulk have, so that two calls of one name are noticed before anything is sent.

The names are in a database in a temporary file, so a million of them need no more memory than a thousand.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from offload.core.enqueueing.bulk import ClashingCall
from offload.core.errors import Refused
from offload.core.jobs.arguments import canonical
from offload.core.jobs.idempotency_keys import compared

if TYPE_CHECKING:
    import sqlite3

    from offload.core.enqueueing.bulk import IdPrefix
    from offload.core.enqueueing.options import CheckedOptions
    from offload.core.enqueueing.request import EnqueueRequest

_FIND = "SELECT call, arguments, whole FROM named WHERE kind = ? AND name = ?"
_KEEP = "INSERT INTO named VALUES (?, ?, ?, ?, ?)"
_MAKE = (
    "CREATE TABLE named (kind TEXT, name TEXT, call INTEGER, arguments BLOB, whole BLOB, PRIMARY KEY (kind, name)) "
    "WITHOUT ROWID"
)


class NamedCalls:
    """The ids and keys of the calls of one bulk that were seen so far."""

    def __init__(self, prefix: IdPrefix) -> None:
        """Begin without names; the file is made for the first of them."""
        self._prefix = prefix
        self._database: sqlite3.Connection | None = None

    def add(self, index: int, request: EnqueueRequest) -> int | None:
        """Add a call.

        Returns:
            The first call of the same key, or else the call of the same id, which is the same call. None when there is
            none.

        Raises:
            ClashingCall: An earlier call has the same id and differs, or the same key and other arguments.
            PayloadError: The payload cannot be written as JSON.
            Refused: The disk is full.
        """
        options = request.options
        if options.id is None and options.key is None:
            return None
        arguments = _digest(compared(request.task, request.payload))
        whole = _digest(_text(options)) + arguments
        of_id = self._of_id(index, options.id, whole) if options.id is not None else None
        of_key = self._of_key(options, arguments) if options.key is not None else None
        if options.id is not None and of_id is None:
            self._keep("id", options.id, index, arguments, whole)
        if options.key is not None and of_key is None:
            self._keep("key", options.key, index, arguments, whole)
        return of_key if of_key is not None else of_id

    def _of_id(self, index: int, job_id: str, whole: bytes) -> int | None:
        place = self._prefix.index_of(job_id)
        if place is not None and place != index:
            raise ClashingCall(
                f"id={job_id!r} is the id that the id prefix gives to", place, ": give this one another id"
            )
        found = self._find("id", job_id)
        if found is not None and found[2] != whole:
            raise ClashingCall(f"id={job_id!r} is that of", found[0], ", which differs: give each job an id of its own")
        return None if found is None else found[0]

    def _of_key(self, options: CheckedOptions, arguments: bytes) -> int | None:
        found = self._find("key", str(options.key))
        if found is not None and found[1] != arguments and not options.key_may_differ:
            fix = ", which has other arguments: use another key, or say key_may_differ=True to get the job of that one"
            raise ClashingCall(f"key={options.key!r} is that of", found[0], fix)
        return None if found is None else found[0]

    def _find(self, kind: str, name: str) -> tuple[int, bytes, bytes] | None:
        if self._database is None:
            return None
        found: tuple[int, bytes, bytes] | None = self._database.execute(_FIND, (kind, name)).fetchone()
        return found

    def _keep(self, kind: str, name: str, index: int, arguments: bytes, whole: bytes) -> None:
        import sqlite3  # most calls have no names

        try:
            if self._database is None:
                self._database = sqlite3.connect("", isolation_level=None)  # a file of its own, deleted by `close`
                self._database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_MAKE}")
            self._database.execute(_KEEP, (kind, name, index, arguments, whole))
        except sqlite3.OperationalError as error:
            msg = f"the ids and keys of the calls cannot be kept: {error}; set TMPDIR to a folder with room"
            raise Refused(msg) from error

    def close(self) -> None:
        """Delete the file."""
        if self._database is not None:
            self._database.close()


def _text(options: CheckedOptions) -> str:
    return canonical({name: str(value) for name, value in options.given().items()})


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
