"""A simulation as data: what happens, under which faults, and what the programs outside remember of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offload.testing import Faults

HORIZON = 2_400
"""Seconds in which the operations of most plans begin."""

SHORT_PAUSE = 3_600
"""Seconds from rest until the AWS console redrives every dead letter, in most plans. Whoever has looked at a dead
letter and died has hidden it for a while."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that somebody does `at` seconds after the start."""

    at: float
    kind: str
    details: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole simulation: the same plan always runs the same way.

    Attributes:
        seed: The seed of ids and jitter.
        faults: The random faults.
        operations: What people and programs do, in order.
        horizon: Seconds in which the operations begin.
        pause: Seconds from rest until the AWS console redrives every dead letter.
    """

    seed: int
    faults: Faults
    operations: tuple[Operation, ...]
    horizon: float = HORIZON
    pause: float = SHORT_PAUSE


@dataclass
class Book:
    """What the programs outside remember.

    Attributes:
        accepted: Job ids they were given, in order.
        keys: Job ids by task and key, with the time each was given.
        poison: Bodies that can never run, as task, body, and when it was sent.
        payloads: Arguments of jobs that were enqueued with a key, by job id.
        sound: Ids of jobs whose payload fits and is theirs alone.
        complaints: Job ids, and what the programs were told wrongly of them.
    """

    accepted: list[str] = field(default_factory=list)
    keys: dict[tuple[str, str], list[tuple[int, str]]] = field(default_factory=dict)
    poison: list[tuple[str, str, int]] = field(default_factory=list)
    payloads: dict[str, dict[str, Any]] = field(default_factory=dict)
    sound: set[str] = field(default_factory=set)
    complaints: list[tuple[str, str]] = field(default_factory=list)
