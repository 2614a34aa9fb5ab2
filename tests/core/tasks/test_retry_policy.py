from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload import DefinitionError, PayloadError, Permanent, Retry, RetryLater, WrongResult
from offload.core.tasks.retry_policy import GiveUp, RunAgain

DOUBLING = Retry(max_attempts=4, base="10s", cap="1m", jitter=False)
CHOOSY = Retry(max_attempts=4, on=(OSError,), never=(FileNotFoundError,), base="10s", jitter=False)


class Lying(Exception):
    @property
    def __class__(self):
        raise RuntimeError("ask somebody else")


class Later(RetryLater):
    def __init__(self, delay):
        super().__init__()
        self.delay = delay


class Forgetful(RetryLater):
    def __init__(self):
        pass


@pytest.mark.parametrize(
    ("retry", "error", "attempt", "then"),
    [
        (DOUBLING, ValueError(), 1, RunAgain(10)),
        (DOUBLING, ValueError(), 2, RunAgain(20)),
        (DOUBLING, ValueError(), 3, RunAgain(40)),
        (DOUBLING, ValueError(), 4, GiveUp("exhausted")),
        (DOUBLING, ValueError(), 5, GiveUp("exhausted")),
        (DOUBLING, Permanent("no"), 1, GiveUp("permanent")),
        (DOUBLING, Permanent("no"), 4, GiveUp("permanent")),
        (DOUBLING, SystemExit(), 1, RunAgain(10)),
        (DOUBLING, SystemExit(), 4, GiveUp("exhausted")),
        (DOUBLING, KeyboardInterrupt(), 1, RunAgain(10)),
        (CHOOSY, SystemExit(), 1, GiveUp("not retried")),
        (Retry(never=(SystemExit,)), SystemExit(), 1, GiveUp("not retried")),
        (Retry(never=(SystemExit,), base=0), KeyboardInterrupt(), 1, RunAgain(0)),
        (Retry(never=(Exception,), on=(SystemExit,)), SystemExit(), 1, GiveUp("not retried")),
        (Retry(on=(SystemExit,), base=0), SystemExit(), 1, RunAgain(0)),
        (Retry(on=(SystemExit,)), KeyboardInterrupt(), 1, GiveUp("not retried")),
        (Retry(on=(SystemExit,)), ValueError(), 1, GiveUp("not retried")),
        (Retry(on=(BaseException,), base=0), SystemExit(), 1, RunAgain(0)),
        (Retry(on=(BaseException,), never=(KeyboardInterrupt,)), KeyboardInterrupt(), 1, GiveUp("not retried")),
        (DOUBLING, RetryLater(delay="5m"), 1, RunAgain(300)),
        (DOUBLING, RetryLater(delay=0), 1, RunAgain(0)),
        (DOUBLING, RetryLater(), 2, RunAgain(20)),
        (DOUBLING, RetryLater(delay="5m"), 4, GiveUp("exhausted")),
        (CHOOSY, ConnectionError(), 1, RunAgain(10)),
        (CHOOSY, FileNotFoundError(), 1, GiveUp("not retried")),
        (CHOOSY, ValueError(), 1, GiveUp("not retried")),
        (CHOOSY, RetryLater(delay=7), 1, RunAgain(7)),
        (CHOOSY, Permanent("no"), 1, GiveUp("permanent")),
        (Retry(max_attempts=1), ValueError(), 1, GiveUp("exhausted")),
        (Retry(on=(BaseException,)), WrongResult("no"), 1, GiveUp("permanent")),
        (DOUBLING, PayloadError("of what the task has called"), 1, RunAgain(10)),
        (DOUBLING, Later("5m"), 1, RunAgain(300)),
        (DOUBLING, Later("when it rains"), 1, RunAgain(10)),
        (DOUBLING, Forgetful(), 1, RunAgain(10)),
        (Retry(max_attempts=99, base="1s", cap="12h", jitter=False), ValueError(), 98, RunAgain(43_200)),
        (Retry(base=0, jitter=False), ValueError(), 1, RunAgain(0)),
        # A group is what it holds, at any depth.
        (DOUBLING, ExceptionGroup("two", [ValueError(), Permanent()]), 1, GiveUp("permanent")),
        (DOUBLING, ExceptionGroup("deep", [ExceptionGroup("", [KeyError(), Permanent()])]), 1, GiveUp("permanent")),
        (DOUBLING, ExceptionGroup("two", [RetryLater(delay=5), RetryLater(delay=7)]), 1, RunAgain(7)),
        (DOUBLING, ExceptionGroup("two", [RetryLater(delay=5), RetryLater()]), 4, GiveUp("exhausted")),
        (DOUBLING, ExceptionGroup("one of two", [RetryLater(delay=5), ValueError()]), 1, RunAgain(10)),
        (DOUBLING, BaseExceptionGroup("exits", [SystemExit()]), 1, RunAgain(10)),
        (CHOOSY, ExceptionGroup("covered", [ConnectionError(), TimeoutError()]), 1, RunAgain(10)),
        (CHOOSY, ExceptionGroup("one is not", [ConnectionError(), ValueError()]), 1, GiveUp("not retried")),
        (CHOOSY, ExceptionGroup("one is never", [ConnectionError(), FileNotFoundError()]), 1, GiveUp("not retried")),
        (CHOOSY, ExceptionGroup("one by choice", [ConnectionError(), RetryLater(delay=5)]), 1, RunAgain(10)),
        (Retry(on=(ExceptionGroup,), jitter=False), ExceptionGroup("", [ValueError()]), 1, RunAgain(10)),
    ],
)
def test_what_follows_a_failed_attempt(retry, error, attempt, then):
    assert retry.decide(error, attempt, random.Random(1)) == then


def test_an_error_that_cannot_be_asked_for_its_class_is_decided_by_its_class():
    assert DOUBLING.decide(Lying(), 1, random.Random(1)) == RunAgain(10)
    assert Retry(never=(Lying,)).decide(Lying(), 1, random.Random(1)) == GiveUp("not retried")


@given(st.integers(1, 99), st.integers(0, 2**32))
def test_jitter_is_drawn_from_the_whole_bound(attempt, seed):
    retry = Retry(max_attempts=100, base="2s", cap="5m")
    decision = retry.decide(ValueError(), attempt, random.Random(seed))
    assert 0 <= decision.delay <= min(300, 2 * 2 ** (attempt - 1))
    assert decision == retry.decide(ValueError(), attempt, random.Random(seed))


def test_jitter_is_full():
    rng = random.Random(3)
    drawn = [Retry(base="100s").decide(ValueError(), 1, rng).delay for _ in range(2000)]
    assert min(drawn) < 2
    assert max(drawn) > 98
    assert sum(drawn) / 2000 == pytest.approx(50, abs=3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"max_attempts": 0}, "retry.max_attempts=0"),
        ({"max_attempts": 101}, "retry.max_attempts=101"),
        ({"max_attempts": 2.5}, "retry.max_attempts=2.5"),
        ({"max_attempts": True}, "retry.max_attempts=True"),
        ({"jitter": "no"}, "retry.jitter='no' must be True or False"),
        ({"jitter": 0}, "retry.jitter=0 must be True or False"),
        ({"base": "soon"}, "retry.base='soon'"),
        ({"base": -1}, "retry.base=-1"),
        ({"cap": "13h"}, "retry.cap='13h'"),
        ({"on": "OSError"}, "retry.on takes exception classes"),
        ({"on": (OSError(),)}, "retry.on takes exception classes"),
        ({"never": (int,)}, "retry.never takes exception classes"),
    ],
)
def test_a_wrong_policy_is_refused_where_it_is_written(given, said):
    with pytest.raises(DefinitionError) as refused:
        Retry(**given)
    assert said in str(refused.value)


def test_one_class_or_a_list_will_do():
    assert Retry(on=OSError).on == Retry(on=[OSError]).on == (OSError,)


@pytest.mark.parametrize("delay", ["soon", -1, float("nan")])
def test_a_wrong_delay_is_refused_where_it_is_raised(delay):
    with pytest.raises(DefinitionError, match="delay="):
        RetryLater(delay=delay)
