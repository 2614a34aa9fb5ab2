from email.utils import getaddresses

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from functions.send_email.handler import REFUSED, Receipt, permissions, send_email, ses
from functions.send_email.mailbox import mailbox, one_line
from offload import PayloadError, Permanent

SENDER = "Shop <shop@example.org>"


@pytest.fixture
def verified(aws, job, monkeypatch):
    monkeypatch.setenv("OFFLOAD_EMAIL_SENDER", SENDER)
    boto3.client("sesv2").create_email_identity(EmailIdentity="shop@example.org")
    return ses_backends[DEFAULT_ACCOUNT_ID]["eu-west-1"]


@pytest.fixture
def request_of(verified, monkeypatch):
    """Capture what is asked of SES."""
    asked = {}
    real = ses().send_email
    monkeypatch.setattr(ses(), "send_email", lambda **request: asked.update(request) or real(**request))
    return asked


def test_it_sends_text_to_one_recipient_from_the_default_sender(verified):
    receipt = send_email("ann@example.org", "Hi", "How are you?")
    (message,) = verified.sent_messages
    assert receipt == Receipt(message_id=message.id)
    assert (message.source, message.subject, message.body) == (SENDER, "Hi", "How are you?")
    assert message.destinations["ToAddresses"] == ["ann@example.org"]


def test_html_is_an_alternative_and_the_job_is_the_tag(request_of, job):
    job.id = "order:42"
    send_email(["ann@example.org", "Bo <bo@example.org>"], "Hi", "text", "<p>html</p>", "help@example.org")
    assert request_of["Content"]["Simple"]["Body"] == {
        "Text": {"Data": "text", "Charset": "UTF-8"},
        "Html": {"Data": "<p>html</p>", "Charset": "UTF-8"},
    }
    assert request_of["Destination"] == {"ToAddresses": ["ann@example.org", "Bo <bo@example.org>"]}
    assert request_of["ReplyToAddresses"] == ["help@example.org"]
    assert request_of["EmailTags"] == [{"Name": "offload_job", "Value": "order-42"}]


def test_an_unverified_sender_is_permanent(verified, monkeypatch):
    monkeypatch.setenv("OFFLOAD_EMAIL_SENDER", "other@example.com")
    with pytest.raises(Permanent, match="verified"):
        send_email("ann@example.org", "Hi", "text")


def test_a_payload_cannot_choose_the_sender():
    payload = {"to": "ann@example.org", "subject": "Hi", "body": "text", "sender": "boss@example.org"}
    with pytest.raises(PayloadError, match="sender"):
        send_email.signature.read(payload)


@pytest.mark.parametrize("sender", [SENDER, "shop@example.org"])
def test_the_role_sends_as_the_sender_of_the_deployment_alone(monkeypatch, sender):
    monkeypatch.setenv("OFFLOAD_EMAIL_SENDER", sender)
    (allow,) = permissions()
    assert allow.actions == ("ses:SendEmail",)
    assert allow.conditions == {"StringEquals": {"ses:FromAddress": "shop@example.org"}}
    monkeypatch.delenv("OFFLOAD_EMAIL_SENDER")
    assert permissions() == ()


def test_no_sender_is_permanent(aws, job, monkeypatch):
    monkeypatch.delenv("OFFLOAD_EMAIL_SENDER", raising=False)
    with pytest.raises(Permanent, match="OFFLOAD_EMAIL_SENDER"):
        send_email("ann@example.org", "Hi", "text")


@pytest.mark.parametrize("code", sorted(REFUSED))
def test_what_ses_refuses_is_permanent(verified, refuse, code):
    refuse(ses(), "send_email", code)
    with pytest.raises(Permanent, match=code):
        send_email("ann@example.org", "Hi", "text")


@pytest.mark.parametrize("code", ["TooManyRequestsException", "LimitExceededException", "SendingPausedException"])
def test_throttles_and_quotas_are_retried(verified, refuse, code):
    refuse(ses(), "send_email", code)
    with pytest.raises(ClientError):
        send_email("ann@example.org", "Hi", "text")


def test_the_client_never_tries_twice_by_itself(aws):
    assert ses().meta.config.retries["total_max_attempts"] == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"to": "not-an-address"},
        {"to": []},
        {"to": ["ann@example.org"] * 51},
        {"to": "ann@example.org\nBcc: all@example.org"},
        {"subject": "Hi\r\nBcc: all@example.org"},
        {"subject": ""},
        {"subject": "\ud800"},
        {"to": "\udfff <ann@example.org>"},
        {"reply_to": "ann\ud800@example.org"},
        {"reply_to": "x"},
    ],
)
def test_a_wrong_payload_is_refused_before_it_is_queued(arguments):
    with pytest.raises(PayloadError):
        send_email.signature.bind((), {"to": "ann@example.org", "subject": "Hi", "body": "text"} | arguments)


@pytest.mark.parametrize(
    "arguments", [{"to": "a@b.org\nBcc: c@d.org"}, {"subject": "Hi\nBcc: c@d.org"}, {"subject": "\ud800"}]
)
def test_a_plain_call_is_safe_against_header_injection_too(verified, arguments):
    with pytest.raises(Permanent):
        send_email(**({"to": "ann@example.org", "subject": "Hi", "body": "text"} | arguments))
    assert not verified.sent_messages


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.org", "ann@example.org"),
        ("ann+tag@mail.example.co.uk", "ann+tag@mail.example.co.uk"),
        ("Ann <ann@example.org>", "Ann <ann@example.org>"),
        ("<ann@example.org>", "ann@example.org"),
        ('"Lee, Ann" <ann@example.org>', '"Lee, Ann" <ann@example.org>'),
        ("Åse <ase@example.org>", "=?utf-8?q?=C3=85se?= <ase@example.org>"),
        ('"=?utf-8?q?boss?=" <ann@example.org>', '"=?utf-8?q?boss?=" <ann@example.org>'),
        ('"=?utf-8?b?Ym9zcw==?= x" <ann@example.org>', '"=?utf-8?b?Ym9zcw==?= x" <ann@example.org>'),
    ],
)
def test_mailbox_spelling(text, expected):
    assert mailbox(text) == expected


@given(st.text())
def test_no_text_becomes_two_lines_or_two_addresses(text):
    try:
        spelled = mailbox(text)
    except ValueError:
        return
    assert one_line(spelled).isascii()
    assert mailbox(spelled) == spelled


@given(st.from_regex(r"[\w ,;@:\"<>\r\n-]{0,12}<?[a-z]{1,3}@[a-z]{1,3}\.[a-z]{2}>?[\r\n ,]{0,2}"))
def test_near_addresses_hold_one_address_or_are_refused(text):
    try:
        spelled = mailbox(text)
    except ValueError:
        return
    assert len(getaddresses([spelled])) == 1
    assert not set(spelled) & set("\r\n")
    assert mailbox(spelled) == spelled
