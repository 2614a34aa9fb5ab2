"""Export rows to a CSV file in S3. The memory needed does not depend on the number of rows."""

from __future__ import annotations

import io
import os
import re
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from functions import from_deployer, permanent_on, s3, stack
from offload import Allow, DefinitionError, Permanent, Retry, current_job, task

from .csvfile import CsvFile
from .rows import json_lines, table_rows

SOURCES, EXPORTS = "uploads/", "exports/"
TABLES = "OFFLOAD_EXPORT_TABLES"
TABLE_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}")
PART = 8 * 1024 * 1024  # bytes of a part of the upload; S3 allows 10,000 parts, so a file has at most 80 GB

Destination = Annotated[str, Field(pattern=f"^{EXPORTS}.+", max_length=900)]
Columns = Annotated[list[str], Field(min_length=1, max_length=500)]


class Table(BaseModel):
    """All items of a DynamoDB table, in no particular order.

    An export needs every item, so it scans the table, one page of 1 MB after the other, with eventually consistent
    reads. AWS bills half a read unit for each 4 KB of the table, however many columns are exported.

    Attributes:
        name: Name of the table, which the variable `OFFLOAD_EXPORT_TABLES` of the deployment must have in its list.
    """

    kind: Literal["table"] = "table"
    name: Annotated[str, Field(pattern=f"^{TABLE_NAME.pattern}$")]


class JsonLines(BaseModel):
    """An object in S3 with one JSON object on each line.

    Attributes:
        key: Key of the object, under `uploads/`.
        bucket: Name of the bucket; None for the stack's bucket. Any other bucket also needs a statement in `allow`.
    """

    kind: Literal["json_lines"] = "json_lines"
    key: Annotated[str, Field(pattern=f"^{SOURCES}.+", max_length=1024)]
    bucket: str | None = None


class Report(BaseModel):
    """The file that was written.

    Attributes:
        key: Key of the file in the bucket.
        rows: Number of rows, without the header.
        bytes: Size of the file.
    """

    key: str
    rows: int
    bytes: int


def exportable() -> list[str]:
    """Return the names of the tables that the deployment allows to be exported, from a comma-separated list.

    Raises:
        DefinitionError: A name is none of a table. A `*` in the role's ARN would reach every table.
    """
    names = [name for name in (part.strip() for part in os.environ.get(TABLES, "").split(",")) if name]
    for name in names:
        if not TABLE_NAME.fullmatch(name):
            raise DefinitionError(f"{TABLES}: {name!r} must be the name of a table: letters, digits and _ . -")
    return names


@task(
    retry=Retry(max_attempts=3, base="30s", cap="5m"),
    timeout="15m",
    batch_size=1,  # one export may need the whole time of an invocation
    max_concurrency=5,
    memory=512,
    environment=from_deployer(TABLES),
    allow=(
        *(
            Allow(("dynamodb:Scan",), ("arn:{partition}:dynamodb:{region}:{account}:table/" + name,))
            for name in exportable()
        ),
        Allow(("s3:GetObject",), ("{bucket}/" + SOURCES + "*",)),
        Allow(("s3:PutObject", "s3:AbortMultipartUpload"), ("{bucket}/" + EXPORTS + "*",)),
    ),
)
def export_report(
    source: Annotated[Table | JsonLines, Field(discriminator="kind")],
    columns: Columns,
    destination: Destination,
    guard_formulas: bool = True,
    bucket: str | None = None,
) -> Report:
    """Write the columns of every row to a CSV file (RFC 4180, UTF-8, with a header).

    No table can be exported unless the deploying shell names it in `OFFLOAD_EXPORT_TABLES`, and the job table never: it
    has the results and message handles of all tenants. `offload jobs list --json` shows jobs to operators.

    The complete file appears at the end of the upload; a failed upload is aborted and leaves no file. A repeated run
    writes the file again. Progress counts the rows of a table, or the bytes of an object with JSON lines.

    Args:
        source: Source of the rows.
        columns: Top-level attributes, in the order of the columns. A row without an attribute gets an empty cell.
        destination: Key of the file, under `exports/`.
        guard_formulas: Put a `'` before texts that a spreadsheet would run as a formula.
        bucket: Bucket of the file; None for the stack's bucket. Any other bucket also needs a statement in `allow`.

    Raises:
        Permanent: The source is missing, not allowed or may not be read, or a line is not a JSON object.
    """
    from boto3.s3.transfer import TransferConfig

    target = bucket or stack().bucket
    progress = current_job().progress
    if isinstance(source, Table):
        rows = table_rows(_allowed(source.name), columns, progress)
    else:
        rows = json_lines(source.bucket or stack().bucket, source.key, progress)
    file = CsvFile(columns, rows, guard=guard_formulas)
    unwritable = f"s3://{target}/{destination} may not be written by the task's role, or its bucket does not exist"
    with permanent_on(dict.fromkeys(("AccessDenied", "NoSuchBucket"), unwritable)):
        # Without threads the parts are uploaded one by one, so that only one of them is in memory. boto3 aborts the
        # upload on any error.
        s3().upload_fileobj(
            io.BufferedReader(file),
            target,
            destination,
            ExtraArgs={"ContentType": "text/csv; charset=utf-8"},
            Config=TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False),
        )
    return Report(key=destination, rows=file.rows, bytes=file.size)


def _allowed(table: str) -> str:
    """Return the name of a table that may be exported.

    Raises:
        Permanent: The deployment does not allow it.
    """
    if table == stack().table:
        raise Permanent("the job table is not exported: it has the results of all tenants")
    if table not in exportable():
        raise Permanent(f"table {table!r} may not be exported: deploy with its name in {TABLES}")
    return table
