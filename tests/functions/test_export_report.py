import csv
import io
import json
import re
import time
import tracemalloc
from decimal import Decimal

import boto3
import pytest
from boto3.dynamodb.types import Binary
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from functions.export_report import handler, rows
from functions.export_report.csvfile import CsvFile, cell
from functions.export_report.handler import JsonLines, Report, Table, export_report
from offload import DefinitionError, PayloadError, Permanent

BUCKET = "offload-files"


def put_lines(s3, *items, raw=b""):
    body = b"".join(json.dumps(item).encode() + b"\n" for item in items) + raw
    s3.put_object(Bucket=BUCKET, Key="uploads/in.jsonl", Body=body)
    return JsonLines(key="uploads/in.jsonl")


def read(s3, key="exports/out.csv"):
    return s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()


def unfinished(s3):
    return s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])


@pytest.fixture
def table(s3, monkeypatch):
    monkeypatch.setenv("OFFLOAD_EXPORT_TABLES", "none-such, orders")
    client = boto3.resource("dynamodb")
    return client.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def test_json_lines_become_csv_in_the_order_of_the_columns(s3, job):
    source = put_lines(s3, {"b": "x", "a": 1, "c": 0}, {"a": 2.5}, {"b": 'say "hi", Bo\nnow'}, raw=b'\n{"a":"last"}')
    report = export_report(source, ["b", "a"], "exports/out.csv")
    data = read(s3)
    assert data.decode() == 'b,a\r\nx,1\r\n,2.5\r\n"say ""hi"", Bo\nnow",\r\n,last\r\n'
    assert report == Report(key="exports/out.csv", rows=4, bytes=len(data))
    head = s3.head_object(Bucket=BUCKET, Key="exports/out.csv")
    assert head["ContentType"] == "text/csv; charset=utf-8"


def test_an_empty_source_has_a_header_alone(s3, job):
    assert export_report(put_lines(s3), ["a"], "exports/out.csv") == Report(key="exports/out.csv", rows=0, bytes=3)
    assert read(s3) == b"a\r\n"


def test_a_table_is_read_page_by_page(table, s3, job):
    with table.batch_writer() as batch:
        for number in range(60):
            batch.put_item({"id": f"{number:02}", "size": number, "name": "reserved word", "blob": "x" * 50_000})
    report = export_report(Table(name="orders"), ["id", "name", "size", "id"], "exports/out.csv")
    header, *lines = csv.reader(io.StringIO(read(s3).decode()))
    assert header == ["id", "name", "size", "id"]
    assert sorted(lines) == [[f"{n:02}", "reserved word", str(n), f"{n:02}"] for n in range(60)]
    assert report.rows == 60
    assert len(job.said) > 1
    assert job.said[-1] == (60, None, "rows")


def test_every_type_of_a_table_is_written(table, s3, job):
    table.put_item(
        Item={
            "id": "1",
            "n": Decimal("-1E+3"),
            "b": Binary(b"\xf8\x00"),
            "l": [1, Decimal("2.5"), {"k": None}],
            "s": {"b", "a"},
            "t": True,
            "z": None,
        }
    )
    export_report(Table(name="orders"), ["n", "b", "l", "s", "t", "z", "none"], "exports/out.csv")
    (_, line) = csv.reader(io.StringIO(read(s3).decode()))
    assert line == ["-1000", "'+AA=", '[1,2.5,{"k":null}]', '["a","b"]', "true", "", ""]


def test_memory_stays_flat_over_a_large_input(s3, job, monkeypatch):
    count = 7_000
    line = b'{"id":%7d,"text":"' + b"x" * 10_000 + b'"}\n'
    size = len(line % 0) * count  # 70 MB in and out

    class Lines(io.RawIOBase):
        def __init__(self):
            self.number, self.rest = 0, b""

        def readable(self):
            return True

        def readinto(self, buffer):
            while len(self.rest) < len(buffer) and self.number < count:
                self.rest += b"".join(line % n for n in range(self.number, self.number + 50))
                self.number += 50
            part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)

    parts = []

    class Discarding:
        """An S3 that keeps sizes only, since moto would hold the file in this process's memory."""

        def get_object(self, **_):
            return {"Body": Lines(), "ContentLength": size}

    real = handler.s3()
    for name in ("create_multipart_upload", "complete_multipart_upload"):
        monkeypatch.setattr(real, name, lambda **_: {"UploadId": "u"})

    def upload_part(**request):
        parts.append(len(request["Body"].read()))
        return {"ETag": "e"}

    monkeypatch.setattr(real, "upload_part", upload_part)
    monkeypatch.setattr(rows, "s3", Discarding)
    tracemalloc.start()
    try:
        report = export_report(JsonLines(key="uploads/in"), ["id", "text"], "exports/out.csv")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.rows == count
    assert report.bytes == sum(parts) > 60_000_000
    assert len(parts) == 9
    assert peak < 3.5 * handler.PART  # of a file of nine parts; and the same for any number


def test_a_large_file_goes_up_in_parts_and_arrives_whole(s3, job, monkeypatch):
    monkeypatch.setattr(handler, "PART", 5 * 1024 * 1024)
    source = put_lines(s3, *({"n": n, "text": "x" * 1000} for n in range(12_000)))
    report = export_report(source, ["n", "text"], "exports/out.csv")
    data = read(s3)
    assert len(data) == report.bytes > 12_000_000
    assert [line.partition(b",")[0] for line in data.splitlines()[1:]] == [b"%d" % n for n in range(12_000)]
    assert s3.head_object(Bucket=BUCKET, Key="exports/out.csv")["ETag"].endswith('-3"')
    assert unfinished(s3) == []
    assert job.said[-1][0] == job.said[-1][1]


@pytest.mark.parametrize("error", [Permanent("broken"), ValueError("broken"), KeyboardInterrupt()])
def test_a_failure_midway_aborts_the_upload_and_leaves_no_file(s3, job, monkeypatch, error):
    begun = []
    real = handler.s3().create_multipart_upload
    monkeypatch.setattr(handler.s3(), "create_multipart_upload", lambda **request: begun.append(1) or real(**request))

    def failing(*_):
        yield from ({"a": "x" * 1_000_000} for _ in range(20))
        raise error

    monkeypatch.setattr(handler, "json_lines", failing)
    with pytest.raises(type(error)):
        export_report(JsonLines(key="uploads/in"), ["a"], "exports/out.csv")
    assert begun
    assert unfinished(s3) == []
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_repeated_run_writes_the_same_file(s3, job):
    source = put_lines(s3, {"a": 1})
    assert export_report(source, ["a"], "exports/out.csv") == export_report(source, ["a"], "exports/out.csv")


@pytest.mark.parametrize("line", [b"{", b"[1]", b'"text"', b"\xff", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}"])
def test_a_line_that_is_no_object_is_permanent_and_named_by_its_number(s3, job, line):
    source = put_lines(s3, {"a": 1}, raw=line)
    with pytest.raises(Permanent, match="line 2 is not a JSON object"):
        export_report(source, ["a"], "exports/out.csv")


def test_a_line_without_end_is_permanent(s3, job, monkeypatch):
    monkeypatch.setattr(rows, "LONGEST_LINE", 100)
    with pytest.raises(Permanent, match="longer than 100"):
        export_report(put_lines(s3, raw=b"x" * 101), ["a"], "exports/out.csv")


def test_a_missing_source_is_permanent(s3, job, monkeypatch):
    monkeypatch.setenv("OFFLOAD_EXPORT_TABLES", "none")
    with pytest.raises(Permanent, match="uploads/none"):
        export_report(JsonLines(key="uploads/none"), ["a"], "exports/out.csv")
    with pytest.raises(Permanent, match="'none'"):
        export_report(Table(name="none"), ["a"], "exports/out.csv")


@pytest.mark.parametrize("allowed", ["", "orders", "jobs"])
def test_the_job_table_is_never_exported(s3, job, monkeypatch, allowed):
    monkeypatch.setenv("OFFLOAD_EXPORT_TABLES", allowed)
    with pytest.raises(Permanent, match="results of all tenants"):
        export_report(Table(name="jobs"), ["id", "result"], "exports/out.csv")


@pytest.mark.parametrize("allowed", ["", "orders-2025,ord"])
def test_a_table_that_the_deployment_does_not_name_is_not_exported(s3, job, monkeypatch, allowed):
    monkeypatch.setenv("OFFLOAD_EXPORT_TABLES", allowed)
    with pytest.raises(Permanent, match="OFFLOAD_EXPORT_TABLES"):
        export_report(Table(name="orders"), ["id"], "exports/out.csv")


@pytest.mark.parametrize("text", ["*", "orders-*", "orders,reports/x", "{table}"])
def test_what_names_more_than_one_table_is_refused(monkeypatch, text):
    monkeypatch.setenv("OFFLOAD_EXPORT_TABLES", text)
    with pytest.raises(DefinitionError, match="OFFLOAD_EXPORT_TABLES"):
        handler.exportable()


def test_the_role_scans_no_table_by_itself():
    assert all("dynamodb:Scan" not in allow.actions for allow in export_report.settings.allow)


def test_a_missing_destination_is_permanent_and_a_fault_is_retried(s3, job, refuse):
    source = put_lines(s3, {"a": 1})
    refuse(handler.s3(), "put_object", "AccessDenied")
    with pytest.raises(Permanent, match="may not be written"):
        export_report(source, ["a"], "exports/out.csv")
    refuse(handler.s3(), "put_object", "InternalError")
    with pytest.raises(ClientError):
        export_report(source, ["a"], "exports/out.csv")


@pytest.mark.parametrize(
    "arguments",
    [
        {"destination": "payloads/x.csv"},
        {"columns": []},
        {"source": {"kind": "json_lines", "key": "results/x"}},
        {"source": {"kind": "other"}},
        {"source": {"kind": "table"}},
    ],
)
def test_a_wrong_payload_is_refused_before_it_is_queued(arguments):
    payload = {"source": {"kind": "table", "name": "orders"}, "columns": ["a"], "destination": "exports/out.csv"}
    assert export_report.signature.read(payload)["source"] == Table(name="orders")
    with pytest.raises(PayloadError):
        export_report.signature.bind((), payload | arguments)


def test_a_source_travels_as_it_was_given():
    for source in (Table(name="orders"), JsonLines(key="uploads/x", bucket="b")):
        payload = export_report.signature.bind((source, ["a"], "exports/x.csv"), {})
        assert export_report.signature.read(payload)["source"] == source


TEXT = st.text(st.characters(codec="utf-8"))
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"
BREAKS = "\t\n\v\f\r\x85\u2028\u2029"
UNSEEN = " \x00\x1b\x7f\xa0\xad\u2003\u200b\u200f\u202e\u2060\u3000\ufeff"
FORMULA_LIKE = st.text(st.sampled_from(f"{SIGNS}{BREAKS}{UNSEEN};\"'x1"), max_size=12)


@given(TEXT | FORMULA_LIKE | st.sampled_from(SIGNS).flatmap(lambda start: TEXT.map(lambda rest: start + rest)))
def test_no_text_begins_a_formula_and_none_is_lost(text):
    guarded = cell(text, guard=True)
    assert not guarded.lstrip(BREAKS + UNSEEN).startswith(tuple(SIGNS))
    assert not guarded.startswith(("\t", "\r", "\n"))
    assert guarded.replace("'", "") == text.replace("'", "")
    assert cell(text, guard=False) == text


@given(FORMULA_LIKE, FORMULA_LIKE)
def test_no_spreadsheet_finds_a_formula_wherever_it_splits(left, right):
    """A `'` stands before the character that would begin a formula, after the quotes and blanks that may be dropped."""
    guarded = f"{cell(left, guard=True)},{cell(right, guard=True)}"
    for part in re.split(f"[;{BREAKS}]", guarded)[1:]:
        shown = part.lstrip(f'"{UNSEEN}')
        assert not shown.startswith(tuple(SIGNS))


@pytest.mark.parametrize("first", [*UNSEEN, *BREAKS, "  ", "\ufeff \xa0"])
@pytest.mark.parametrize("sign", SIGNS)
def test_what_is_not_seen_hides_no_formula(first, sign):
    assert cell(f"{first}{sign}1+1", guard=True).startswith("'")
    assert cell(f"x;{first}{sign}1+1", guard=True) == f"x;{first}'{sign}1+1"
    assert cell(f"x{first}1{sign}1", guard=True) == f"x{first}1{sign}1"


@pytest.mark.parametrize("char", [*BREAKS, *UNSEEN, "'", '"', ";"])
def test_a_long_text_of_what_is_not_seen_is_guarded_in_little_time(char):
    began = time.process_time()
    cell(char * 300_000, guard=True)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x;=1+1", "x;'=1+1"),
        ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
        ('x; "=1+1"', 'x; "\'=1+1"'),
        ("a;b-c", "a;b-c"),
        ("=a;=b", "'=a;'=b"),
        ("x\n+1", "x\n'+1"),
        (["x;=1"], '["x;\'=1"]'),
        ("mail@example.org; 2-3 days", "mail@example.org; 2-3 days"),
    ],
)
def test_a_formula_inside_a_text_is_guarded_where_a_spreadsheet_may_split(text, expected):
    assert cell(text, guard=True) == expected


NUMBER = st.integers() | st.decimals(allow_nan=False, allow_infinity=False, places=3) | st.floats(allow_nan=False)


@given(NUMBER)
def test_a_number_is_never_guarded(value):
    assert type(value)(cell(value, guard=True)) == value


def test_a_huge_exponent_is_not_written_out():
    assert cell(Decimal("1E+999999"), guard=True) == "1E+999999"
    assert cell([Decimal("1E+999999")], guard=True) == "[Infinity]"


@given(
    st.lists(TEXT, min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(
            st.just(names),
            st.lists(st.dictionaries(st.sampled_from(names), TEXT | st.integers() | st.none()), max_size=8),
        )
    ),
    st.integers(1, 64),
)
def test_any_reader_gets_back_the_cells(given_rows, step):
    names, items = given_rows
    file = CsvFile(names, items, guard=True)
    data = b"".join(iter(lambda: file.read(step), b""))
    expected = [
        [cell(item.get(name), guard=True) for name in names] for item in [dict(zip(names, names, strict=True)), *items]
    ]
    assert list(csv.reader(io.StringIO(data.decode(), newline=""))) == expected
    assert (file.rows, file.size) == (len(items), len(data))


def test_a_lone_surrogate_does_not_stop_an_export():
    assert CsvFile(["a"], [{"a": "\ud800"}], guard=True).read() == b"a\r\n?\r\n"
