"""Remove what is too old from the stack's bucket, every night."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field

from functions import permanent_on, s3, stack
from offload import Allow, Cron, Permanent, Retry, current_job, task
from offload.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, ObjectTypeDef

PREFIXES = ("exports/", "uploads/")  # all that may ever be cleaned; payloads and results of jobs are not among it
PAGE = 1000  # what one list or delete request takes
SPARE = 30  # seconds before the soft limit at which no further page is begun


def cleanable(prefix: str) -> str:
    """Return the prefix if it lies in one of `PREFIXES`.

    Raises:
        ValueError: It is empty or lies elsewhere.
    """
    if not prefix.startswith(PREFIXES):
        raise ValueError(f"prefix={prefix!r} must begin with one of {', '.join(PREFIXES)}: nothing else may be cleaned")
    return prefix


Prefix = Annotated[str, AfterValidator(cleanable)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Cleanup(BaseModel):
    """What a run removed.

    Attributes:
        deleted: Objects removed, or in a dry run those that would be.
        bytes: Their size together.
        more_left: The run stopped before the end of the listing, so there may be more; the next run goes on.
        dry_run: Nothing was removed.
    """

    deleted: int
    bytes: int
    more_left: bool
    dry_run: bool


class CleanupError(Exception):
    """S3 kept some of the objects; tried again."""


@task(
    retry=Retry(max_attempts=3, base="1m", cap="10m"),
    timeout="15m",
    batch_size=1,
    max_concurrency=2,
    schedules=(Cron("0 3 * * *", payload={"prefix": "exports/", "older_than_days": 30}),),
    allow=(
        Allow(("s3:ListBucket",), ("{bucket}",), {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in PREFIXES]}}),
        Allow(("s3:DeleteObject",), tuple(f"{{bucket}}/{prefix}*" for prefix in PREFIXES)),
    ),
)
def cleanup_expired(
    prefix: Prefix,
    older_than_days: Days,
    dry_run: bool = False,  # noqa: FBT001, FBT002 - a payload's fields are passed by name
    most_objects: Count = 100_000,
) -> Cleanup:
    """Delete objects under a prefix that were last written more than `older_than_days` days ago.

    It can be repeated at any time: what is gone is not listed again. In a versioned bucket a deletion hides the
    object, and the bucket's lifecycle rule removes the version. Where no count, bound or dry run is wanted, such a rule
    does all of this alone.

    Args:
        prefix: Within `PREFIXES`.
        older_than_days: Days, at least 1.
        dry_run: Only count.
        most_objects: Stop after this many.

    Raises:
        Permanent: The prefix may not be cleaned, or the role lacks the right.
        CleanupError: S3 did not delete some objects.
    """
    try:
        cleanable(prefix)
    except ValueError as error:
        raise Permanent(str(error)) from error
    bucket, job = stack().bucket, current_job()
    limit = SystemClock().now() / 1000 - timedelta(days=older_than_days).total_seconds()
    deleted = size = looked = 0
    more_left = False
    listing = s3().get_paginator("list_objects_v2")
    with permanent_on({"AccessDenied": f"the task's role may not clean {prefix}", "NoSuchBucket": "no such bucket"}):
        for page in listing.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE}):
            if deleted == most_objects or job.remaining < SPARE or job.cancelled:
                more_left = True
                break
            found = page.get("Contents", [])
            expired = [item for item in found if item["LastModified"].timestamp() < limit]
            chosen = expired[: most_objects - deleted]
            if chosen and not dry_run:
                _delete(bucket, chosen)
            looked += len(found)
            deleted += len(chosen)
            size += sum(item["Size"] for item in chosen)
            job.progress(looked, stage=f"{deleted} expired")
            if len(chosen) < len(expired):
                more_left = True
                break
    return Cleanup(deleted=deleted, bytes=size, more_left=more_left, dry_run=dry_run)


def _delete(bucket: str, items: Sequence[ObjectTypeDef]) -> None:
    keys: list[ObjectIdentifierTypeDef] = [{"Key": item["Key"]} for item in items]
    answer = s3().delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    refused = answer.get("Errors", [])
    if not refused:
        return
    codes = sorted({error.get("Code", "unknown") for error in refused})
    said = f"S3 kept {len(refused)} of {len(items)} objects: {', '.join(codes)}"
    raise Permanent(said) if codes == ["AccessDenied"] else CleanupError(said)
