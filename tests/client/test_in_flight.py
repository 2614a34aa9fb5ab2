"""A few requests at once, and bulk enqueueing with them: the machine's clock, threads, slow ports."""

from __future__ import annotations

import random
import threading
import time
from contextvars import ContextVar

import pytest

from offload import Client, PartlyEnqueued, Unavailable
from offload.client.in_flight import MOST_AT_ONCE, InFlight
from offload.core.clock import SystemClock
from offload.core.messages.message import Message
from tests.client.receipts import send


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_outcomes_are_met_in_order_by_the_thread_that_asked(threads):
    here, met, ran_in = threading.get_ident(), [], set()

    def request(number):
        time.sleep(0.01 * (number % 3))
        ran_in.add(threading.get_ident())
        return number

    def settle(number):
        assert threading.get_ident() == here
        met.append(number)

    with InFlight(threads) as in_flight:
        for number in range(12):
            in_flight.start(lambda number=number: request(number), settle)
        in_flight.finish()
    assert met == list(range(12))
    assert (here in ran_in) is (threads == 0)
    assert len(ran_in) <= max(threads, 1)


def test_a_request_sees_the_callers_context():
    variable = ContextVar("variable", default="nobody")
    variable.set("caller")
    seen = []
    with InFlight(2) as in_flight:
        in_flight.start(variable.get, seen.append)
        in_flight.finish()
    assert seen == ["caller"]


def test_requests_that_settling_starts_are_waited_for():
    met = []
    with InFlight(2) as in_flight:
        in_flight.start(lambda: 1, lambda one: in_flight.start(lambda: one + 1, met.append))
        in_flight.finish()
    assert met == [2]


def test_what_a_request_raises_is_raised_and_nothing_more_is_begun():
    began, go_on = [], threading.Event()

    def fail():
        raise ZeroDivisionError

    def slow():
        began.append("slow")
        assert go_on.wait(5)

    def start_both():
        with InFlight(1) as in_flight:
            in_flight.start(fail, print)
            in_flight.start(slow, print)

    go_on.set()
    with pytest.raises(ZeroDivisionError):
        start_both()
    assert began in ([], ["slow"])


class Slow:
    """Ports that take their time, keep what they are given and count how many requests they carry out at once."""

    def __init__(self, refused=()):
        self.bodies, self.records, self.most = [], {}, 0
        self._refused, self._now, self._lock = set(refused), 0, threading.Lock()

    def _request(self):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.005)
        with self._lock:
            self._now -= 1

    def send_batch(self, _queue, messages):
        self._request()
        answers = []
        with self._lock:
            for message in messages:
                refused = Message.decode(message.body).payload["to"] in self._refused
                answers.append(Unavailable("throttled") if refused else "id")
                if not refused:
                    self.bodies.append(message.body)
        return answers

    def apply_many(self, writes):
        self._request()
        with self._lock:
            sent = {Message.decode(body).id for body in self.bodies}
            assert all(write.id in sent for write in writes), "a record goes after its message"
            self.records |= {write.id: {"id": write.id, **write.set} for write in writes}
        return [self.records[write.id] for write in writes]

    def get_many(self, keys):
        self._request()
        return {key: self.records[key] for key in keys if key in self.records}


def client_of(deploy, ports):
    manifest = deploy(send).manifest
    return Client(
        manifest, store=ports, queues=ports, blobs=None, timers=None, clock=SystemClock(), rng=random.Random(1)
    )


def test_many_jobs_are_sent_by_several_requests_at_once(deploy):
    ports = Slow()
    client = client_of(deploy, ports)
    told = []
    jobs = client.enqueue_many(
        "send", [{"to": str(number)} for number in range(600)], progress=lambda done, _: told.append(done)
    )
    assert 1 < ports.most <= MOST_AT_ONCE
    assert {job.id for job in jobs} == set(ports.records) == {Message.decode(body).id for body in ports.bodies}
    assert len(ports.bodies) == 600
    assert told == sorted(told)
    assert told[-1] == 600


def test_threads_lose_no_failure_and_the_same_prefix_goes_on(deploy):
    ports = Slow(refused={str(number) for number in range(0, 300, 7)})
    client = client_of(deploy, ports)
    payloads = [{"to": str(number)} for number in range(300)]
    with pytest.raises(PartlyEnqueued) as partly:
        client.enqueue_many("send", payloads)
    assert sorted(partly.value.failures) == list(range(0, 300, 7))
    ports._refused.clear()
    jobs = client.enqueue_many("send", payloads, id_prefix=partly.value.id_prefix)
    assert [number for number, job in enumerate(jobs) if job.created] == list(range(0, 300, 7))
    assert len(ports.bodies) == len(ports.records) == 300


def test_no_thread_is_left_behind(deploy):
    client_of(deploy, Slow()).enqueue_many("send", [{"to": "a"}] * 50)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("offload-bulk")]
