from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from decimal import Decimal  # noqa: TC003 - the signature needs it
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretBytes, SecretStr

from offload import DefinitionError, PayloadError, Secret
from offload.core import redaction
from offload.core.redaction import Redaction, learning_secrets, redact, redact_json
from offload.core.tasks.signature import Signature


class Card(BaseModel):
    holder: str
    number: Secret[str]


@dataclass
class Login:
    user: str
    password: Secret[str]


def read(function, payload):
    with learning_secrets():
        return Signature("work", function).read(payload)


def test_a_task_gets_the_plain_value():
    def work(token: Secret[str], raw: Secret[bytes], limit: Secret[int] = 1) -> None: ...

    payload = Signature("work", work).bind(("tok-1", b"\x00\xff"), {"limit": 7})
    assert read(work, payload) == {"token": "tok-1", "raw": b"\x00\xff", "limit": 7}


@pytest.mark.parametrize(
    "spelling",
    [
        lambda text: text,
        repr,
        json.dumps,
        lambda text: quote(text, safe=""),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: f"https://x/?token={text}&a=1",
        lambda text: text.encode().hex(),
        html.escape,
    ],
)
@pytest.mark.parametrize("secret", ["tok-4711", "päß wörd", 'a"b\\c', "line\nline", "123"])
def test_every_spelling_of_a_secret_is_redacted(spelling, secret):
    def work(token: Secret[str]) -> None: ...

    read(work, {"token": secret})
    shown = redact(f"before {spelling(secret)} after")
    assert "***" in shown
    assert secret not in shown
    assert spelling(secret) not in shown
    assert (shown[:7], shown[-6:]) == ("before ", " after")


@pytest.mark.parametrize("user", ["a", "ab", "abc", "apikey"])
@pytest.mark.parametrize("secret", ["hunter2hunter2", "hunter2hunter22", "hunter2hunter222", "päß?~wörd>>"])
def test_a_secret_within_base64_is_redacted(user, secret):
    def work(token: Secret[str]) -> None: ...

    read(work, {"token": secret})
    header = base64.b64encode(f"{user}:{secret}".encode()).decode()
    shown = redact(f"Authorization: Basic {header}")
    assert "***" in shown
    kept = shown.removeprefix("Authorization: Basic ").replace("***", "")
    assert len(kept) <= len(header) - len(base64.b64encode(secret.encode()).rstrip(b"=")) + 3


@pytest.mark.parametrize("indent", ["", "    | "])
def test_each_line_of_a_secret_is_redacted(indent):
    def work(key: Secret[str]) -> None: ...

    key = "-----BEGIN PRIVATE KEY-----\ns3cr3tAAAA\ns3cr3tBBBB\n-----END PRIVATE KEY-----\n"
    read(work, {"key": key})
    shown = redact("\n".join(indent + line for line in f"key: {key}".splitlines()))
    assert "s3cr3t" not in shown


def test_secrets_are_found_however_deep_they_lie():
    def work(cards: list[Card], login: Login, all: Secret[dict[str, list[Decimal]]]) -> None: ...  # noqa: A002

    payload = {
        "cards": [{"holder": "Ann", "number": "4111-1"}, {"holder": "Bo", "number": "4111-2"}],
        "login": {"user": "root", "password": "hunter2"},
        "all": {"a": ["1234.5"]},
    }
    read(work, payload)
    assert redact("Ann 4111-1 Bo 4111-2 root hunter2 1234.5") == "Ann *** Bo *** root *** ***"


def test_the_value_of_a_wrong_payload_is_redacted_too():
    def work(pin: Secret[int], card: Card) -> None: ...

    with pytest.raises(PayloadError):
        read(work, {"pin": "no-number", "card": {"number": "4111"}})
    assert redact("no-number") == "***"


def test_the_next_payload_forgets_the_last_ones_secrets():
    def work(token: Secret[str] | None = None) -> None: ...

    read(work, {"token": "tok-1"})
    read(work, {})
    assert redact("tok-1") == "tok-1"


def test_a_json_line_stays_one_whatever_the_secret_is():
    for secret in ('"', ",", ":", "{", "1", "name", "\\"):
        lines = Redaction([secret]).redact_json(
            json.dumps({"name": f"x{secret}y", "attempt": 1, "list": [secret, None]})
        )
        found = json.loads(lines)
        assert found["attempt"] == 1
        assert secret not in found["name"].replace("***", "")
        assert found["list"] == ["***", None]
    assert redact_json("no json") == "no json"
    assert Redaction(["json"]).redact_json("no json") == "no ***"


def test_the_schema_says_that_it_is_only_written():
    def work(token: Secret[str], card: Card, plain: str) -> None: ...

    schema = Signature("work", work).schema()
    assert schema["properties"]["token"]["writeOnly"] is True
    assert schema["properties"]["card"]["properties"]["number"]["writeOnly"] is True
    assert "writeOnly" not in schema["properties"]["plain"]


@pytest.mark.parametrize("kind", [SecretStr, SecretBytes, SecretStr | None])
def test_a_type_that_travels_as_asterisks_is_refused(kind):
    def work(token) -> None: ...

    work.__annotations__["token"] = kind
    with pytest.raises(DefinitionError, match=r"offload\.Secret\[str\]"):
        Signature("work", work)


@given(st.text(min_size=1).filter(str.strip), st.text(), st.text())
def test_no_secret_is_left(secret, before, after):
    shown = Redaction([secret]).redact(before + secret + after)
    assert "***" in shown
    assert not any(secret in rest for rest in shown.split("***"))


def test_pieces_that_touch_are_one():
    assert Redaction(["4711", "47110815"]).redact("<4711081547114711>") == "<***>"
    assert Redaction(["4711"]).redact("4711") == "***"
    assert Redaction(["4711"]).redact("") == ""


@pytest.fixture
def cuts(monkeypatch):
    """Return the secrets that were cut into pieces, a set for each time."""
    cuts = []
    cut = redaction.Pieces
    monkeypatch.setattr(redaction, "Pieces", lambda secrets: cuts.append(set(secrets)) or cut(secrets))
    return cuts


def test_pieces_are_cut_when_the_first_text_is_redacted(cuts):
    def work(token: Secret[str] | None = None) -> None: ...

    read(work, {"token": "tok-4711"})
    assert cuts == []
    assert [redact("tok-4711"), redact_json('"tok-4711"')] == ["***", '"***"']
    assert cuts == [{"tok-4711"}]
    read(work, {})
    assert redact("tok-4711") == "tok-4711"
    assert cuts == [{"tok-4711"}]


def test_a_secret_that_the_task_takes_out_of_its_argument_is_redacted_too():
    def work(headers: Secret[Any]) -> None: ...

    headers = read(work, {"headers": {"Authorization": ["tok-4711"]}})["headers"]
    headers.pop("Authorization").clear()
    assert redact("tok-4711") == "***"
