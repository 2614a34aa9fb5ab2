"""What a task finds around it in a deployed function, and finds in a pipeline too: its environment, and the bucket."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from offload.aws.interception import s3_answered
from offload.memory.s3 import MemoryS3, S3Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.core.manifest import Manifest
    from offload.memory.blobs import MemoryBlobs

MANIFEST = "OFFLOAD_MANIFEST"

_ADDED = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
"""Set where no credentials are: boto3 signs each request, also one that never leaves the process."""


@contextmanager
def surrounded(manifest: Manifest, blobs: MemoryBlobs) -> Iterator[None]:
    """Let the block see the environment of a deployed function, and the bucket through boto3.

    Args:
        manifest: Of the stack; `write_manifest` writes it again when it has changed.
        blobs: The stack's bucket.
    """
    names = (MANIFEST, "AWS_REGION", "AWS_DEFAULT_REGION", *_ADDED)
    before = {name: os.environ.get(name) for name in names}
    bucket = MemoryS3(blobs)
    with s3_answered(lambda request: bucket.answer(S3Request(*request))):
        write_manifest(manifest)
        region = before["AWS_REGION"] or before["AWS_DEFAULT_REGION"] or manifest.region
        os.environ.update(AWS_REGION=region, AWS_DEFAULT_REGION=before["AWS_DEFAULT_REGION"] or region)
        if "AWS_PROFILE" not in os.environ:
            for name, value in _ADDED.items():
                os.environ.setdefault(name, value)
        try:
            yield
        finally:
            for name, former in before.items():
                if former is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = former


def write_manifest(manifest: Manifest) -> None:
    """Write the manifest to the environment, as a deployment does for its functions."""
    os.environ[MANIFEST] = manifest.dump()
