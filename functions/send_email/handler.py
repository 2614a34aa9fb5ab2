"""Send an e-mail through Amazon SES."""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field

from functions import from_deployer, permanent_on, sdk
from offload import Allow, Permanent, Retry, current_job, task

from .mailbox import address_of, mailbox, one_line

if TYPE_CHECKING:
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sesv2.type_defs import BodyTypeDef, ContentTypeDef

SENDER = "OFFLOAD_EMAIL_SENDER"
_IDENTITIES = "arn:{partition}:ses:{region}:{account}:identity/*"
MOST_RECIPIENTS = 50  # SES allows 50 recipients of one message

Mailbox = Annotated[str, AfterValidator(mailbox)]
Mailboxes = Annotated[list[Mailbox], Field(min_length=1, max_length=MOST_RECIPIENTS)]
Subject = Annotated[str, AfterValidator(one_line), Field(min_length=1, max_length=900)]

REFUSED = dict.fromkeys(
    ("MessageRejected", "MailFromDomainNotVerifiedException", "BadRequestException", "NotFoundException"),
    "SES refuses this message: check that the sender (in the sandbox, every recipient too) is verified in this region",
) | {"AccessDeniedException": "the task's role may not send as this sender"}


class Receipt(BaseModel):
    """The answer of SES for a message that it accepted. An accepted message is not yet delivered.

    Attributes:
        message_id: SES's id of the message, which is also in the message's delivery and bounce events.
    """

    message_id: str


@functools.cache
def ses() -> SESV2Client:
    """Return the SES client.

    The client sends each request only once. When an answer is lost, a repeated request would send a second e-mail,
    which no attempt of the job would show.
    """
    import boto3

    return boto3.client("sesv2", config=sdk(attempts=1))


def permissions() -> tuple[Allow, ...]:
    """Return the permission to send as the sender of the deployment, and as nobody else; none without a sender."""
    sender = os.environ.get(SENDER)
    if not sender:
        return ()
    return (Allow("ses:SendEmail", _IDENTITIES, {"StringEquals": {"ses:FromAddress": address_of(sender)}}),)


@task(
    retry=Retry(max_attempts=5, base="30s", cap="15m"),
    timeout="30s",
    environment=from_deployer(SENDER),
    allow=permissions(),
)
def send_email(
    to: Mailbox | Mailboxes,
    subject: Subject,
    body: str,
    html: str | None = None,
    reply_to: Mailbox | None = None,
) -> Receipt:
    """Send one e-mail as plain text, and as HTML too if `html` is set.

    The sender is the variable `OFFLOAD_EMAIL_SENDER` of the deploying shell, a verified identity. A payload cannot
    choose another sender, and the role of the function allows no other.

    Delivery is at least once, because SES has no idempotency keys. When the worker dies after SES has accepted the
    message and before the job's end is recorded, the next attempt sends the message again. A job that has ended never
    sends again. Each message has the tag `offload_job` with the job's id, so that SES events show a message that was
    sent twice.

    Args:
        to: A recipient (`ann@example.org` or `Ann <ann@example.org>`), or up to 50 recipients, who see each other's
            addresses.
        subject: The subject, one line.
        body: The message as plain text.
        html: The same message as HTML.
        reply_to: Address for answers; None for the sender.

    Raises:
        Permanent: An address is malformed, the sender is not verified, or SES refuses the message.
    """
    source = os.environ.get(SENDER)
    if not source:
        raise Permanent(f"no sender: deploy with {SENDER} set to a verified identity")
    try:
        source, subject = mailbox(source), one_line(subject)
        recipients = [mailbox(recipient) for recipient in ([to] if isinstance(to, str) else to)]
        reply_addresses = [mailbox(reply_to)] if reply_to else []
    except ValueError as error:
        raise Permanent(str(error)) from error
    content: BodyTypeDef = {"Text": _utf8(body)}
    if html is not None:
        content["Html"] = _utf8(html)
    with permanent_on(REFUSED):
        sent = ses().send_email(
            FromEmailAddress=source,
            Destination={"ToAddresses": recipients},
            ReplyToAddresses=reply_addresses,
            Content={"Simple": {"Subject": _utf8(subject), "Body": content}},
            EmailTags=[{"Name": "offload_job", "Value": re.sub(r"[^A-Za-z0-9_-]", "-", current_job().id)}],
        )
    return Receipt(message_id=sent["MessageId"])


def _utf8(text: str) -> ContentTypeDef:
    return {"Data": text, "Charset": "UTF-8"}
