from __future__ import annotations

import pytest

from offload import Allow, DefinitionError


def test_one_action_or_several():
    assert Allow("s3:GetObject", "a").actions == ("s3:GetObject",)
    assert Allow(("s3:GetObject", "s3:Put*"), ["a", "b"]).resources == ("a", "b")


@pytest.mark.parametrize(
    ("actions", "resources", "said"),
    [
        ("*", "*", "action '*'"),
        ("s3:*", "*", "action 's3:*'"),
        ((), "*", "actions=()"),
        ("s3:GetObject", "", "resources=''"),
        (5, "*", "allow: actions=5 must be a text"),
        ("s3:GetObject", None, "allow: resources=None must be a text"),
        ({"s3:GetObject": 1}, "*", "actions={'s3:GetObject': 1} must be"),
    ],
)
def test_what_would_open_more_than_it_says_is_refused(actions, resources, said):
    with pytest.raises(DefinitionError) as refused:
        Allow(actions, resources)
    assert said in str(refused.value)


@pytest.mark.parametrize("conditions", ["no", True, {"StringEquals": "x"}, []])
def test_conditions_that_are_no_condition_block_are_refused(conditions):
    with pytest.raises(DefinitionError, match=r"allow: conditions=.* must map operators to conditions"):
        Allow("s3:GetObject", "*", conditions)
