from __future__ import annotations

import json

import pytest

from offload.core.errors import MessageError
from offload.core.messages.copying import (
    LATEST_COPY_MS,
    LATEST_TIMED_MS,
    copy_body,
    origin_sent_at,
    resent_body,
    small_copy_body,
    unreturned_body,
)
from offload.core.messages.message import MOST_REPLACED, Message
from offload.core.ports import ReceivedMessage

REF = {"bucket": "b", "key": "payloads/60d/work/job.json"}


def received(body, *, message_id="m1", sent_at=1_000):
    return ReceivedMessage("q", message_id, "r", json.dumps(body), sent_at, sent_at, 1)


def test_a_copy_says_everything_that_its_message_says_and_where_it_comes_from():
    body = {"payload": {"a": 1}, "id": "job", "tenant": "acme", "unknown": [1], "enqueued_at": 500}
    copied = json.loads(copy_body(received(body), 2_000))
    assert copied == {**body, "replaces": ["m1"], "copied_at": [2_000], "first_sent_at": 1_000}


@pytest.mark.parametrize("absent", [{}, {"id": None, "enqueued_at": None}])
def test_a_copy_of_a_bare_message_names_its_job_and_when_it_was_sent(absent):
    copied = json.loads(copy_body(received({"payload": {}, **absent}), 2_000))
    assert (copied["id"], copied["enqueued_at"]) == ("m1", 1_000)


def test_a_copy_of_a_copy_lists_both():
    first = json.loads(copy_body(received({"payload": {}, "id": "job"}), 2_000))
    second = json.loads(copy_body(received(first, message_id="m2", sent_at=2_001), 3_000))
    assert second == {**first, "replaces": ["m1", "m2"], "copied_at": [2_000, 3_000]}
    assert second["first_sent_at"] == 1_000


def test_a_copy_whose_payload_is_in_the_bucket_is_small():
    body = {"payload": {"a": "x" * 10**6}, "tenant": "acme", "note": "x" * 10**5, "hops": 3}
    copied = small_copy_body(received(body), 2_000, REF)
    read = Message.decode(copied)
    assert len(copied) < 500
    assert (read.id, read.tenant, read.hops, read.payload, read.payload_ref) == ("m1", "acme", 3, None, REF)
    assert (read.replaces, read.copied_at, read.first_sent_at, read.enqueued_at) == (("m1",), (2_000,), 1_000, 1_000)


@pytest.mark.parametrize("body", ["no json", "[]", "{}", '{"payload": 1}'])
def test_what_breaks_the_contract_cannot_be_copied(body):
    with pytest.raises(MessageError):
        copy_body(ReceivedMessage("q", "m1", "r", body, 0, 0, 1), 0)


def test_a_copy_that_is_sent_before_its_time_is_told_from_the_one_that_its_timer_sends():
    timed = copy_body(received({"payload": {}, "id": "job"}), 9_000, timed=True)
    sent = json.loads(resent_body(timed, 4_000))
    expected = {**json.loads(timed), "copied_at": [4_000]}
    assert expected.pop("timed") is True
    assert sent == expected


@pytest.mark.parametrize("copy", [copy_body, lambda *given, **how: small_copy_body(*given, REF, **how)])
def test_a_copy_says_whether_a_timer_sends_it_and_not_whether_one_has_sent_its_message(copy):
    timed = json.loads(copy(received({"payload": {}, "id": "job"}), 9_000, timed=True))
    plain = json.loads(copy(received(timed, message_id="m2"), 9_500))
    assert timed["timed"] is True
    assert "timed" not in plain


def test_a_message_that_is_no_copy_is_sent_again_as_it_is():
    body = '{"id": "job", "payload": {"a": 1}}'
    assert resent_body(body, 4_000) == body


def test_the_longest_line_of_copies_is_known_and_its_bodies_stay_small():
    body = {"payload": {}, "id": "job"}
    for number in range(1_000):
        body = json.loads(copy_body(received(body, message_id=f"{number:036}", sent_at=10**12), 10**12 + number))
    assert body["replaces"] == [f"{number:036}" for number in range(1_000 - MOST_REPLACED, 1_000)]
    assert body["copied_at"] == [10**12 + number for number in range(1_000 - MOST_REPLACED, 1_000)]
    assert body["first_sent_at"] == 10**12
    assert len(json.dumps(body)) < 1_800


@pytest.mark.parametrize(
    ("late_by", "origin"),
    [(20 * 3_600_000, 1_000), (LATEST_TIMED_MS, 1_000), (LATEST_TIMED_MS + 1, 4_001 + LATEST_TIMED_MS)],
)
def test_a_copy_of_a_timer_may_be_sent_a_day_late(late_by, origin):
    message = Message(payload={}, copied_at=(4_000,), first_sent_at=1_000, timed=True)
    assert origin_sent_at(message, 4_000 + late_by) == origin


@pytest.mark.parametrize(
    ("copied_at", "first_sent_at", "sent_at", "origin"),
    [
        ((), None, 5_000, 5_000),
        ((4_000,), 1_000, 4_001, 1_000),
        ((2_000, 4_000), 1_000, 4_001, 1_000),
        ((4_000,), 1_000, 4_000 + LATEST_COPY_MS, 1_000),
        ((4_000,), 1_000, 4_001 + LATEST_COPY_MS, 4_001 + LATEST_COPY_MS),  # it was redriven
        ((), 1_000, 5_000, 5_000),  # not written by a worker
        ((4_000,), None, 5_000, 5_000),
    ],
)
def test_when_the_first_message_was_sent(copied_at, first_sent_at, sent_at, origin):
    message = Message(payload={}, copied_at=copied_at, first_sent_at=first_sent_at)
    assert origin_sent_at(message, sent_at) == origin


@pytest.mark.parametrize("copy", [copy_body, lambda *given, **how: small_copy_body(*given, REF, **how)])
@pytest.mark.parametrize("timed", [False, True])
def test_every_copy_of_a_message_that_was_never_returned_says_so(copy, timed):
    marked = unreturned_body(json.dumps({"payload": {}, "id": "job", "unknown": [1]}))
    assert json.loads(marked) == {"payload": {}, "id": "job", "unknown": [1], "unreturned": True}
    first = copy(received(json.loads(marked)), 2_000, timed=timed)
    second = copy(received(json.loads(first), message_id="m2"), 3_000)
    assert Message.decode(first).unreturned
    assert Message.decode(second).unreturned
    assert not Message.decode(copy(received({"payload": {}}), 2_000)).unreturned
