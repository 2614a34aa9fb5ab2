"""Job ids and lease tokens, and the random generator that they are drawn from."""

from __future__ import annotations

import random
import re
import uuid

from offload.core.errors import DefinitionError, UnknownJob

JOB_ID = re.compile(r"[A-Za-z0-9_.:\-]{1,128}")
"""What a job id may look like."""

RECORD_ID = re.compile(rf"{JOB_ID.pattern}(?:@[A-Za-z0-9_\-]{{1,128}})?")
"""What the id of a job's record may look like: a job id, or what `id_apart` makes of one."""

_LONGEST_SHOWN = 150
"""Characters of a wrong id that an error shows."""


def system_random() -> random.Random:
    """Return a generator seeded by the operating system."""
    return random.SystemRandom()


def new_id(rng: random.Random) -> str:
    """Draw a job id or lease token: a version 4 UUID, 36 characters."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def id_apart(job_id: str, task: str) -> str:
    """Return the id under which a task records the failure of a message whose job id belongs to another task.

    It is no job id that a message can name, so nobody else can have a record there.
    """
    return f"{job_id}@{task}"


def is_apart(record_id: str) -> bool:
    """Tell whether a record is one of those that `id_apart` names."""
    return "@" in record_id


def check_job_id(value: object) -> str:
    """Return a valid job id.

    Raises:
        DefinitionError: The value is no job id; says what one looks like.
    """
    if not isinstance(value, str) or not JOB_ID.fullmatch(value):
        msg = f"id={value!r} is not a job id: 1 to 128 of letters, digits and _ . : -"
        raise DefinitionError(msg)
    return value


def check_record_id(value: object) -> str:
    """Return the id of a record that somebody asks for.

    Raises:
        UnknownJob: No job can have that id; the job table would refuse an empty or over-long one in words of its own.
    """
    if not isinstance(value, str) or not RECORD_ID.fullmatch(value):
        shown = repr(value)
        shown = shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]}..."
        raise UnknownJob(f"no job {shown}: an id has 1 to 128 of letters, digits and _ . : -")
    return value
