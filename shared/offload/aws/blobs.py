"""Large payloads and results on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.core.errors import Refused

if TYPE_CHECKING:
    from offload.aws.calls import Call
    from offload.core.records import BlobReference


class S3Blobs:
    """`Blobs` on S3.

    Few jobs have large payloads or results, so boto3 is loaded by the first call. The bucket's own encryption applies.
    """

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

    def put(self, key: str, data: bytes) -> BlobReference:
        """Store bytes and return their reference: `bucket` and `key`."""
        request = {"Bucket": self._bucket, "Key": key, "Body": data, "ContentType": self._content_type}
        self._call("PutObject", request)
        return {"bucket": self._bucket, "key": key}

    def get(self, ref: BlobReference) -> bytes:
        """Read bytes.

        Raises:
            Refused: No object has this key, access is denied, or the reference does not name bucket and key.
        """
        bucket, key = ref.get("bucket"), ref.get("key")
        # Any producer may have written the reference, so its type is not certain.
        if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
            raise Refused("a reference must name bucket and key")
        body: bytes = self._call("GetObject", {"Bucket": bucket, "Key": key})["Body"]
        return body
