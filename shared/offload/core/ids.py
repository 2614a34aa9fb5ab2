"""Job ids and lease tokens, and the random generator that they are drawn from."""

from __future__ import annotations

import random
import re
import uuid

from offload.core.errors import DefinitionError

JOB_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
"""What a job id may look like."""


def system_random() -> random.Random:
    """Return a generator seeded by the operating system."""
    return random.SystemRandom()


def new_id(rng: random.Random) -> str:
    """Draw a job id or lease token: a version 4 UUID, 36 characters."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def check_job_id(value: object) -> str:
    """Return a valid job id.

    Raises:
        DefinitionError: The value is no job id; says what one looks like.
    """
    if not isinstance(value, str) or not JOB_ID.fullmatch(value):
        msg = f"id={value!r} is not a job id: 1 to 128 of letters, digits and _ . : -"
        raise DefinitionError(msg)
    return value
