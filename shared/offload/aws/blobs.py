"""Large payloads and results on S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from offload.aws import sdk
from offload.core.errors import Refused

if TYPE_CHECKING:
    from offload.aws.calls import Call


class S3Blobs:
    """`Blobs` on S3. Few jobs need it, so boto3 is loaded by the first call; the bucket's own encryption applies."""

    def __init__(self, bucket: str, call: Call | None = None, *, content_type: str = "application/json") -> None:
        """Name the bucket.

        Args:
            bucket: Where `put` writes. `get` reads where a reference says, within what the caller's role allows.
            call: Transport to S3; None takes boto3 with the ordinary configuration.
            content_type: Of what is put.
        """
        self._bucket = bucket
        self._call = call or sdk.caller("s3")
        self._content_type = content_type

    def put(self, key: str, data: bytes) -> dict[str, str]:
        """Store bytes and return their reference: `bucket` and `key`."""
        place = {"Bucket": self._bucket, "Key": key}
        self._call("PutObject", {**place, "Body": data, "ContentType": self._content_type})
        return {"bucket": self._bucket, "key": key}

    def get(self, ref: dict[str, str]) -> bytes:
        """Read bytes.

        Raises:
            Refused: Nothing is there, access is denied, or the reference names no place.
        """
        bucket, key = ref.get("bucket"), ref.get("key")
        if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):  # a producer may have written it
            raise Refused("a reference must name bucket and key")
        body: bytes = self._call("GetObject", {"Bucket": bucket, "Key": key})["Body"]
        return body
