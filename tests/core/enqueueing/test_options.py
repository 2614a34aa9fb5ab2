from __future__ import annotations

import pytest

from offload import DefinitionError, EnqueueOptions
from offload.core.enqueueing.options import CheckedOptions


@pytest.mark.parametrize(
    ("given", "said"),
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
def test_a_wrong_option_is_named(given, said):
    with pytest.raises(DefinitionError) as refused:
        CheckedOptions.read(given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("unknown", "nearest"), [("dely", "delay"), ("priorty", "priority"), ("tenent", "tenant"), ("expire", "expires")]
)
def test_an_unknown_option_suggests_the_nearest_name(unknown, nearest):
    with pytest.raises(DefinitionError) as refused:
        CheckedOptions.read({"key": "k", unknown: 5})
    assert str(refused.value).startswith(f"unknown option {unknown!r} (did you mean {nearest!r}?): choose from delay, ")


def test_an_option_that_is_like_no_other_suggests_none():
    with pytest.raises(DefinitionError, match="unknown option 'colour': choose from delay, priority, key, "):
        CheckedOptions.read({"colour": "red"})


def test_the_names_that_type_checkers_know_are_those_that_are_checked():
    assert list(EnqueueOptions.__annotations__) == list(CheckedOptions.__dataclass_fields__)
    assert EnqueueOptions.__required_keys__ == frozenset()


@pytest.mark.parametrize(("delay", "seconds"), [(None, 0.0), (0, 0.0), ("1m30s", 90.0)])
def test_a_delay_in_seconds(delay, seconds):
    assert CheckedOptions(delay=delay).delay_seconds == seconds
