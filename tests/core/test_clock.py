from __future__ import annotations

import math

from offload.core.clock import Deadline


def test_a_request_ends_before_its_invocation_by_what_is_to_be_spared():
    deadline, remaining = Deadline(), [60.0]
    with deadline.during(lambda: remaining[-1]):
        request = deadline.begin("dynamodb", 3)
        assert request.left() == 57
        remaining.append(4.0)
        assert request.left() == 1
        # A request that begins late has half of what is left: the end of a run is worth it.
        assert deadline.begin("dynamodb", 3).left() == 2
        # But not once the service has used up its time.
        request.ran_out()
        assert deadline.begin("dynamodb", 3).left() == 1
        assert deadline.begin("sqs", 2).left() == 2
        remaining.append(2.0)
        assert deadline.begin("dynamodb", 3).left() == -1
        assert deadline.begin("sqs", 2).left() == 1


def test_the_next_invocation_asks_a_service_that_used_up_its_time_again():
    deadline = Deadline()
    with deadline.during(lambda: 4.0):
        deadline.begin("dynamodb", 3).ran_out()
    with deadline.during(lambda: 4.0):
        assert deadline.begin("dynamodb", 3).left() == 2


def test_outside_an_invocation_there_is_no_end():
    deadline = Deadline()
    assert deadline.begin("sqs", 2).left() == math.inf
    with deadline.during(lambda: 1.0):
        assert deadline.begin("sqs", 2).left() == 0.5
    assert deadline.begin("sqs", 2).left() == math.inf
