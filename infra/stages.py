"""The stages of a stack, such as `dev` and `prod`, and their different settings. `-c stage=NAME` selects a stage."""

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
        log_days: Days that function logs are kept; one of the periods that CloudWatch offers.
        keeps_data: True keeps table, bucket and logs when the stack is deleted, and protects the table from deletion.
            False deletes them with the stack; the bucket must be emptied first.
        on_host: True builds functions for this machine's Python and processor, for the embedded engine.
        stack: Name of the stack, with which the names of queues and functions begin.
        python: Python version of the functions, such as `3.13`; None for the choice of `infra.targets`.
        alarm_email: Address that gets alarms by mail after it has confirmed the subscription; None for no mail.
    """

    name: str
    log_days: int
    keeps_data: bool = False
    on_host: bool = False
    stack: str = DEFAULT_STACK
    python: str | None = None
    alarm_email: str | None = None


STAGES = (
    # Logs of a development stack are seldom read after two weeks.
    Stage("dev", log_days=14),
    # Three months are longer than the life of every message and record, and allow a comparison with the last quarter.
    Stage("prod", log_days=90, keeps_data=True),
    Stage("local", log_days=1, on_host=True),
)


def choose(context: Callable[[str], object]) -> Stage:
    """Read the stage from the app's context: `stage`, `stack`, `python` and `alarm_email`.

    Args:
        context: Returns a context value or None, such as `app.node.try_get_context`.

    Raises:
        DefinitionError: A value is wrong. The message names the value and the allowed ones.
    """
    name = context("stage") or "dev"
    stage = next((stage for stage in STAGES if stage.name == name), None)
    if stage is None:
        raise DefinitionError(f"stage={name!r}: choose from {', '.join(stage.name for stage in STAGES)}")
    stack = context("stack") or DEFAULT_STACK
    if not isinstance(stack, str) or not _STACK.fullmatch(stack):
        raise DefinitionError(
            f"stack={stack!r} must be 1 to 30 lower-case letters, digits and hyphens, beginning with a letter"
        )
    email = context("alarm_email") or None
    if email is not None and not (isinstance(email, str) and _ADDRESS.fullmatch(email)):
        raise DefinitionError(f"alarm_email={email!r} is not an e-mail address")
    python = context("python")
    return replace(
        stage,
        stack=stack,
        python=None if python is None else str(python),
        # The embedded engine sends no mail.
        alarm_email=None if stage.on_host else email,
    )
