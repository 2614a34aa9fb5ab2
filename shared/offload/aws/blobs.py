"""Large payloads and results on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.aws.calls import MOST_BYTES, Rejected
from offload.core.errors import Refused
from offload.core.ports import LARGEST_BLOB

if TYPE_CHECKING:
    from offload.aws.calls import Call
    from offload.core.records import BlobReference


class S3Blobs:
    """`Blobs` on S3. The bucket's own encryption applies."""

    def __init__(self, bucket: str, call: Call | None = None, *, content_type: str = "application/json") -> None:
        """Keep the name of the bucket; nothing is called.

        Args:
            bucket: The bucket that `put` writes to. `get` reads from the bucket that the reference names, which the
                caller's role must allow.
            call: Transport to S3; None means boto3 with the ordinary configuration.
            content_type: Content type of the objects that `put` writes.
        """
        self._bucket = bucket
        self._call = call or sdk.caller("s3")
        self._content_type = content_type

    @property
    def bucket(self) -> str:
        """Name of the bucket that `put` writes to."""
        return self._bucket

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`.

        Raises:
            Refused: The bytes are more than `LARGEST_BLOB`, or access is denied.
        """
        if len(data) > LARGEST_BLOB:
            raise Refused(f"{len(data)} bytes are more than the {LARGEST_BLOB} that a payload or a result may have")
        request = {"Bucket": self._bucket, "Key": key, "Body": data, "ContentType": self._content_type}
        self._call("PutObject", request)
        return {"bucket": self._bucket, "key": key}

    def get(self, ref: BlobReference, *, most_bytes: int = LARGEST_BLOB) -> bytes:
        """Read at most `most_bytes`.

        Raises:
            Refused: No object has this key, it is larger, access is denied, or the reference does not name bucket and
                key. Of a larger object nothing is read.
        """
        bucket, key = ref.get("bucket"), ref.get("key")
        # Any producer may have written the reference, so its type is not certain.
        if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
            raise Refused("a reference must name bucket and key")
        try:
            body: bytes = self._call("GetObject", {"Bucket": bucket, "Key": key, MOST_BYTES: most_bytes})["Body"]
        except Rejected as rejected:
            if rejected.code != "AccessDenied":
                raise
            # S3 says so of an object that is not there, to whoever may not list the bucket: waiting might never end.
            raise Refused(f"{rejected} (or the object is not there)") from rejected
        return body
