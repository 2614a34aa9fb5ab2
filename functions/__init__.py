"""The tasks of the app, one folder for each, and the functions and defaults that all tasks share."""

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

# Five attempts take up to five minutes, which is longer than a throttle or a brief outage of a service.
defaults(retry=Retry(max_attempts=5, base="20s", cap="10m"), timeout="1m", batch_size=10, max_concurrency=10)


def from_deployer(*names: str) -> dict[str, str]:
    """Return the variables of these names that the deploying shell sets, for a task's `environment`."""
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def stack() -> Manifest:
    """Return the manifest of the stack, which the deployment writes to the environment; see `stack().bucket`.

    Raises:
        Permanent: The caller does not run in a deployed function. Name the bucket or table in the arguments instead.
    """
    text = os.environ.get("OFFLOAD_MANIFEST")
    if not text:
        raise Permanent("OFFLOAD_MANIFEST is not set: outside a deployed stack, name the bucket or table")
    return Manifest.load(text)


def sdk(attempts: int = 3) -> Config:
    """Return settings for the AWS SDK.

    The timeouts are shorter than the time limits of the tasks. The SDK makes few attempts, because jobs are retried.

    Args:
        attempts: The largest number of attempts of one request.
    """
    from botocore.config import Config

    return Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": attempts})


@functools.cache
def s3() -> S3Client:
    """Return the S3 client. The first call creates it, so that importing a task loads no AWS SDK."""
    import boto3

    return boto3.client("s3", config=sdk())


@contextmanager
def permanent_on(reasons: Mapping[str, str]) -> Iterator[None]:
    """Turn AWS errors that a further attempt cannot avoid into `Permanent`; other errors are raised unchanged.

    Args:
        reasons: The reason to record, by AWS error code.
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

    S3 answers 403 for a missing key too, because tasks may not list the bucket.
    """
    reason = f"s3://{bucket}/{key} does not exist, or the task's role may not read it"
    return dict.fromkeys(("NoSuchKey", "404", "403", "AccessDenied", "NoSuchBucket", "InvalidObjectState"), reason)
