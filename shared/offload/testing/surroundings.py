"""What a task finds around it in a deployed function, and finds in a pipeline too: its environment, and the bucket."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from offload.aws.interception import s3_answered
from offload.core.enqueueing import producer
from offload.memory.s3 import MemoryS3, S3Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from offload.core.manifest import Manifest
    from offload.memory.blobs import MemoryBlobs

MANIFEST = "OFFLOAD_MANIFEST"

_ADDED = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
"""Set where no credentials are: boto3 signs each request, also one that never leaves the process."""


_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

_in_force: list[Manifest] = []
_before: dict[str, str | None] = {}
_producers: list[producer.Producer | None] = []
"""What was in force before the first block, and then the client of each block."""


@contextmanager
def surrounded(manifest: Manifest, blobs: MemoryBlobs) -> Iterator[None]:
    """Let the block see the environment of a deployed function, and the bucket through boto3.

    Of blocks that overlap, the last one counts, in whatever order they end.

    Args:
        manifest: Of the stack; `write_manifest` writes it again when it has changed.
        blobs: The stack's bucket.
    """
    bucket = MemoryS3(blobs)
    with s3_answered(lambda request: bucket.answer(S3Request(*request))):
        if not _in_force:
            _before.update({name: os.environ.get(name) for name in (MANIFEST, *_REGIONS, *_ADDED)})
            region = _before["AWS_REGION"] or _before["AWS_DEFAULT_REGION"] or manifest.region
            os.environ.update(AWS_REGION=region, AWS_DEFAULT_REGION=_before["AWS_DEFAULT_REGION"] or region)
            if "AWS_PROFILE" not in os.environ:
                for name, value in _ADDED.items():
                    os.environ.setdefault(name, value)
        _in_force.append(manifest)
        write_manifest()
        try:
            yield
        finally:
            _in_force[:] = [each for each in _in_force if each is not manifest]
            if _in_force:
                write_manifest()
            else:
                _restore()


@contextmanager
def producing_with(client: producer.Producer) -> Iterator[None]:
    """Let `.delay()` use a client in the block; of blocks that overlap, the last one counts."""
    before = producer.use(client)
    if not _producers:
        _producers.append(before)
    _producers.append(client)
    try:
        yield
    finally:
        _producers[:] = [_producers[0], *(each for each in _producers[1:] if each is not client)]
        producer.use(_producers[-1])
        if len(_producers) == 1:
            _producers.clear()


def write_manifest() -> None:
    """Write the manifest in force to the environment, as a deployment does for its functions."""
    os.environ[MANIFEST] = _in_force[-1].dump()


def _restore() -> None:
    for name, former in _before.items():
        if former is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = former
