from __future__ import annotations

import pytest

from offload import DefinitionError, RateLimit


@pytest.mark.parametrize(("rate", "interval"), [("10/m", 6), ("1/s", 1), ("0.5/s", 2), ("1/d", 86_400), (" 60/h ", 60)])
def test_the_interval_of_a_rate(rate, interval):
    assert RateLimit(rate).interval() == interval


@pytest.mark.parametrize(
    ("rate", "burst", "said"),
    [
        ("10", 1, "rate='10'"),
        ("0/m", 1, "rate='0/m'"),
        ("10/w", 1, "rate='10/w'"),
        (10, 1, "rate=10"),
        ("1/s", 0, "burst=0"),
        ("1/s", True, "burst=True"),
    ],
)
def test_a_wrong_limit_is_named(rate, burst, said):
    with pytest.raises(DefinitionError) as refused:
        RateLimit(rate, burst=burst)
    assert said in str(refused.value)
