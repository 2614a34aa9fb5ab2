"""Large payloads and results in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.core.errors import Refused

if TYPE_CHECKING:
    from offload.core.records import BlobReference


class MemoryBlobs:
    """`Blobs` in memory."""

    def __init__(self, bucket: str = "memory") -> None:
        """Start without any blob."""
        self._bucket = bucket
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`."""
        self._blobs[key] = bytes(data)
        return {"bucket": self._bucket, "key": key}

    def get(self, ref: BlobReference) -> bytes:
        """Read bytes.

        Raises:
            Refused: No blob has this key.
        """
        if ref.get("bucket") != self._bucket or ref.get("key") not in self._blobs:
            raise Refused(f"nothing is stored at {ref.get('bucket')}/{ref.get('key')}")
        return self._blobs[ref["key"]]

    def keys(self) -> list[str]:
        """Return the keys of all blobs, sorted, for tests."""
        return sorted(self._blobs)
