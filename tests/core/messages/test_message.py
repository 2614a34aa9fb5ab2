"""The message contract: what is read, what is refused and with which words, and that nothing else ever happens."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offload import OffloadError
from offload.core.errors import MessageError
from offload.core.messages.message import MOST_HOPS, Message, compact, job_id_of


def test_a_bare_body_is_enough():
    assert Message.decode('{"payload": {}}') == Message(payload={})


def test_unknown_fields_are_ignored():
    assert Message.decode('{"payload": {"x": 1}, "colour": "red", "nested": {"id": 7}}') == Message(payload={"x": 1})


@pytest.mark.parametrize(
    "field", ["id", "task", "key", "tenant", "lane", "expires_at", "enqueued_at", "parent", "workflow", "payload_ref"]
)
def test_null_stands_for_absent(field):
    assert Message.decode(json.dumps({"payload": {}, field: None})) == Message(payload={})


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("version", 2, "version 2 is not known"),
        ("version", "1", "version '1' is not known"),
        ("payload", None, "payload is missing"),
        ("payload", [], "not an array"),
        ("payload", "x", "not a text"),
        ("payload", True, "not a boolean"),
        ("payload_ref", [], "texts bucket and key"),
        ("payload_ref", {"bucket": "b"}, "texts bucket and key"),
        ("payload_ref", {"bucket": "b", "key": 5}, "texts bucket and key"),
        ("id", "", "id: id='' is not a job id"),
        ("id", "a b", "is not a job id"),
        ("id", "a\n", "is not a job id"),
        ("id", "key#x", "is not a job id"),
        ("id", "x" * 129, "is not a job id"),
        ("id", ["a"], "is not a job id"),
        ("parent", "a/b", "parent: id='a/b' is not a job id"),
        ("task", 5, "task must be a text"),
        ("key", ["k"], "key must be a text of at most 256 characters, not an array"),
        ("tenant", {}, "tenant must be a text"),
        ("tenant", "x" * 257, "tenant must be a text"),
        ("tenant", "\ud800", "tenant is not valid Unicode"),
        ("lane", 1.5, "lane must be a text"),
        ("workflow", False, "workflow must be a text"),
        ("expires_at", "soon", "expires_at must be epoch milliseconds or an ISO 8601 time"),
        ("expires_at", True, "expires_at must be"),
        ("expires_at", -1, "expires_at must be"),
        ("expires_at", 10**15, "expires_at must be"),
        ("expires_at", 10**4000, "expires_at must be"),
        ("expires_at", "0001-01-01T00:00:00+14:00", "expires_at must be"),
        ("enqueued_at", [], "enqueued_at must be"),
        ("hops", -1, "hops must be a whole number"),
        ("hops", 1.0, "hops must be a whole number"),
        ("hops", True, "hops must be a whole number"),
        ("hops", "1", "hops must be a whole number"),
    ],
)
def test_each_wrong_field_is_named(field, value, said):
    with pytest.raises(MessageError) as refused:
        Message.decode(json.dumps({"payload": {"x": 1}, field: value} if field != "payload" else {field: value}))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given_time", "read"),
    [
        (1_767_225_600_000, 1_767_225_600_000),
        (1_767_225_600_000.9, 1_767_225_600_000),
        ("2026-01-01T00:00:00Z", 1_767_225_600_000),
        ("2026-01-01T01:00:00+01:00", 1_767_225_600_000),
        ("2026-01-01", 1_767_225_600_000),
        (0, 0),
    ],
)
def test_times_are_read_as_people_write_them(given_time, read):
    assert Message.decode(json.dumps({"payload": {}, "expires_at": given_time})).expires_at == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["m1", "m2"], ("m1", "m2")),
        (["m1", 5, None, "a b", "", "\ud800", ["m2"]], ("m1",)),
        ("m1", ()),
        ({"m1": 1}, ()),
        ([f"m{n}" for n in range(1000)], tuple(f"m{n}" for n in range(976, 1000))),
    ],
)
def test_what_a_copy_replaced_is_read_as_far_as_it_makes_sense(written, read):
    assert Message.decode(json.dumps({"payload": {}, "replaces": written})).replaces == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ([1, 2], (1, 2)),
        ([1, "5", None, True, -1, 1.5, 10**18, [2]], (1,)),
        (1, ()),
        (list(range(1000)), tuple(range(976, 1000))),
    ],
)
def test_when_copies_were_made_is_read_as_far_as_it_makes_sense(written, read):
    assert Message.decode(json.dumps({"payload": {}, "copied_at": written})).copied_at == read


@pytest.mark.parametrize(
    ("written", "read"), [(1, 1), ("1", None), (True, None), (-1, None), (10**18, None), ([], None)]
)
def test_when_the_first_was_sent_is_read_if_it_makes_sense(written, read):
    assert Message.decode(json.dumps({"payload": {}, "first_sent_at": written})).first_sent_at == read


def test_the_end_of_a_chain():
    Message(payload={}, hops=MOST_HOPS).check_hops()
    with pytest.raises(MessageError, match="break the loop"):
        Message(payload={}, hops=MOST_HOPS + 1).check_hops()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [*Message.__dataclass_fields__, "version"]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_any_object_is_read_or_refused(body):
    text = json.dumps(body)
    try:
        message = Message.decode(text)
    except MessageError:
        job_id_of(text)
        return
    assert message.payload is not None or message.payload_ref is not None
    assert message.id == job_id_of(text)
    # what was accepted can be stored and sent on
    json.dumps([getattr(message, name) for name in FIELDS[:-1] if name != "payload"], ensure_ascii=False).encode()
    assert message.group is None or 0 < len(message.group) <= 128


@settings(max_examples=300)
@given(st.text(st.characters()) | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused(text):
    try:
        Message.decode(text)
    except OffloadError as error:
        assert isinstance(error, MessageError)  # noqa: PT017
    assert job_id_of(text) is None or text.strip().startswith("{")


@pytest.mark.parametrize(
    "body",
    [
        "[" * 1_000_000,
        '{"payload": ' + '{"a":' * 200_000,
        '{"payload": {"x": ' + "[" * 500 + "]" * 500 + "}}",
        '{"version": ' + "[" * 480 + "]" * 480 + "}",
        '{"payload": {"x": ' + "1" * 1_000_000 + "}}",
        '{"payload": {"x": 1e' + "9" * 100_000 + "}}",
        '{"payload": {}, "tenant": "' + "x" * 1_000_000 + '"}',
        '{"payload": {}, "expires_at": Infinity}',
        '{"payload": {}, "expires_at": -1e999}',
        '{"payload": {}, "hops": 1e999}',
        '{"payload": {"x": NaN}}',
        '{"payload": {"\\ud800": "\\udfff"}}',
        '{"payload": {}, "payload": []}',
        "\ufeff{}",
        "\x00",
    ],
    ids=lambda body: body[:30],
)
def test_a_hostile_body_is_read_or_refused_at_once(body):
    begin = time.perf_counter()
    with suppress(MessageError):
        Message.decode(body)
    job_id_of(body)
    assert time.perf_counter() - begin < 1


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(
    st.builds(
        Message,
        payload=st.dictionaries(TEXT, TEXT, max_size=3),
        id=st.none() | st.from_regex(r"[A-Za-z0-9_.:\-]{1,128}", fullmatch=True),
        task=st.none() | TEXT,
        tenant=st.none() | TEXT,
        expires_at=st.none() | st.integers(1, 10**12),
        hops=st.integers(0, 60),
        replaces=st.lists(st.uuids().map(str), max_size=3).map(tuple),
    )
)
def test_what_is_encoded_is_decoded(message):
    body = message.encode()
    assert Message.decode(body) == message
    assert not set(body) & set("\ufffe\uffff")
    json.loads(body)


def test_unset_fields_are_left_out_and_text_is_not_swollen():
    assert Message(payload={"x": "é"}, id="a").encode() == '{"version":1,"payload":{"x":"é"},"id":"a"}'
    assert Message(payload={}).encode() == '{"version":1,"payload":{}}'
    away = Message(payload={"x": 1}).with_payload_at({"bucket": "b", "key": "k"})
    assert json.loads(away.encode()) == {"version": 1, "payload_ref": {"bucket": "b", "key": "k"}}
    assert Message.decode(away.encode()) == away


def test_numbers_that_json_does_not_have_are_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        Message(payload={"x": float("nan")}).encode()


@pytest.mark.parametrize("char", [chr(0xD800), chr(0xDFFF), chr(0xFFFE), chr(0xFFFF)])
def test_what_sqs_does_not_take_is_escaped(char):
    body = compact({"x": f"a{char}b"})
    assert char not in body
    assert json.loads(body) == {"x": f"a{char}b"}


@pytest.mark.parametrize(
    ("tenant", "as_it_is"),
    [
        ("acme", True),
        ("a" * 128, True),
        ("#42!", True),
        ("acme corp", False),
        ("Müller", False),
        ("a" * 129, False),
        ("\n", False),
    ],
)
def test_a_tenant_is_a_group_sqs_takes(tenant, as_it_is):
    group = Message(payload={}, tenant=tenant).group
    assert (group == tenant) is as_it_is
    assert group.isascii()
    assert group.isprintable()
    assert " " not in group
    assert len(group) <= 128


def test_no_tenant_is_no_group():
    assert Message(payload={}).group is Message(payload={}, tenant="").group is None


def test_a_payload_stays_out_of_the_repr():
    assert "hunter2" not in repr(Message(payload={"x": "hunter2"}))
