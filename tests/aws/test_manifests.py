from __future__ import annotations

import heapq
import random

import greenlet
import pytest
from botocore.exceptions import ClientError

from offload.aws import manifests, sdk
from offload.aws.calls import Rejected, Throttled
from offload.core.errors import Refused, Unavailable
from offload.core.manifest import Manifest, pack_tasks

MANIFEST = Manifest(
    stack="blue",
    account="1",
    region="eu-north-1",
    table="jobs",
    bucket="blobs",
    tasks={"send_email": {"priorities": ["default"]}},
    timers={"group": "g", "role": "r"},
)


def test_a_stack_is_read_from_its_parameter():
    asked = []

    def call(operation, params):
        asked.append((operation, params))
        return {"Parameter": {"Value": MANIFEST.dump()}}

    assert manifests.read("blue", call) == MANIFEST
    assert asked == [("GetParameter", {"Name": "/offload/blue/manifest"})]


def test_a_stack_that_is_not_deployed_is_told_with_the_way_to_deploy_it():
    def call(operation, params):
        raise Rejected("GetParameter: ParameterNotFound", "ParameterNotFound")

    with pytest.raises(Refused, match=r"'blue' is not deployed.*cdk deploy.*offload local up.*AWS_REGION"):
        manifests.read("blue", call)


def test_other_trouble_stays_what_it_is():
    def call(operation, params):
        raise Rejected("GetParameter: AccessDenied: no", "AccessDenied")

    with pytest.raises(Rejected, match="AccessDenied"):
        manifests.read("blue", call)


class Parameters:
    """SSM, with a stack that is deployed again while it is read."""

    def __init__(self, deployments):
        self.deployments = deployments
        self.asked = []

    def __call__(self, operation, params):
        self.asked.append(operation)
        packed = pack_tasks(MANIFEST.tasks)
        if operation == "GetParameter":
            return {"Parameter": {"Value": MANIFEST.dump(["/part/0", "/part/1"])}}
        self.deployments -= 1
        kept = params["Names"] if self.deployments < 0 else params["Names"][:1]
        halves = {"/part/0": packed[:10], "/part/1": packed[10:]}
        return {"Parameters": [{"Name": name, "Value": halves[name]} for name in kept]}


@pytest.mark.parametrize("deployments", [0, 1, 2])
def test_parts_that_a_deployment_has_deleted_meanwhile_are_looked_up_again(deployments):
    call = Parameters(deployments)
    assert manifests.read("blue", call) == MANIFEST
    assert call.asked == ["GetParameter", "GetParameters"] * (deployments + 1)


def test_a_stack_that_is_deployed_all_the_time_is_unavailable():
    with pytest.raises(Unavailable, match="the stack is being deployed, try again"):
        manifests.read("blue", Parameters(99))


# Throttles


class Bucket:
    """SSM's quota for an account, 40 requests a second, on a clock that producers share.

    A producer that waits gives way to the next one, as threads do.
    """

    def __init__(self):
        self.at, self.tokens, self.filled_at = 0.0, 40.0, 0.0
        self.requests = 0
        self.waiting = []
        self.refuse_all = False

    def now(self):
        return round(self.at * 1000)

    def sleep(self, seconds):
        heapq.heappush(self.waiting, (self.at + seconds, len(self.waiting) + self.requests, greenlet.getcurrent()))
        self.hub.switch()

    def __call__(self, operation, params):
        self.requests += 1
        self.tokens = min(40.0, self.tokens + (self.at - self.filled_at) * 40)
        self.filled_at = self.at
        if self.tokens < 1 or self.refuse_all:
            raise Throttled(f"{operation}: ThrottlingException: Rate exceeded")
        self.tokens -= 1
        return {"Parameter": {"Value": MANIFEST.dump()}}

    def start(self, producers, **options):
        """Have producers read at once; returns when each was answered, in seconds, or its error."""
        answers, rng = [], random.Random(1)

        def produce():
            try:
                assert manifests.read("blue", self, clock=self, rng=rng, **options) == MANIFEST
            except Unavailable as error:
                answers.append((self.at, error))
            else:
                answers.append((self.at, None))

        self.hub = greenlet.getcurrent()
        for _ in range(producers):
            greenlet.greenlet(produce).switch()
        while self.waiting:
            self.at, _, producer = heapq.heappop(self.waiting)
            producer.switch()
        assert len(answers) == producers
        return answers


def test_five_hundred_producers_that_start_together_all_read_it_and_ask_seldom():
    bucket = Bucket()
    answers = bucket.start(500)
    assert [error for _, error in answers if error] == []
    assert max(answers)[0] < 40
    assert bucket.requests < 3 * 500


def test_two_thousand_have_it_within_a_minute():
    bucket = Bucket()
    answers = bucket.start(2000)
    assert sum(error is not None for _, error in answers) < 20
    assert max(at for at, _ in answers) <= 60


@pytest.mark.parametrize(("patience", "most"), [(60, 12), (2, 4), (0, 1)])
def test_throttles_without_end_are_told_when_the_callers_time_is_over(patience, most):
    bucket = Bucket()
    bucket.refuse_all = True
    [(at, error)] = bucket.start(1, patience=patience)
    assert at <= patience
    assert bucket.requests <= most
    assert "Rate exceeded" in str(error)
    assert "high-throughput-enabled" in str(error)


def test_the_parts_have_no_minute_of_their_own(clock):
    def call(operation, params):
        if operation == "GetParameter":
            clock.sleep(50)
            return {"Parameter": {"Value": MANIFEST.dump(["/part/0"])}}
        raise Throttled("Rate exceeded")

    began_at = clock.now()
    with pytest.raises(Throttled):
        manifests.read("blue", call, clock=clock, rng=random.Random(1))
    assert clock.now() - began_at <= 60_000


def test_the_transport_leaves_throttles_of_ssm_to_the_read(clock):
    asked = []

    class Client:
        def get_parameter(self, **params):
            asked.append(params)
            raise ClientError({"Error": {"Code": "ThrottlingException"}}, "GetParameter")

    with pytest.raises(Throttled):
        manifests.read("blue", sdk.caller("ssm", Client, clock=clock), patience=0)
    assert len(asked) == 1, "each of the read's own attempts is one request"
