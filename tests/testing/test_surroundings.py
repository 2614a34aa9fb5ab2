"""What a task finds around it in `eager` and `pipeline`: the stack's manifest, and its bucket through boto3."""

from __future__ import annotations

import io
import json
import os

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from functions import stack
from offload import Retry, State, task
from offload.testing import Eager, Pipeline
from offload.testing.pipeline import BUCKET

ONCE = {"retries": {"total_max_attempts": 1}}


@task(retry=Retry(max_attempts=1))
def copy_upper(source: str, target: str) -> int:
    s3 = boto3.client("s3")
    data = s3.get_object(Bucket=stack().bucket, Key=source)["Body"].read()
    s3.put_object(Bucket=stack().bucket, Key=target, Body=data.upper(), ContentType="text/plain", Metadata={"by": "me"})
    return len(data)


@pytest.fixture
def s3():
    with Pipeline(copy_upper) as pipeline:
        client = boto3.client("s3", config=Config(**ONCE))
        client.pipeline = pipeline
        yield client


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error = caught.value.response
    return error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Message"]


def test_a_task_uses_its_bucket_in_a_pipeline():
    with Pipeline(copy_upper) as pipeline:
        pipeline.blobs.port.put("uploads/a.txt", b"hello")
        job = copy_upper.delay("uploads/a.txt", "made/a.txt")
        pipeline.run_until_idle()
        assert job.result() == 5
        assert pipeline.blobs.port.find("made/a.txt").data == b"HELLO"


def test_a_task_uses_its_bucket_in_eager():
    with Eager(copy_upper) as eager:
        eager.blobs.port.put("a", b"hi")
        assert copy_upper.delay("a", "b").result() == 2
        got = boto3.client("s3").get_object(Bucket=BUCKET, Key="b")
        assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (b"HI", "text/plain", {"by": "me"})


def test_what_the_library_stores_is_in_the_same_bucket(s3):
    handle = copy_upper.delay("x" * 300_000, "y")
    (found,) = s3.list_objects_v2(Bucket=BUCKET, Prefix="payloads/")["Contents"]
    assert handle.id in found["Key"]
    payload = json.loads(s3.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read())
    assert payload["source"] == "x" * 300_000


def test_the_manifest_is_that_of_the_pipeline_and_names_what_was_deployed_later():
    @task
    def later() -> None: ...

    before = dict(os.environ)
    with Pipeline(copy_upper) as pipeline:
        assert stack().bucket == BUCKET
        pipeline.deploy(later)
        assert set(stack().tasks) == {"copy_upper", "later"}
        with Pipeline(later):
            assert set(stack().tasks) == {"later"}
        assert set(stack().tasks) == {"copy_upper", "later"}
    assert dict(os.environ) == before


def test_a_client_that_was_made_before_is_served_and_afterwards_is_not(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "mine")
    early = boto3.client("s3", region_name="eu-north-1", endpoint_url="http://127.0.0.1:1", config=Config(**ONCE))
    with Pipeline(copy_upper):
        early.put_object(Bucket=BUCKET, Key="a b/ü+c.txt", Body=b"1")
        assert early.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 1
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        early.list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize("body", [b"data", "text", io.BytesIO(b"file"), b""])
def test_every_kind_of_body_arrives(s3, body):
    s3.put_object(Bucket=BUCKET, Key="k", Body=body)
    expected = body.getvalue() if isinstance(body, io.BytesIO) else body if isinstance(body, bytes) else body.encode()
    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == expected
    assert "ContentEncoding" not in s3.head_object(Bucket=BUCKET, Key="k")


@pytest.mark.parametrize(
    ("asked", "data", "shown"),
    [
        ("bytes=2-4", b"234", "bytes 2-4/10"),
        ("bytes=7-", b"789", "bytes 7-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ],
)
def test_a_part_of_an_object(s3, asked, data, shown):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
    got = s3.get_object(Bucket=BUCKET, Key="k", Range=asked)
    assert (got["Body"].read(), got["ContentRange"], got["ContentLength"]) == (data, shown, len(data))


def test_a_part_that_is_not_there(s3):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"0123456789")
    assert refused(s3.get_object, Bucket=BUCKET, Key="k", Range="bytes=10-")[:2] == ("InvalidRange", 416)


def test_files_go_up_and_down(s3, tmp_path):
    (tmp_path / "up").write_bytes(b"x" * 100_000)
    s3.upload_file(str(tmp_path / "up"), BUCKET, "file", ExtraArgs={"ContentType": "image/png"})
    head = s3.head_object(Bucket=BUCKET, Key="file")
    assert (head["ContentLength"], head["ContentType"]) == (100_000, "image/png")
    assert head["LastModified"].timestamp() * 1000 == s3.pipeline.clock.now()
    s3.download_file(BUCKET, "file", str(tmp_path / "down"))
    assert (tmp_path / "down").read_bytes() == b"x" * 100_000


def test_lists_have_pages_folders_and_names_of_every_kind(s3):
    names = ["a/1", "a/2 ü+&<.txt", "a/b/3", "c", "d/4"]
    for name in names:
        s3.put_object(Bucket=BUCKET, Key=name, Body=name.encode())
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 2})
    assert [[entry["Key"] for entry in page["Contents"]] for page in pages] == [names[:2], names[2:4], names[4:]]
    inside = s3.list_objects_v2(Bucket=BUCKET, Prefix="a/", Delimiter="/")
    assert [entry["Key"] for entry in inside["Contents"]] == names[:2]
    assert [entry["Prefix"] for entry in inside["CommonPrefixes"]] == ["a/b/"]
    folders = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/", MaxKeys=1)
    assert (folders["CommonPrefixes"], folders["IsTruncated"]) == ([{"Prefix": "a/"}], True)
    rest = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/", ContinuationToken=folders["NextContinuationToken"])
    assert [entry["Prefix"] for entry in rest["CommonPrefixes"]] == ["d/"]
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, StartAfter="a/b/3")["Contents"]] == ["c", "d/4"]


def test_objects_are_deleted_alone_and_together(s3):
    for name in "abc":
        s3.put_object(Bucket=BUCKET, Key=name, Body=b"1")
    s3.delete_object(Bucket=BUCKET, Key="a")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "b"}, {"Key": "gone"}]})
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["c"]
    s3.head_bucket(Bucket=BUCKET)


def test_what_is_not_there_is_said(s3):
    assert refused(s3.get_object, Bucket=BUCKET, Key="gone")[:2] == ("NoSuchKey", 404)
    assert refused(s3.head_object, Bucket=BUCKET, Key="gone")[1] == 404
    code, status, text = refused(s3.get_object, Bucket="another", Key="k")
    assert (code, status) == ("NoSuchBucket", 404)
    assert f"there is only '{BUCKET}', the bucket of the stack" in text


def test_what_the_twin_does_not_know_is_a_clear_error(s3):
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"1")
    for call, arguments in (
        (s3.copy_object, {"Key": "copy", "CopySource": f"{BUCKET}/k"}),
        (s3.create_multipart_upload, {"Key": "k"}),
        (s3.get_object_tagging, {"Key": "k"}),
        (s3.put_object, {"Key": "k", "Body": b"2", "IfNoneMatch": "*"}),
        (s3.list_objects, {}),
        (s3.list_object_versions, {}),
    ):
        code, status, text = refused(call, Bucket=BUCKET, **arguments)
        assert (code, status) == ("NotImplemented", 501)
        assert "the bucket in memory does not know" in text
        assert "puts, reads, looks at, deletes and lists objects" in text


def test_an_error_of_the_bucket_fails_the_job():
    with Pipeline(copy_upper) as pipeline:
        pipeline.expect_dead_letters()
        job = copy_upper.delay("gone", "b")
        pipeline.run_until_idle()
        assert job.status() is State.FAILED
        assert job.record().error["type"] == "NoSuchKey"
