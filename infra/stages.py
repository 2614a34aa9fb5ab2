"""Stages: where a stack stands, and what differs there. Chosen with `-c stage=NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from offload.core.errors import DefinitionError
from offload.core.manifest import DEFAULT_STACK

if TYPE_CHECKING:
    from collections.abc import Callable

_STACK = re.compile(r"[a-z][a-z0-9-]{0,29}")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True, slots=True)
class Stage:
    """Settings of a stage.

    Attributes:
        name: `dev`, `prod` or `local`.
        log_days: Days function logs are kept; a period CloudWatch offers.
        keeps_data: True keeps table, bucket and logs when the stack is deleted, and protects the table from deletion.
            Otherwise they go with the stack; a bucket must be emptied first.
        on_host: True builds functions for this machine's Python and processor, for the embedded engine.
        stack: Name of the stack; queues and functions are named after it.
        python: Python version of the functions, such as `3.13`; None chooses (see `infra.targets`).
        alarm_email: Address that alarms are mailed to, after it confirmed the subscription; None mails nobody.
    """

    name: str
    log_days: int
    keeps_data: bool = False
    on_host: bool = False
    stack: str = DEFAULT_STACK
    python: str | None = None
    alarm_email: str | None = None


STAGES = (
    # A job's record lives 35 days; logs of a development stack are seldom read after two weeks.
    Stage("dev", log_days=14),
    # Three months: long enough to compare with the last quarter, and past every message's and record's life.
    Stage("prod", log_days=90, keeps_data=True),
    Stage("local", log_days=1, on_host=True),
)


def choose(context: Callable[[str], object]) -> Stage:
    """Read the stage from the app's context: `stage`, `stack`, `python` and `alarm_email`.

    Args:
        context: Returns a context value or None, such as `app.node.try_get_context`.

    Raises:
        DefinitionError: A value is wrong; names it and what it takes.
    """
    name = context("stage") or "dev"
    found = [stage for stage in STAGES if stage.name == name]
    if not found:
        raise DefinitionError(f"stage={name!r}: choose from {', '.join(stage.name for stage in STAGES)}")
    stack = context("stack") or DEFAULT_STACK
    if not isinstance(stack, str) or not _STACK.fullmatch(stack):
        raise DefinitionError(f"stack={stack!r}: lower-case letters, digits and hyphens, a letter first, at most 30")
    email = context("alarm_email") or None
    if email is not None and not (isinstance(email, str) and _ADDRESS.fullmatch(email)):
        raise DefinitionError(f"alarm_email={email!r} is not an e-mail address")
    python = context("python")
    return replace(
        found[0],
        stack=stack,
        python=None if python is None else str(python),
        # The embedded engine sends no mail.
        alarm_email=None if found[0].on_host else email,
    )
