"""The app's tasks, one folder each, and what they share: defaults, and the way to the stack's bucket."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from offload import Permanent, Retry, defaults
from offload.core.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

# Five attempts, spread over up to five minutes, outlast a throttle or a brief outage of what the task calls.
defaults(retry=Retry(max_attempts=5, base="20s", cap="10m"), timeout="1m", batch_size=10, max_concurrency=10)


def from_deployer(*names: str) -> dict[str, str]:
    """Return those of the named variables that the deploying shell sets, for a task's `environment`."""
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def stack() -> Manifest:
    """Return what the stack is made of, such as `stack().bucket`; the deploy leaves it in the environment.

    Raises:
        Permanent: Not inside a deployed function: give the bucket or table as an argument instead.
    """
    text = os.environ.get("OFFLOAD_MANIFEST")
    if not text:
        raise Permanent("OFFLOAD_MANIFEST is not set: outside a deployed stack, name the bucket or table")
    return Manifest.load(text)


def sdk(attempts: int = 3) -> Config:
    """Return the AWS SDK's settings: waits well below a task's limits, and few hidden tries, since jobs retry."""
    from botocore.config import Config

    return Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": attempts})


@functools.cache
def s3() -> S3Client:
    """Return the S3 client, made at the first job: importing a task loads no SDK."""
    import boto3

    return boto3.client("s3", config=sdk())


@contextmanager
def permanent_on(reasons: Mapping[str, str]) -> Iterator[None]:
    """Turn AWS errors that no further attempt can help into `Permanent`; all others pass and are retried.

    Args:
        reasons: What to say, by AWS error code.
    """
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in reasons:
            raise Permanent(f"{reasons[code]} ({code})") from error
        raise


def unreadable(bucket: str, key: str) -> dict[str, str]:
    """Return reasons for `permanent_on` when an object is read.

    S3 answers 403 for a missing key too, since no task may list the whole bucket.
    """
    reason = f"s3://{bucket}/{key} does not exist, or the task's role may not read it"
    return dict.fromkeys(("NoSuchKey", "404", "403", "AccessDenied", "NoSuchBucket", "InvalidObjectState"), reason)
