from __future__ import annotations

import random
import select
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from offload.aws import connections, protocols, signed
from offload.aws.calls import Ambiguous, Rejected
from offload.core.clock import Deadline
from offload.core.errors import Unavailable
from offload.core.writes import Conflict

ITEM = {"id": {"S": "a"}, "n": {"N": "1"}}


@pytest.fixture
def call(loopback, clock):
    return signed.caller("dynamodb", clock=clock, rng=random.Random(1))


def test_a_request_is_aws_json_signed_for_its_service(call, loopback):
    loopback.steps = [loopback.reply({"Attributes": ITEM})]
    assert call("UpdateItem", {"TableName": "jobs"}) == {"Attributes": ITEM}
    (request,) = loopback.requests
    assert request.body == {"TableName": "jobs"}
    assert request.headers["content-type"] == "application/x-amz-json-1.0"
    assert request.headers["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert request.headers["x-amz-date"] == "20260101T000000Z"
    assert request.headers["x-amz-security-token"] == "token-that-must-not-show"
    assert request.headers["authorization"].startswith(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-north-1/dynamodb/aws4_request, "
    )


def test_sqs_has_its_own_target_and_an_empty_answer_is_an_empty_object(loopback, clock):
    loopback.steps = [loopback.reply(b"")]
    assert signed.caller("sqs", clock=clock)("DeleteMessage", {}) == {}
    assert loopback.requests[0].headers["x-amz-target"] == "AmazonSQS.DeleteMessage"


def test_a_connection_is_kept_for_the_next_call(call, loopback):
    for _ in range(3):
        call("GetItem", {})
    assert [request.connection for request in loopback.requests] == [1, 1, 1]


@pytest.mark.parametrize("headers", [{}, {"x_amzn_errortype": "ThrottlingException:http://x"}], ids=["body", "header"])
def test_throttles_and_server_faults_are_tried_again_with_full_jitter(call, loopback, clock, headers):
    throttle = loopback.reply({"__type": "x#ThrottlingException"} if not headers else {}, 400, **headers)
    loopback.steps = [throttle, loopback.reply(b"<html>", 503), loopback.fault("InternalServerError", 500)]
    assert call("GetItem", {}) == {"ResponseMetadata": {"RetryAttempts": 3}}  # a server's fault may be a lost answer
    draws = random.Random(1)
    assert clock.slept == [draws.uniform(0, bound) for bound in (0.05, 0.1, 0.2)]


def test_tries_are_bounded_and_the_last_fault_is_raised(call, loopback):
    loopback.steps = [loopback.fault("ThrottlingException") for _ in range(9)]
    with pytest.raises(Unavailable, match="GetItem: ThrottlingException: because"):
        call("GetItem", {})
    assert len(loopback.requests) == 5


def test_a_refusal_is_not_tried_again_and_keeps_its_code(call, loopback):
    loopback.steps = [loopback.fault("AccessDeniedException")]
    with pytest.raises(Rejected, match="AccessDeniedException") as caught:
        call("GetItem", {})
    assert caught.value.code == "AccessDeniedException"
    assert len(loopback.requests) == 1


def test_a_failed_condition_is_a_conflict_with_the_old_item(call, loopback):
    loopback.steps = [loopback.fault("ConditionalCheckFailedException", Item=ITEM)]
    with pytest.raises(Conflict) as caught:
        call("UpdateItem", {})
    assert caught.value.item == {"id": "a", "n": 1}
    assert type(caught.value) is Conflict


@pytest.mark.parametrize("loss", ["hang_up", "reset", "break_off", "server fault", "garbage", "no object"])
def test_a_lost_answer_is_asked_for_again_and_a_conflict_then_is_ambiguous(call, loopback, loss):
    lost = {
        "server fault": loopback.reply(b"", 500),
        "garbage": loopback.reply(b"<html>not json</html>"),
        "no object": loopback.reply(b"[1]"),
    }.get(loss) or getattr(loopback, loss)
    loopback.steps = [lost, loopback.fault("ConditionalCheckFailedException", Item=ITEM)]
    with pytest.raises(Ambiguous) as caught:
        call("UpdateItem", {})
    assert caught.value.item == {"id": "a", "n": 1}


def test_a_throttle_loses_nothing(call, loopback):
    loopback.steps = [loopback.fault("ThrottlingException"), loopback.fault("ConditionalCheckFailedException")]
    with pytest.raises(Conflict) as caught:
        call("UpdateItem", {})
    assert type(caught.value) is Conflict


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_try_and_no_doubt(call, loopback, clock):
    loopback.steps = [loopback.answer_and_close({"n": 1}), loopback.fault("ConditionalCheckFailedException")]
    assert call("GetItem", {}) == {"n": 1}
    ((connection, _),) = call._pools[""]._idle
    select.select([connection.sock], [], [], 5)  # its end has arrived
    with pytest.raises(Conflict) as caught:
        call("UpdateItem", {})
    assert type(caught.value) is Conflict  # nothing was sent into it, so nothing is in doubt
    assert clock.slept == []


def test_a_kept_connection_that_closes_as_it_is_written_costs_no_try_but_may_have_been_heard(call, loopback, clock):
    loopback.steps = [
        loopback.reply(),
        loopback.hang_up,
        loopback.fault("ConditionalCheckFailedException", Item=ITEM),
    ]
    call("GetItem", {})
    with pytest.raises(Ambiguous):
        call("UpdateItem", {})
    assert clock.slept == []


def test_a_connection_idle_for_long_is_not_trusted(call, loopback, clock):
    call("GetItem", {})
    clock.advance(connections.MOST_IDLE_MS / 1000 + 1)
    call("GetItem", {})
    assert [request.connection for request in loopback.requests] == [1, 2]


def test_a_connection_with_half_an_answer_is_not_used_again(call, loopback, monkeypatch):
    monkeypatch.setattr(protocols, "QUICK", 0.1)
    loopback.steps = [loopback.late(0.3, {"n": "late"}), loopback.reply({"n": 2})]
    assert call("GetItem", {})["n"] == 2
    assert [request.connection for request in loopback.requests] == [1, 2]


def test_a_service_that_stays_silent_is_unavailable(call, loopback, monkeypatch):
    monkeypatch.setattr(protocols, "QUICK", 0.05)
    loopback.steps = [loopback.late(0.2, {}) for _ in range(5)]
    with pytest.raises(Unavailable, match="no answer from http://127"):
        call("GetItem", {})


def test_a_long_poll_may_take_as_long_as_it_waits(loopback, clock, monkeypatch):
    monkeypatch.setattr(protocols, "QUICK", 0.1)
    loopback.steps = [loopback.late(0.5, {"Messages": []})]
    assert signed.caller("sqs", clock=clock)("ReceiveMessage", {"WaitTimeSeconds": 1}) == {"Messages": []}


def test_nobody_listening_is_unavailable_and_nothing_was_sent(credentials, clock, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable, match=f"GetItem: cannot connect to http://127.0.0.1:{port}"):
        signed.caller("dynamodb", clock=clock)("GetItem", {})
    assert len(clock.slept) == 4


@pytest.fixture
def left(clock):
    """Begin an invocation of so many seconds, by the virtual clock; return its deadline."""
    deadline = Deadline()

    def begin(seconds):
        until = clock.now() + seconds * 1000
        stack.enter_context(deadline.during(lambda: (until - clock.now()) / 1000))
        return deadline

    with ExitStack() as stack:
        yield begin


def test_no_try_starts_and_no_wait_is_begun_beyond_the_time_left(loopback, clock, left):
    call = signed.caller("dynamodb", clock=clock, rng=random.Random(1), deadline=left(3.04))
    loopback.steps = [loopback.fault("ThrottlingException") for _ in range(5)]
    clock.advance(3.02)  # half of what is left is 10 ms
    with pytest.raises(Unavailable, match="no time left"):
        call("GetItem", {})
    assert loopback.requests == []

    call = signed.caller("dynamodb", clock=clock, rng=random.Random(1), deadline=left(3.3))
    clock.advance(3.2)  # which leaves 50 ms to the request
    with pytest.raises(Unavailable, match="ThrottlingException"):
        call("GetItem", {})
    assert len(clock.slept) < len(loopback.requests) < 5


def test_an_attempt_has_its_share_of_the_time_left(loopback, monkeypatch):
    """Ten seconds of which five attempts have two each, a tenth as long."""
    monkeypatch.setattr(signed, "_SHORTEST_ATTEMPT", 0.05)
    deadline = Deadline()
    loopback.steps = [loopback.late(0.9, {}), loopback.reply({"n": 2})]
    until = time.monotonic() + 1.3
    with deadline.during(lambda: until - time.monotonic()):
        monkeypatch.setattr(signed, "_LONGEST_SPARE", 0.3)
        began = time.monotonic()
        assert signed.caller("dynamodb", deadline=deadline)("GetItem", {})["n"] == 2
    assert 0.15 <= time.monotonic() - began <= 0.45


def test_threads_get_their_own_answers(call, loopback):
    answers = []
    loopback.steps = [loopback.late(0.02, {}) for _ in range(20)]
    threads = [
        threading.Thread(target=lambda: answers.extend(call("GetItem", {}) for _ in range(10))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(loopback.requests) == 40
    assert loopback.connections <= 4


def test_an_endpoint_of_the_service_wins_and_the_region_has_its_own(credentials, monkeypatch):
    def where(service: str = "sqs") -> str:
        return signed.caller(service)._pool("").address

    assert where() == "https://sqs.eu-north-1.amazonaws.com"
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert where("dynamodb") == "https://dynamodb.cn-north-1.amazonaws.com.cn"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566/")
    assert where() == "http://localhost:4566"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://localhost:9999")
    assert where() == "http://localhost:9999"
    assert where("dynamodb") == "http://localhost:4566"


@pytest.mark.parametrize("address", ["localhost:4566", "ftp://localhost", "http://localhost/prefix", "http://"])
def test_a_wrong_endpoint_is_named(credentials, monkeypatch, address):
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(Rejected, match="AWS_ENDPOINT_URL"):
        signed.caller("sqs")


def test_a_missing_region_or_key_is_named(loopback, clock, monkeypatch):
    call = signed.caller("sqs", clock=clock)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Rejected, match="AWS_SECRET_ACCESS_KEY"):
        call("SendMessage", {})
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(Rejected, match="AWS_REGION"):
        signed.caller("sqs")


def test_no_secret_shows_in_errors_or_representations(call, loopback):
    quoted = "The signature does not match.\n\nPOST\nx-amz-security-token:token-that-must-not-show"
    loopback.steps = [loopback.reply({"__type": "SignatureDoesNotMatch", "message": quoted}, 403)]
    with pytest.raises(Rejected) as caught:
        call("GetItem", {})
    assert "must-not-show" not in str(caught.value) + repr(caught.value) + repr(call) + repr(call._signer)


def test_a_dropped_transport_leaves_no_socket_open(loopback, clock):
    call = signed.caller("dynamodb", clock=clock)
    call("GetItem", {})
    ((connection, _),) = call._pools[""]._idle
    del call
    assert connection.sock is None


def test_the_lean_transport_and_its_adapters_load_no_sdk():
    script = (
        "import sys, offload.aws.signed, offload.aws.table, offload.aws.queues, offload.aws.blobs, offload.aws.timers\n"
        "found = {'boto3', 'botocore', 'urllib3', 'requests'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": ":".join(sys.path)})
