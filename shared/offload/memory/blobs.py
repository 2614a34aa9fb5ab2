"""Large payloads and results in memory, and whatever else lies in the stack's bucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from offload.core.errors import Refused
from offload.core.ports import LARGEST_BLOB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from offload.core.clock import Clock
    from offload.core.records import BlobReference

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """An object in the bucket.

    Attributes:
        data: Its bytes.
        stored_at: When it was stored, epoch milliseconds.
        headers: What was stored with it, such as `content-type`, as HTTP headers in lower case.
    """

    data: bytes
    stored_at: int
    headers: Mapping[str, str] = field(default_factory=dict)


class MemoryBlobs:
    """`Blobs` in memory.

    Attributes:
        days_kept: Called with a key. Returns how many days the bucket's lifecycle rules keep such an object; None for
            ever. Like S3, the bucket deletes an object at the first midnight (UTC) after that.
    """

    def __init__(self, bucket: str = "memory", clock: Clock | None = None) -> None:
        """Start without any blob; without a clock, blobs never expire."""
        self._bucket = bucket
        self._clock = clock
        self._blobs: dict[str, StoredBlob] = {}
        self.days_kept: Callable[[str], int | None] = _for_ever

    @property
    def bucket(self) -> str:
        """Name of the bucket that `put` writes to."""
        return self._bucket

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`.

        Raises:
            Refused: The bytes are more than `LARGEST_BLOB`.
        """
        if len(data) > LARGEST_BLOB:
            raise Refused(f"{len(data)} bytes are more than the {LARGEST_BLOB} that a payload or a result may have")
        self.store(key, data, {})
        return {"bucket": self.bucket, "key": key}

    def store(self, key: str, data: bytes, headers: Mapping[str, str]) -> None:
        """Store bytes of any number, as other programs do."""
        self._blobs[key] = StoredBlob(bytes(data), self._now(), headers)

    def get(self, ref: BlobReference, *, most_bytes: int = LARGEST_BLOB) -> bytes:
        """Read at most `most_bytes`.

        Raises:
            Refused: No blob has this key, it has expired, or it is larger.
        """
        blob = self.find(ref["key"]) if ref.get("bucket") == self.bucket and "key" in ref else None
        if blob is None:
            raise Refused(f"nothing is stored at {ref.get('bucket')}/{ref.get('key')}")
        if len(blob.data) > most_bytes:
            raise Refused(f"{ref['bucket']}/{ref['key']} has {len(blob.data)} bytes; at most {most_bytes} are read")
        return blob.data

    def find(self, key: str) -> StoredBlob | None:
        """Return a blob, unless it is not there or has expired."""
        blob = self._blobs.get(key)
        if blob is not None and self._is_over(key, blob):
            del self._blobs[key]
            return None
        return blob

    def delete(self, key: str) -> None:
        """Delete a blob, if it is there."""
        self._blobs.pop(key, None)

    def keys(self) -> list[str]:
        """Return the keys of all blobs, sorted."""
        return [key for key in sorted(self._blobs) if self.find(key) is not None]

    def __iter__(self) -> Iterator[tuple[str, StoredBlob]]:
        """Yield each key and its blob, sorted by key in the order of their bytes, as S3 lists them."""
        for key in sorted(self.keys(), key=str.encode):
            yield key, self._blobs[key]

    def _is_over(self, key: str, blob: StoredBlob) -> bool:
        days = self.days_kept(key)
        return days is not None and self._now() >= -(-(blob.stored_at + days * _DAY_MS) // _DAY_MS) * _DAY_MS

    def _now(self) -> int:
        return 0 if self._clock is None else self._clock.now()


def _for_ever(_key: str) -> None:
    """Keep every object: the default of `MemoryBlobs.days_kept`."""
