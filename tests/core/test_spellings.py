from __future__ import annotations

import base64
import html
import json
import reprlib
from enum import Enum
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from offload.core.redaction import Redaction
from offload.core.spellings import Pieces, leaves

TOKEN = "AKIAIOSFODNN7EXAMPLE-wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY-0123456789"
URL = "https://hooks.example.com/services/T024BE7LD/B0KQ2/s3cr3tXXYYZZ"


def letters(size):
    """Return a text in which no ten characters stand twice."""
    return "".join(f"{number:x}".rjust(6, "g") for number in range(1 + size // 6))[:size]


def left_of(secret, shown, size):
    """Return the runs of so many characters that a text still has of a secret."""
    return [secret[at : at + size] for at in range(len(secret) - size + 1) if secret[at : at + size] in shown]


def as_pydantic_quotes(text):
    with pytest.raises(ValidationError) as failed:
        TypeAdapter(int).validate_python(text)
    return str(failed.value)


def as_int_quotes(text):
    with pytest.raises(ValueError, match="invalid literal") as failed:
        int(text)
    return str(failed.value)


@pytest.mark.parametrize(
    "cut",
    [
        as_pydantic_quotes,
        as_int_quotes,
        reprlib.repr,
        lambda text: text[:10] + "...",
        lambda text: "..." + text[-10:],
        lambda text: f"...{text[20:30]}...",
    ],
)
@pytest.mark.parametrize("secret", [TOKEN, TOKEN * 5])
def test_a_secret_that_was_cut_is_redacted(cut, secret):
    said = cut(secret)
    assert left_of(secret, said, 10)  # there is something to find
    shown = Redaction([secret]).redact(said)
    assert "***" in shown
    assert not left_of(secret, shown, 4)


@pytest.mark.parametrize(
    "spelling",
    [
        repr,
        json.dumps,
        html.escape,
        lambda text: quote(text, safe=""),
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(b"u:" + text.encode()).decode(),
    ],
)
def test_a_spelling_that_was_cut_is_redacted(spelling):
    secret = 'päß?>"w&rd\\tok~~4711\n\tüüü???>>>'
    spelled = spelling(secret)
    for begin in range(4, len(spelled) - 20):
        piece = spelled[begin : begin + 12]
        assert Redaction([secret]).redact(f"... {piece} ...") == "... *** ...", piece


@pytest.mark.parametrize(
    "text",
    [
        "see https://docs.pydantic.dev",
        "value:                    ^^^^^^^",
        'File "/var/task/hooks.py", line 7, in services',
        "the example said hooks.ex",
    ],
)
def test_what_is_no_piece_stays(text):
    indented = "a:\n" + " " * 30 + "b: s3cr3t"
    assert Redaction([URL, indented]).redact(text) == text


@given(
    st.text(min_size=10, max_size=80),
    st.integers(0, 70),
    st.integers(10, 80),
    st.text(max_size=12),
    st.text(max_size=12),
)
def test_no_run_of_ten_characters_is_left(secret, begin, size, before, after):
    text = before + secret[min(begin, len(secret) - 10) :][:size] + after
    rests = Redaction([secret]).redact(text).split("***")
    assert not any(found.strip() for rest in rests for found in left_of(secret, rest, 10))


@pytest.mark.parametrize("size", [7_000, 100_000, 1_000_000])
def test_the_pieces_of_large_secrets_are_bounded_and_found(size):
    secret = letters(size)
    pieces = Pieces((secret,))
    assert kept(pieces) < 200_000
    shown = Redaction([secret]).redact
    for cut in (secret[:10], secret[-10:], *(secret[at : at + 20] for at in range(size // 2, size // 2 + 30))):
        assert shown(f"{'before':_>30} {cut} {'after':_<30}").count("***") == 1
        assert not left_of(cut, shown(f"before {cut} after"), 4)
        assert "_" * 20 in shown(f"{'':_>30}{cut}")


def kept(pieces):
    return sum(map(len, pieces._by_length.values()))


def test_the_work_grows_as_the_secrets_do():
    once, twice = (kept(Pieces((letters(size),))) for size in (3_000, 6_000))
    assert once < 14 * 3_000
    assert twice < 2.1 * once


def test_of_many_secrets_each_is_found():
    people = [f"user{number}@example-{number * 7919 % 10007}.org" for number in range(20_000)]
    redaction = Redaction([people])
    for person in people[::1_000]:
        shown = redaction.redact(f"no address: {person!r}")
        assert shown.startswith("no addr")
        assert not left_of(person, shown, 4)
    assert kept(Pieces(tuple(people))) < 200_000


def test_each_line_of_a_large_secret_is_found():
    lines = [f"{number:05d} {letters(20 + number % 40)}" for number in range(20_000)]
    redaction = Redaction(["\n".join(lines)])
    for line in lines[::1_111]:
        assert not left_of(line, redaction.redact(f"bad line: {line}"), 6)


def test_a_short_secret_beside_a_large_one_is_known_in_every_spelling():
    redaction = Redaction([letters(500_000), TOKEN])
    assert redaction.redact(TOKEN.encode().hex()) == "***"


class Colour(Enum):
    RED = "colour-red"


def test_leaves_of_what_holds_itself():
    person = SimpleNamespace(name="Ann", colour=Colour.RED, pins=[1234, None, True, ""])
    person.friend = person
    assert set(leaves([person, person])) == {"Ann", "RED", "colour-red", "1234"}
