"""Options, and the way from `.delay()` to a client."""

from __future__ import annotations

import pytest

from offload import DefinitionError, task, use
from offload.core import producing
from offload.core.producing import Options, Order


class Orders:
    def __init__(self):
        self.sent: list[Order] = []

    def send(self, order):
        self.sent.append(order)
        return "handle"

    def send_many(self, orders):
        self.sent += orders
        return ["handle"] * len(orders)


@pytest.fixture
def orders():
    taken = Orders()
    use(taken)
    yield taken
    use(None)


@task(priorities=("default", "high"), expires="1h")
def work(a: int, b: str = "b") -> None: ...


@task
def plain(a: int = 0) -> None: ...


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"delay": -1}, "delay=-1"),
        ({"delay": "366d"}, "delay='366d'"),
        ({"delay": "soon"}, "delay='soon'"),
        ({"expires": 0}, "expires=0"),
        ({"expires": 1e15}, "expires="),
        ({"id": ""}, "id=''"),
        ({"id": "a b"}, "id='a b'"),
        ({"id": "rate#work"}, "id='rate#work'"),
        ({"id": 5}, "id=5"),
        ({"key": ""}, "key=''"),
        ({"key": "x" * 129}, "key="),
        ({"key": "a\nb"}, "key="),
        ({"tenant": 5}, "tenant=5"),
        ({"tenant": "\ud800"}, "tenant="),
    ],
)
def test_a_wrong_option_is_named(options, said):
    with pytest.raises(DefinitionError) as refused:
        work.options(**options)
    assert said in str(refused.value)


def test_a_lane_the_task_does_not_have_is_told_with_those_it_has(orders):
    with pytest.raises(DefinitionError, match="priority='low': task 'work' has the lanes default, high"):
        work.options(priority="low").delay(1)
    assert orders.sent == []


def test_options_do_not_mix_with_arguments(orders):
    work.options(delay="1m", priority="high", key="k", tenant="t", expires="1d", id="a").delay(1, b="x")
    (order,) = orders.sent
    assert order.payload == {"a": 1, "b": "x"}
    assert order.options == Options(delay="1m", priority="high", key="k", tenant="t", expires="1d", id="a")
    assert (order.task, order.max_attempts) == ("work", work.settings.retry.max_attempts)


def test_celerys_spelling(orders):
    plain.apply_async(args=[1], countdown=60)
    plain.apply_async(kwargs={"a": 2}, tenant="t")
    plain.apply_async((3,), delay="2m")
    assert [(order.payload, order.options) for order in orders.sent] == [
        ({"a": 1}, Options(delay=60)),
        ({"a": 2}, Options(tenant="t")),
        ({"a": 3}, Options(delay="2m")),
    ]
    with pytest.raises(DefinitionError, match="unknown option 'eta': choose from delay"):
        plain.apply_async((1,), eta=5)


def test_a_tasks_own_expiry_holds_unless_the_call_says_otherwise(orders):
    work.delay(1)
    work.options(expires="5m").delay(1)
    plain.delay(1)
    assert [order.options.expires for order in orders.sent] == ["1h", "5m", None]


def test_many_calls_in_each_spelling(orders):
    assert plain.delay_many([{"a": 1}, (2,), 3]) == ["handle"] * 3
    assert [order.payload for order in orders.sent] == [{"a": 1}, {"a": 2}, {"a": 3}]


def test_many_calls_of_which_one_does_not_fit_send_nothing(orders):
    from offload import PayloadError

    with pytest.raises(PayloadError):
        plain.delay_many([{"a": 1}, {"a": "x"}])
    assert orders.sent == []


@pytest.mark.parametrize("options", [{"id": "a"}, {"key": "k"}])
def test_many_calls_cannot_share_an_id(orders, options):
    with pytest.raises(DefinitionError, match="name one job"):
        plain.options(**options).delay_many([{}])


def test_the_client_in_force_is_built_once_and_only_when_asked_for(monkeypatch):
    built = []
    monkeypatch.setattr(producing, "_current", None)
    monkeypatch.setattr(producing, "_build", lambda: built.append(1) or Orders())
    assert built == []
    plain.delay()
    plain.delay()
    assert built == [1]
    monkeypatch.setattr(producing, "_current", None)
    monkeypatch.setattr(producing, "_build", None)
    with pytest.raises(DefinitionError, match=r"call offload\.use"):
        plain.delay()
