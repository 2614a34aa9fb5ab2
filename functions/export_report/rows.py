"""The sources of rows: a DynamoDB table, or an object in S3 with JSON lines. One page or line is read at a time."""

from __future__ import annotations

import functools
import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from functions import permanent_on, s3, sdk, unreadable
from offload import Permanent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    Progress = Callable[..., None]
    Row = dict[str, Any]

LONGEST_LINE = 4_000_000  # bytes; ten times the largest DynamoDB item
_PROGRESS_EVERY = 500  # lines between two reports of progress
_BUFFER = 1024 * 1024


@functools.cache
def dynamodb() -> DynamoDBClient:
    """Return the DynamoDB client."""
    import boto3

    return boto3.client("dynamodb", config=sdk())


def table_rows(table: str, columns: Sequence[str], progress: Progress) -> Iterator[Row]:
    """Yield the columns of every item, and read one page of 1 MB after the other.

    Raises:
        Permanent: The table does not exist or may not be scanned.
    """
    from boto3.dynamodb.types import TypeDeserializer

    read = TypeDeserializer().deserialize
    names = {f"#c{number}": column for number, column in enumerate(dict.fromkeys(columns))}
    pages = (
        dynamodb()
        .get_paginator("scan")
        .paginate(TableName=table, ProjectionExpression=",".join(names), ExpressionAttributeNames=names)
    )
    missing = f"table {table!r} does not exist, or the task's role may not scan it"
    done = 0
    with permanent_on(dict.fromkeys(("ResourceNotFoundException", "AccessDeniedException"), missing)):
        for page in pages:
            for item in page["Items"]:
                yield {name: read(value) for name, value in item.items()}
            done += len(page["Items"])
            progress(done, stage="rows")


def json_lines(bucket: str, key: str, progress: Progress) -> Iterator[Row]:
    """Open an object now, and yield the JSON object on each of its lines later; empty lines are skipped.

    Raises:
        Permanent: The object does not exist or may not be read, or a line is not a JSON object. The message names the
            number of the line.
    """
    with permanent_on(unreadable(bucket, key)):
        found = s3().get_object(Bucket=bucket, Key=key)
    body = cast("io.RawIOBase", found["Body"])  # the type stub does not say that the body is a raw file
    return _read_lines(io.BufferedReader(body, _BUFFER), found["ContentLength"], progress)


def _read_lines(body: io.BufferedReader, size: int, progress: Progress) -> Iterator[Row]:
    done = 0
    with body:
        for number, line in enumerate(iter(lambda: body.readline(LONGEST_LINE), b""), start=1):
            done += len(line)
            if number % _PROGRESS_EVERY == 0:
                progress(done, size, stage="bytes")
            if len(line) == LONGEST_LINE and not line.endswith(b"\n"):
                raise Permanent(f"line {number} is longer than {LONGEST_LINE} bytes")
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_float=Decimal)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                raise Permanent(f"line {number} is not a JSON object")
            yield row
    progress(done, size, stage="bytes")
