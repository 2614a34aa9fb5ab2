from __future__ import annotations

import random

import pytest

from offload.aws.calls import Rejected
from offload.aws.queues import LARGEST_MESSAGE, SqsQueues
from offload.core.errors import Refused, Unavailable
from offload.core.ports import OutgoingMessage, ReceivedMessage


class Sqs:
    """Answers each batch by a function of its entries."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.batches = []

    def __call__(self, operation, params):
        assert operation == "SendMessageBatch"
        self.batches.append(params["Entries"])
        answer = self.answers.pop(0) if self.answers else accept
        return answer(params["Entries"])


def accept(entries):
    """Accept every entry; its message id is made of its body."""
    return {"Successful": [{"Id": entry["Id"], "MessageId": f"id-{entry['MessageBody']}"} for entry in entries]}


def fail(*bodies, sender):
    """Fail the entries of some bodies, by the sender's fault or the service's, and accept the others."""

    def answer(entries):
        failed = [
            {"Id": entry["Id"], "Code": "Because", "SenderFault": sender}
            for entry in entries
            if entry["MessageBody"] in bodies
        ]
        return {**accept([entry for entry in entries if entry["MessageBody"] not in bodies]), "Failed": failed}

    return answer


def refuse(error):
    """Fail the whole request."""

    def answer(entries):
        raise error

    return answer


def queues(call, clock, **where):
    return SqsQueues(call, account="123456789012", region="eu-north-1", clock=clock, rng=random.Random(1), **where)


def messages(*bodies):
    return [OutgoingMessage(body) for body in bodies]


def test_what_fails_by_the_service_is_sent_again_alone_and_in_order(clock):
    sqs = Sqs(fail("b", "c", sender=False), fail("c", sender=False))
    assert queues(sqs, clock).send_batch("q", messages("a", "b", "c")) == ["id-a", "id-b", "id-c"]
    assert [[entry["MessageBody"] for entry in batch] for batch in sqs.batches] == [["a", "b", "c"], ["b", "c"], ["c"]]
    assert len(clock.slept) == 2


def test_what_keeps_failing_is_unavailable_after_four_rounds(clock):
    sqs = Sqs(*[fail("b", sender=False)] * 9)
    first, second = queues(sqs, clock).send_batch("q", messages("a", "b"))
    assert first == "id-a"
    assert type(second) is Unavailable
    assert len(sqs.batches) == 4


def test_what_the_sender_did_wrong_is_refused_and_not_sent_again(clock):
    sqs = Sqs(fail("a", sender=True))
    first, second = queues(sqs, clock).send_batch("q", messages("a", "b"))
    assert isinstance(first, Rejected)
    assert first.code == "Because"
    assert second == "id-b"
    assert len(sqs.batches) == 1


@pytest.mark.parametrize("error", [Unavailable("down"), Refused("no")])
def test_a_request_that_fails_is_the_error_of_each_of_its_entries_only(clock, error):
    sqs = Sqs(accept, refuse(error))
    outcomes = queues(sqs, clock).send_batch("q", messages(*"abcdefghijkl"))
    assert outcomes == [*(f"id-{body}" for body in "abcdefghij"), error, error]


def test_a_later_round_that_fails_leaves_what_was_accepted(clock):
    sqs = Sqs(fail("b", sender=False), refuse(Unavailable("down")))
    first, second = queues(sqs, clock).send_batch("q", messages("a", "b"))
    assert first == "id-a"
    assert str(second) == "down"


def test_requests_keep_to_ten_entries_and_one_mebibyte(clock):
    sqs = Sqs()
    sizes = [LARGEST_MESSAGE, 1, LARGEST_MESSAGE - 1, 1, *[10] * 12]
    queues(sqs, clock).send_batch("q", [OutgoingMessage("ü" * (size // 2) + "x" * (size % 2)) for size in sizes])
    sent = [[len(entry["MessageBody"].encode()) for entry in batch] for batch in sqs.batches]
    assert sent == [[LARGEST_MESSAGE], [1, LARGEST_MESSAGE - 1], [1, *[10] * 9], [10] * 3]


def test_entries_say_delay_and_group_only_when_they_have_one(clock):
    sqs = Sqs()
    queues(sqs, clock).send_batch("q", [OutgoingMessage("a"), OutgoingMessage("b", delay=5, group="t")])
    assert sqs.batches[0] == [
        {"Id": "0", "MessageBody": "a"},
        {"Id": "1", "MessageBody": "b", "DelaySeconds": 5, "MessageGroupId": "t"},
    ]


@pytest.mark.parametrize(
    ("where", "url"),
    [
        ({}, "https://sqs.eu-north-1.amazonaws.com/123456789012/q"),
        ({"endpoint": "http://localhost:4566/"}, "http://localhost:4566/123456789012/q"),
    ],
)
def test_the_address_is_built_and_never_asked_for(clock, where, url):
    asked = []

    def call(operation, params):
        asked.append((operation, params["QueueUrl"]))
        return {}

    queues(call, clock, **where).delete("q", "receipt")
    assert asked == [("DeleteMessage", url)]


def test_a_received_message_has_its_system_attributes(clock):
    raw = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "b",
        "Attributes": {
            "SentTimestamp": "1",
            "ApproximateFirstReceiveTimestamp": "2",
            "ApproximateReceiveCount": "3",
            "SenderId": "x",
        },
    }
    found = queues(lambda operation, params: {"Messages": [raw]}, clock).receive("q", limit=99, visibility=5)
    assert found == [
        ReceivedMessage(queue="q", message_id="m", receipt="r", body="b", sent_at=1, first_received_at=2, receives=3)
    ]
    assert queues(lambda operation, params: {}, clock).receive("q", limit=1, visibility=5) == []


def test_a_redrive_is_left_to_sqs(clock):
    asked = []
    adapter = queues(lambda operation, params: asked.append((operation, params)) or {}, clock)
    adapter.redrive("q-dlq")
    adapter.redrive("q-dlq", rate=5)
    source = {"SourceArn": "arn:aws:sqs:eu-north-1:123456789012:q-dlq"}
    assert asked == [
        ("StartMessageMoveTask", source),
        ("StartMessageMoveTask", {**source, "MaxNumberOfMessagesPerSecond": 5}),
    ]


@pytest.mark.parametrize(("code", "raised"), [("ReceiptHandleIsInvalid", False), ("QueueDoesNotExist", True)])
def test_deleting_by_an_old_receipt_is_nothing_and_any_other_trouble_is_told(clock, code, raised):
    def call(operation, params):
        raise Rejected("no", code)

    adapter = queues(call, clock)
    if raised:
        with pytest.raises(Rejected):
            adapter.delete("q", "r")
    else:
        adapter.delete("q", "r")
