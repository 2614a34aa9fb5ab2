from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offload import DefinitionError
from offload.core.durations import seconds, text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("30s", 30),
        ("5m", 300),
        ("4m30s", 270),
        ("2h", 7200),
        ("7d", 604_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 1H 30M ", 5400),
        (0, 0),
        (2.5, 2.5),
        (timedelta(minutes=5), 300),
    ],
)
def test_what_is_understood(written, meant):
    assert seconds(written, field="delay") == pytest.approx(meant)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "5",
        "m",
        "5 minutes",
        "-5m",
        "5m5",
        "s5",
        "1e3s",
        "\u0665",
        "inf",
        None,
        True,
        [],
        float("nan"),
        10**400,
        "9" * 400 + "s",
    ],
)
def test_what_is_not_a_duration_names_the_setting(written):
    with pytest.raises(DefinitionError, match="delay="):
        seconds(written, field="delay")


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [(-1, 0, None), ("59s", 60, None), ("16m", 0, 900), (timedelta.max, 0, None), (-1e300, 0, None)],
)
def test_out_of_range_says_the_range(written, least, most):
    with pytest.raises(DefinitionError, match=r"delay=.* is out of range: give at least \w+ and at most \w+"):
        seconds(written, field="delay", least=least, most=most)


@given(st.integers(0, 10**8))
def test_what_is_written_is_read_back(value):
    assert seconds(text(value), field="x") == value


@pytest.mark.parametrize(
    ("value", "short"), [(90, "1m30s"), (0, "0s"), (0.25, "250ms"), (86_400, "1d"), (3661.5, "1h1m1.5s")]
)
def test_short_writing(value, short):
    assert text(value) == short
