"""Large payloads and results in memory."""

from __future__ import annotations

from offload.core.errors import Refused


class MemoryBlobs:
    """`Blobs` in memory."""

    def __init__(self, bucket: str = "memory") -> None:
        """Start empty."""
        self._bucket = bucket
        self._blobs: dict[str, bytes] = {}

    def put(self, key: str, data: bytes) -> dict[str, str]:
        """Store bytes and return their reference: `bucket` and `key`."""
        self._blobs[key] = bytes(data)
        return {"bucket": self._bucket, "key": key}

    def get(self, ref: dict[str, str]) -> bytes:
        """Read bytes.

        Raises:
            Refused: Nothing is there.
        """
        if ref.get("bucket") != self._bucket or ref.get("key") not in self._blobs:
            raise Refused(f"nothing is stored at {ref.get('bucket')}/{ref.get('key')}")
        return self._blobs[ref["key"]]

    def keys(self) -> list[str]:
        """Return what is stored, sorted: what a test looks at."""
        return sorted(self._blobs)
