"""Requests for tasks that a program names and does not import, checked as `.delay()` checks those it imports."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from offload.core.enqueueing.payload_schema import PayloadSchema
from offload.core.enqueueing.request import EnqueueRequest
from offload.core.errors import PayloadError, Refused, Unavailable, UnknownTask

if TYPE_CHECKING:
    from offload.client.connection import Connector
    from offload.core.enqueueing.options import CheckedOptions
    from offload.core.manifest import Manifest


class NamedTasks:
    """The tasks of a stack, by their names."""

    def __init__(self, connector: Connector) -> None:
        """Keep where the manifest comes from."""
        self._connector = connector
        self._schemas: dict[str, tuple[dict[str, Any], PayloadSchema]] = {}

    def request(self, task: str, payload: dict[str, Any], options: CheckedOptions) -> EnqueueRequest:
        """Check a job; see `Client.request`."""
        if not isinstance(payload, dict):
            raise PayloadError(f"payload must be an object with the arguments by name, not {type(payload).__name__}")
        known = self._connector.connection()
        try:
            return self._request(known.manifest, task, payload, options)
        except (UnknownTask, PayloadError) as wrong:
            try:
                newer = self._connector.look_again(known)
            except (Unavailable, Refused):
                if isinstance(wrong, UnknownTask):
                    raise  # the manifest that nobody can read may have the task
                raise wrong from None
            if newer is known:
                raise
        return self._request(newer.manifest, task, payload, options)

    def _request(
        self, manifest: Manifest, task: str, payload: dict[str, Any], options: CheckedOptions
    ) -> EnqueueRequest:
        entry = manifest.task(task)
        if options.expires is None and "expires" in entry:
            options = replace(options, expires=entry["expires"])
        return EnqueueRequest(task, self._schema(task, entry.get("schema", {})).write(payload), options)

    def _schema(self, task: str, schema: dict[str, Any]) -> PayloadSchema:
        """Return the check of a schema, which is made once."""
        made = self._schemas.get(task)
        if made is None or made[0] is not schema:
            made = self._schemas[task] = (schema, PayloadSchema(task, schema))
        return made[1]
