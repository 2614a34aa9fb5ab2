from __future__ import annotations

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from offload.aws.calls import Ambiguous, NotBegun, Rejected, Throttled, classify
from offload.core.errors import Refused, Unavailable
from offload.core.writes import Conflict

CANCELLED = "TransactionCanceledException"


def reasons(*codes: str) -> dict[str, object]:
    return {"CancellationReasons": [{"Code": code} for code in codes]}


@pytest.mark.parametrize(
    ("status", "code", "answer", "kind"),
    [
        (400, "ConditionalCheckFailedException", {}, Conflict),
        (400, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", {}, Conflict),
        (400, "ThrottlingException", {}, Throttled),
        (400, "com.amazon.coral.availability#ThrottlingException", {}, Throttled),
        (400, "ThrottlingException:http://internal.amazon.com/", {}, Throttled),
        (400, "ProvisionedThroughputExceededException", {}, Throttled),
        (403, "com.amazonaws.sqs#OverLimit", {}, Throttled),
        (400, "RequestThrottled", {}, Throttled),
        (400, "TransactionConflictException", {}, NotBegun),
        (503, "SlowDown", {}, Unavailable),
        (500, "", {}, Unavailable),
        (502, "SomethingNew", {}, Unavailable),
        (429, "", {}, Throttled),
        (400, CANCELLED, reasons("None", "TransactionConflict"), NotBegun),
        (400, CANCELLED, reasons("ThrottlingError", "ConditionalCheckFailed"), Rejected),
        (400, CANCELLED, reasons("ConditionalCheckFailed"), Rejected),
        (400, CANCELLED, reasons("ValidationError"), Rejected),
        (400, "AccessDeniedException", {}, Rejected),
        (400, "AWS.SimpleQueueService.NonExistentQueue", {}, Rejected),
        (404, "", {}, Rejected),
        (400, "ExpiredTokenException", {}, Rejected),
        (301, "PermanentRedirect", {}, Rejected),
    ],
)
def test_each_error_has_its_class(status, code, answer, kind):
    assert type(classify("Op", status, code, answer)) is kind


def test_everything_botocore_tries_again_is_unavailable():
    listed = {*ThrottledRetryableChecker._THROTTLED_ERROR_CODES, *TransientRetryableChecker._TRANSIENT_ERROR_CODES}
    assert listed
    for code in listed:
        assert isinstance(classify("Op", 400, code, {}), NotBegun), code


def test_a_conflict_after_a_lost_answer_is_ambiguous():
    raw = {"Item": {"id": {"S": "a"}}}
    found = classify("UpdateItem", 400, "ConditionalCheckFailedException", raw, lost=True)
    assert isinstance(found, Ambiguous)
    assert found.item == {"id": "a"}


def test_a_rejection_keeps_code_and_body_and_says_one_line():
    error = classify("Op", 400, "x#AccessDenied", {"message": "not you\nsecret details"})
    assert isinstance(error, Rejected)
    assert (error.code, str(error)) == ("AccessDenied", "Op: AccessDenied: not you")
    assert error.answer["message"].startswith("not you")


@pytest.mark.parametrize(
    ("code", "lasting"),
    [
        ("ValidationException", True),
        ("com.amazonaws.sqs#MessageNotInflight", True),
        ("AWS.SimpleQueueService.UnsupportedOperation", True),
        ("NoSuchKey", True),
        ("ExpiredTokenException", False),
        ("UnrecognizedClientException", False),
        ("AccessDeniedException", False),
        ("AccessDenied", False),
        ("ResourceNotFoundException", False),
        ("NoSuchBucket", False),
        ("AWS.SimpleQueueService.NonExistentQueue", False),
        ("NobodyKnowsThisOne", False),
        ("", False),
    ],
)
def test_what_time_or_fresh_credentials_may_cure_is_told_from_what_can_never_be_right(code, lasting):
    error = classify("Operation", 400, code, {})
    assert isinstance(error, Refused)
    assert error.lasting is lasting


def test_what_this_library_refuses_by_itself_is_lasting():
    assert Refused("too large").lasting
    assert not Refused("no stack", lasting=False).lasting
