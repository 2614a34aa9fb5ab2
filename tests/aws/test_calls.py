from __future__ import annotations

import pytest
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from offload.aws import calls
from offload.aws.calls import Ambiguous, Rejected, classify
from offload.core.errors import Unavailable
from offload.core.writes import Conflict

CANCELLED = "TransactionCanceledException"


def reasons(*codes: str) -> dict[str, object]:
    return {"CancellationReasons": [{"Code": code} for code in codes]}


@pytest.mark.parametrize(
    ("status", "code", "answer", "kind"),
    [
        (400, "ConditionalCheckFailedException", {}, Conflict),
        (400, "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", {}, Conflict),
        (400, "ThrottlingException", {}, Unavailable),
        (400, "com.amazon.coral.availability#ThrottlingException", {}, Unavailable),
        (400, "ThrottlingException:http://internal.amazon.com/", {}, Unavailable),
        (400, "ProvisionedThroughputExceededException", {}, Unavailable),
        (403, "com.amazonaws.sqs#OverLimit", {}, Unavailable),
        (400, "RequestThrottled", {}, Unavailable),
        (400, "TransactionConflictException", {}, Unavailable),
        (503, "SlowDown", {}, Unavailable),
        (500, "", {}, Unavailable),
        (502, "SomethingNew", {}, Unavailable),
        (429, "", {}, Unavailable),
        (400, CANCELLED, reasons("None", "TransactionConflict"), Unavailable),
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
        assert type(classify("Op", 400, code, {})) is Unavailable, code


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


def test_hosts_and_partitions_follow_the_region():
    regions = ("us-east-1", "cn-north-1", "us-gov-west-1")
    assert [calls.host("sqs", region) for region in regions] == [
        "sqs.us-east-1.amazonaws.com",
        "sqs.cn-north-1.amazonaws.com.cn",
        "sqs.us-gov-west-1.amazonaws.com",
    ]
    assert [calls.partition(region) for region in regions] == ["aws", "aws-cn", "aws-us-gov"]
