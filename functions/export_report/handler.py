"""Export rows to a CSV file in S3, in flat memory however many there are."""

from __future__ import annotations

import io
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions import permanent_on, s3, stack
from offload import Allow, Retry, current_job, task

from .csvfile import CsvFile
from .rows import json_lines, table_rows

SOURCES, EXPORTS = "uploads/", "exports/"
TABLES = ("{table}",)  # ARNs of the tables that may be exported: the stack's jobs; add yours
PART = 8 * 1024 * 1024  # S3 takes 5 MB to 5 GB a part, and 10,000 parts: files of up to 80 GB

Destination = Annotated[str, Field(pattern=f"^{EXPORTS}.+", max_length=900)]
Columns = Annotated[list[str], Field(min_length=1, max_length=500)]


class Table(BaseModel):
    """All items of a DynamoDB table, in no particular order.

    An export needs every item, which is what a Scan is for; it reads one page of 1 MB after the other, eventually
    consistent, and bills half a read unit for each 4 KB of the table, whichever columns are taken.

    Attributes:
        name: None takes the stack's job table; any other must be listed in `TABLES`.
    """

    kind: Literal["table"] = "table"
    name: str | None = None


class JsonLines(BaseModel):
    """An object in S3 with one JSON object a line.

    Attributes:
        key: Under `uploads/`.
        bucket: None takes the stack's; any other also needs a statement in `allow`.
    """

    kind: Literal["json_lines"] = "json_lines"
    key: Annotated[str, Field(pattern=f"^{SOURCES}.+", max_length=1024)]
    bucket: str | None = None


class Report(BaseModel):
    """The file that was written.

    Attributes:
        key: Where in the bucket.
        rows: Without the header.
        bytes: Size of the file.
    """

    key: str
    rows: int
    bytes: int


@task(
    retry=Retry(max_attempts=3, base="30s", cap="5m"),
    timeout="15m",
    batch_size=1,  # an export may need all its time
    max_concurrency=5,
    memory=512,
    allow=(
        Allow(("dynamodb:Scan",), TABLES),
        Allow(("s3:GetObject",), ("{bucket}/" + SOURCES + "*",)),
        Allow(("s3:PutObject", "s3:AbortMultipartUpload"), ("{bucket}/" + EXPORTS + "*",)),
    ),
)
def export_report(
    source: Annotated[Table | JsonLines, Field(discriminator="kind")],
    columns: Columns,
    destination: Destination,
    guard_formulas: bool = True,  # noqa: FBT001, FBT002 - a payload's fields are passed by name
    bucket: str | None = None,
) -> Report:
    """Write the columns of every row to a CSV file (RFC 4180, UTF-8, with a header).

    The file appears whole at the end or not at all: a failed upload is aborted. A repeated run writes it again.
    Progress counts rows of a table, and bytes of a JSON lines object.

    Args:
        source: Where the rows come from.
        columns: Top-level attributes in the order of the file; a row without one has an empty cell.
        destination: Key under `exports/`.
        guard_formulas: Put a `'` before texts that a spreadsheet would run as a formula.
        bucket: Of the destination; None takes the stack's, any other also needs a statement in `allow`.

    Raises:
        Permanent: The source is missing or may not be read, or a line is not a JSON object.
    """
    from boto3.s3.transfer import TransferConfig

    target = bucket or stack().bucket
    progress = current_job().progress
    if isinstance(source, Table):
        rows = table_rows(source.name or stack().table, columns, progress)
    else:
        rows = json_lines(source.bucket or stack().bucket, source.key, progress)
    file = CsvFile(columns, rows, guard=guard_formulas)
    unwritable = f"s3://{target}/{destination} may not be written by the task's role, or its bucket does not exist"
    with permanent_on(dict.fromkeys(("AccessDenied", "NoSuchBucket"), unwritable)):
        # Without threads the parts go out one by one, so no more than one is held; s3transfer aborts on any error.
        s3().upload_fileobj(
            io.BufferedReader(file),
            target,
            destination,
            ExtraArgs={"ContentType": "text/csv; charset=utf-8"},
            Config=TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False),
        )
    return Report(key=destination, rows=file.rows, bytes=file.size)
