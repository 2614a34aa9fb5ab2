from functools import partial

import pytest

from functions.cleanup_expired import handler
from functions.cleanup_expired.handler import Cleanup, CleanupError, cleanup_expired
from offload import DefinitionError, PayloadError, Permanent
from offload.core.clock import SystemClock

BUCKET = "offload-files"
DAY = 86_400_000


@pytest.fixture
def later(monkeypatch):
    """Move the task's clock on by some days."""
    real = SystemClock.now
    return lambda days: monkeypatch.setattr(SystemClock, "now", lambda self: int(real(self) + days * DAY))


@pytest.fixture
def fill(s3):
    def put(count, prefix="exports/"):
        for number in range(count):
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number:05}", Body=b"12345")

    return put


def left(s3):
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def test_it_deletes_what_is_old_under_the_prefix_alone(s3, job, fill, later):
    fill(3)
    fill(1, "uploads/")
    later(31)
    assert cleanup_expired("exports/", 30) == Cleanup(deleted=3, bytes=15, more_left=False, dry_run=False)
    assert left(s3) == ["uploads/00000"]
    assert job.said == [(3, None, "3 expired")]


def test_what_is_young_stays(s3, job, fill, later):
    fill(2)
    later(29)
    assert cleanup_expired("exports/", 30).deleted == 0
    assert len(left(s3)) == 2


def test_a_dry_run_counts_and_keeps(s3, job, fill, later):
    fill(2)
    later(31)
    assert cleanup_expired("exports/", 30, dry_run=True) == Cleanup(deleted=2, bytes=10, more_left=False, dry_run=True)
    assert len(left(s3)) == 2


def test_page_after_page(s3, job, fill, later, monkeypatch):
    assert handler.PAGE == 1000
    monkeypatch.setattr(handler, "PAGE", 10)
    fill(21)
    later(31)
    sizes, real = [], handler.s3().delete_objects

    def delete(**request):
        sizes.append(len(request["Delete"]["Objects"]))
        return real(**request)

    monkeypatch.setattr(handler.s3(), "delete_objects", delete)
    assert cleanup_expired("exports/", 30).deleted == 21
    assert sizes == [10, 10, 1]
    assert left(s3) == []


def test_the_bound_is_kept_and_said(s3, job, fill, later):
    fill(5)
    later(31)
    run = partial(cleanup_expired, "exports/", 30, most_objects=3)
    assert run() == Cleanup(deleted=3, bytes=15, more_left=True, dry_run=False)
    assert run() == Cleanup(deleted=2, bytes=10, more_left=False, dry_run=False)
    assert run() == Cleanup(deleted=0, bytes=0, more_left=False, dry_run=False)


def test_a_bound_met_exactly_at_the_end_leaves_nothing(s3, job, fill, later):
    fill(3)
    later(31)
    assert cleanup_expired("exports/", 30, most_objects=3).more_left is False


@pytest.mark.parametrize(("name", "value"), [("remaining", 10.0), ("cancelled", True)])
def test_it_stops_when_time_is_short_or_it_is_cancelled(s3, job, fill, later, name, value):
    fill(2)
    later(31)
    setattr(job, name, value)
    assert cleanup_expired("exports/", 30) == Cleanup(deleted=0, bytes=0, more_left=True, dry_run=False)


@pytest.mark.parametrize("prefix", ["", "/", "payloads/", "results/7d/", "export", "thumbnails/"])
def test_other_prefixes_are_refused_at_both_ends(s3, job, fill, prefix):
    fill(1)
    with pytest.raises(Permanent, match="exports/ from 30 days on"):
        cleanup_expired(prefix, 400)
    assert len(left(s3)) == 1


def test_what_is_younger_than_the_rule_is_kept_whatever_the_payload_says(s3, job, fill, later):
    fill(1)
    later(29)
    for days in (1, 29):
        with pytest.raises(Permanent, match="exports/ from 30 days on"):
            cleanup_expired("exports/", days)
    assert len(left(s3)) == 1


def test_the_deployment_says_what_may_be_deleted(s3, job, fill, later, monkeypatch):
    monkeypatch.setenv("OFFLOAD_CLEANUP", "uploads/tmp/:2")
    for prefix in ("exports/", "uploads/tmp/", "uploads/"):
        fill(1, prefix)
    later(3)
    for prefix, days in (("exports/", 99), ("uploads/", 99), ("uploads/tmp/", 1)):
        with pytest.raises(Permanent, match="uploads/tmp/ from 2 days on"):
            cleanup_expired(prefix, days)
    assert cleanup_expired("uploads/tmp/", 2).deleted == 1
    assert left(s3) == ["exports/00000", "uploads/00000"]


@pytest.mark.parametrize(
    ("text", "prefix", "days", "kept"),
    [
        # The inner rule says longer: its objects stay, whichever run meets them.
        ("a/:7,a/b/:30", "a/", 7, ["a/b/00000", "a/b/c/00000"]),
        ("a/b/:30,a/:7", "a/", 7, ["a/b/00000", "a/b/c/00000"]),
        ("a/:7,a/b/:30", "a/b", 7, ["a/00000", "a/b/00000", "a/b/c/00000"]),
        # The inner rule says shorter: a run for the outer folder keeps to its own age.
        ("a/:30,a/b/:7", "a/", 30, ["a/00000", "a/b/00000", "a/b/c/00000"]),
        ("a/:30,a/b/:7", "a/b/", 7, ["a/00000"]),
        ("a/:7,a/b/:30,a/b/c/:7", "a/", 7, ["a/b/00000"]),
    ],
)
@pytest.mark.usefixtures("job")
def test_the_rule_of_the_innermost_folder_decides(s3, fill, later, monkeypatch, text, prefix, days, kept):
    monkeypatch.setenv("OFFLOAD_CLEANUP", text)
    for folder in ("a/", "a/b/", "a/b/c/"):
        fill(1, folder)
    later(8)
    cleanup_expired(prefix, days)
    assert left(s3) == kept


@pytest.mark.parametrize(("text", "prefix", "days"), [("a/:7,a/b/:30", "a/b/", 29), ("a/:7,a/b/:30", "a/b/c", 7)])
def test_a_payload_cannot_choose_the_age_of_an_outer_folder(s3, job, fill, later, monkeypatch, text, prefix, days):
    monkeypatch.setenv("OFFLOAD_CLEANUP", text)
    with pytest.raises(Permanent, match="a/b/ from 30 days on"):
        cleanup_expired(prefix, days)


@pytest.mark.parametrize("text", ["*/:3", "a?/:3", "${aws:username}/:3", "{table}/:3", "a/:7,b/:3,a/:30"])
def test_a_rule_that_reaches_beyond_its_folder_or_says_two_ages_is_refused(text):
    with pytest.raises(DefinitionError, match="OFFLOAD_CLEANUP"):
        handler.rules(text)


@pytest.mark.parametrize(
    "text", ["exports/", "exports:3", "exports/:0", "exports/:x", "/:3", ":3", "payloads/60d/:9", "results/:3", "a/:²"]
)
def test_a_wrong_rule_is_refused(text):
    with pytest.raises(DefinitionError, match="OFFLOAD_CLEANUP"):
        handler.rules(text)


def test_the_role_deletes_what_the_rules_name():
    listing, deleting = cleanup_expired.settings.allow
    assert listing.conditions == {"StringLike": {"s3:prefix": ["exports/*"]}}
    assert deleting.resources == ("{bucket}/exports/*",)


@pytest.mark.parametrize("arguments", [{"older_than_days": 0}, {"most_objects": 0}, {"prefix": ""}])
def test_a_wrong_payload_is_refused(arguments):
    with pytest.raises(PayloadError):
        cleanup_expired.signature.bind((), {"prefix": "exports/", "older_than_days": 1} | arguments)


def test_objects_s3_keeps_are_an_error(s3, job, fill, later, monkeypatch):
    fill(2)
    later(31)
    errors = [{"Key": "exports/0", "Code": "InternalError"}]
    monkeypatch.setattr(handler.s3(), "delete_objects", lambda **_: {"Errors": errors})
    with pytest.raises(CleanupError, match="1 of 2 objects: InternalError"):
        cleanup_expired("exports/", 30)
    errors[0]["Code"] = "AccessDenied"
    with pytest.raises(Permanent, match="AccessDenied"):
        cleanup_expired("exports/", 30)


def test_it_runs_every_night_with_a_payload_that_fits():
    (schedule,) = cleanup_expired.settings.schedules
    assert schedule.aws_expression() == "cron(0 3 * * ? *)"
    assert cleanup_expired.signature.read(schedule.payload) == schedule.payload
