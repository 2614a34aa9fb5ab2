"""Which refusals of a bucket may pass, and which may not."""

from __future__ import annotations

import pytest

from offload.aws.blobs import S3Blobs
from offload.aws.calls import Rejected
from offload.core.errors import Refused


@pytest.mark.parametrize(
    ("code", "lasting"),
    [("AccessDenied", True), ("NoSuchKey", True), ("ExpiredToken", False), ("NoSuchBucket", False)],
)
def test_what_cannot_be_read_now_is_told_from_what_may_be_gone(code, lasting):
    def call(_operation, _params):
        raise Rejected(f"GetObject: {code}", code)

    with pytest.raises(Refused, match=code) as caught:
        S3Blobs("bucket", call).get({"bucket": "bucket", "key": "k"})
    assert caught.value.lasting is lasting
