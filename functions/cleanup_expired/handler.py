"""Delete old objects from the stack's bucket every night."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field

from functions import from_deployer, permanent_on, s3, stack
from offload import Allow, Cron, DefinitionError, Permanent, Retry, current_job, task
from offload.core.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, ObjectTypeDef

RULES = "OFFLOAD_CLEANUP"
DEFAULT_RULES = "exports/:30"
KEPT = ("payloads/", "results/")  # the library's own folders, for which the bucket has lifecycle rules
MEANINGFUL = frozenset("*?${}")  # characters that mean something in the ARN of a role: `*/` would reach every folder
PAGE = 1000  # objects in one list or delete request, at most
SPARE_TIME = 30  # seconds; with less time before the soft limit, no further page is begun


def rules(text: str) -> dict[str, int]:
    """Read what may be deleted, such as `exports/:30,uploads/:90`: folders, and the least age of an object in days.

    Raises:
        DefinitionError: A part has another form, names a folder of the library, or names a folder again.
    """
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        prefix, _, days = part.rpartition(":")
        if not (prefix.endswith("/") and prefix != "/" and days.isascii() and days.isdigit() and int(days) >= 1):
            raise DefinitionError(f"{RULES}: {part!r} must be a folder and days, such as {DEFAULT_RULES}")
        if prefix.startswith(KEPT):
            raise DefinitionError(f"{RULES}: {part!r} names a folder that the library empties by itself")
        if MEANINGFUL & set(prefix):
            raise DefinitionError(f"{RULES}: {part!r} names a folder with one of {' '.join(sorted(MEANINGFUL))}")
        if prefix in found:
            raise DefinitionError(f"{RULES}: {part!r} gives a second age to {prefix}: keep one of them")
        found[prefix] = int(days)
    return found


def least_age(key: str, allowed: Mapping[str, int]) -> int | None:
    """Return the days that an object is kept for by the rule of the innermost folder around it; None without a rule.

    Args:
        key: Key of an object, or a prefix.
        allowed: The rules: days by folder.
    """
    folders = [folder for folder in allowed if key.startswith(folder)]
    return allowed[max(folders, key=len)] if folders else None


def deployed_rules() -> dict[str, int]:
    """Return the rules of the deployment."""
    return rules(os.environ.get(RULES) or DEFAULT_RULES)


Prefix = Annotated[str, Field(min_length=1, max_length=900)]
Days = Annotated[int, Field(ge=1, le=36_500)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class Cleanup(BaseModel):
    """The result of a run.

    Attributes:
        deleted: Number of deleted objects; in a dry run, of the objects that would be deleted.
        bytes: Size of these objects together.
        more_left: The run stopped early, so expired objects may be left. The next run continues.
        dry_run: True when nothing was deleted.
    """

    deleted: int
    bytes: int
    more_left: bool
    dry_run: bool


class CleanupError(Exception):
    """S3 did not delete some of the objects; the job is retried."""


@task(
    retry=Retry(max_attempts=3, base="1m", cap="10m"),
    timeout="15m",
    batch_size=1,
    max_concurrency=2,
    environment=from_deployer(RULES),
    schedules=tuple(
        Cron("0 3 * * *", payload={"prefix": prefix, "older_than_days": days})
        for prefix, days in deployed_rules().items()
    ),
    allow=(
        Allow(
            "s3:ListBucket", "{bucket}", {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in deployed_rules()]}}
        ),
        Allow("s3:DeleteObject", tuple(f"{{bucket}}/{prefix}*" for prefix in deployed_rules())),
    ),
)
def cleanup_expired(
    prefix: Prefix,
    older_than_days: Days,
    dry_run: bool = False,
    most_objects: Count = 100_000,
) -> Cleanup:
    """Delete objects under a prefix that were last written more than `older_than_days` days ago.

    The variable `OFFLOAD_CLEANUP` of the deploying shell says what may be deleted: folders of the bucket, each with the
    least age of an object in days. By default it is `exports/:30`. Every night each folder is cleaned by its own rule.
    Where a folder with a rule lies within another, the rule of the innermost folder around an object decides: with
    `a/:7,a/b/:30` nothing under `a/b/` is deleted before its 30 days, whichever run meets it. A payload can choose a
    part of a folder and a higher age, and nothing else.

    The task can be repeated at any time, because S3 does not list deleted objects. In a versioned bucket a deletion
    hides the object, and a lifecycle rule of the bucket removes the hidden version. If you need no count, no limit and
    no dry run, a lifecycle rule alone can replace this task.

    Args:
        prefix: Prefix of the keys; must begin with a folder of the rules.
        older_than_days: Days, at least those of the folder's rule.
        dry_run: Count the objects and delete nothing.
        most_objects: Number of objects after which the run stops.

    Raises:
        Permanent: The rules do not allow the prefix or the age, or the task's role may not delete.
        CleanupError: S3 did not delete some objects.
    """
    allowed = deployed_rules()
    least = least_age(prefix, allowed)
    if least is None or older_than_days < least:
        known = ", ".join(f"{folder} from {days} days on" for folder, days in allowed.items())
        raise Permanent(f"prefix={prefix!r}, older_than_days={older_than_days}: may be deleted are {known} ({RULES})")
    bucket, job = stack().bucket, current_job()
    now = datetime.fromtimestamp(SystemClock().now() / 1000, UTC)

    def is_expired(item: ObjectTypeDef) -> bool:
        days = max(older_than_days, least_age(item["Key"], allowed) or 0)
        return item["LastModified"] < now - timedelta(days=days)

    deleted = size = listed = 0
    more_left = False
    paginator = s3().get_paginator("list_objects_v2")
    reasons = {
        "AccessDenied": f"the task's role may not list or delete objects under {prefix}",
        "NoSuchBucket": f"the bucket {bucket} does not exist",
    }
    with permanent_on(reasons):
        for page in paginator.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE}):
            if deleted == most_objects or job.remaining < SPARE_TIME or job.cancelled:
                more_left = True
                break
            objects = page.get("Contents", [])
            expired = [item for item in objects if is_expired(item)]
            chosen = expired[: most_objects - deleted]
            if chosen and not dry_run:
                _delete(bucket, chosen)
            listed += len(objects)
            deleted += len(chosen)
            size += sum(item["Size"] for item in chosen)
            job.progress(listed, stage=f"{deleted} expired")
            if len(chosen) < len(expired):
                more_left = True
                break
    return Cleanup(deleted=deleted, bytes=size, more_left=more_left, dry_run=dry_run)


def _delete(bucket: str, items: Sequence[ObjectTypeDef]) -> None:
    keys: list[ObjectIdentifierTypeDef] = [{"Key": item["Key"]} for item in items]
    answer = s3().delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    errors = answer.get("Errors", [])
    if not errors:
        return
    codes = sorted({error.get("Code", "unknown") for error in errors})
    message = f"S3 did not delete {len(errors)} of {len(items)} objects: {', '.join(codes)}"
    raise Permanent(message) if codes == ["AccessDenied"] else CleanupError(message)
