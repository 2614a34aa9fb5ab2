"""Plans that last: delays of months, retries of days, lines of hours, large payloads, queues and services that are out.

A share of all plans is of this kind. Such a plan has few operations, because a wait of months costs no more than one of
seconds, but many receives cost their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offload.core.retention import DAY
from tests.simulation.plan import HORIZON, Operation

if TYPE_CHECKING:
    import random

SHARE = 0.25
"""How many of all plans last."""

LARGE_PAYLOAD = 210_000
"""Characters of a payload that lies in the bucket."""

QUEUES = "MemoryQueues"
"""When SQS takes no copies for hours, nothing else may use up the few receives of a message; see docs/guarantees.md."""

SERVICES = ("MemoryTable", QUEUES, "MemoryBlobs", "MemoryTimers")
"""What can be out, by the names of the twins."""

ACTING = ("plain", "urgent", "once", "patient", "rare")
_DELAYS = ("20m", "3h", "2d", "13d", "40d", "200d", "364d")
_STEPS = {
    "ok": 4, "fail": 5, "permanent": 2, "later": 1, "slow": 1, "large": 2, "look": 1, "day": 3, "weeks": 3,
    "quarter": 2, "threads": 1, "fork": 1, "spawn": 1,
}  # fmt: skip
_HOURS = 3_600


def draw_ages(rng: random.Random) -> tuple[list[Operation], float, float]:
    """Draw what happens, the seconds in which it begins, and the pause before the last redrive."""
    horizon = rng.choice([HORIZON, 6 * _HOURS, 4 * DAY])
    drawn = [_draw_job(rng, horizon) for _ in range(rng.randint(1, 5))]
    if rng.random() < 0.4:
        drawn.append(_draw_line(rng, horizon))
    out = rng.choice(SERVICES) if rng.random() < 0.4 else None
    if out != QUEUES and rng.random() < 0.3:
        drawn.append(_draw_killers(rng, horizon))
    if rng.random() < 0.2:
        drawn += _draw_late(rng, horizon)
    if rng.random() < 0.3:
        drawn.append(Operation(_at(rng, 2 * horizon), "forge", {"task": "", "n": rng.random()}))
    if rng.random() < 0.5:
        stalled, longest = rng.choice(ACTING), rng.choice([_HOURS, 12 * _HOURS, 6 * DAY])
        drawn.append(Operation(_at(rng, horizon), "stall", {"task": stalled, "seconds": rng.random() * longest}))
    if out is not None:
        longest = rng.choice([_HOURS / 2, 8 * _HOURS])
        drawn.append(Operation(_at(rng, horizon), "outage", {"service": out, "seconds": rng.random() * longest}))
    for kind in ("cancel", "retry", "console", "redrive"):
        if rng.random() < 0.3:
            details = {"task": rng.choice(ACTING), "n": rng.random()}
            more = {"which": rng.choice(["all", "id"])} if kind == "redrive" else {}
            drawn.append(Operation(_at(rng, 2 * horizon), kind, {**details, **more}))
    return drawn, 2.0 * horizon, rng.choice([_HOURS, 5 * DAY, 6 * DAY])


def _draw_job(rng: random.Random, horizon: float) -> Operation:
    task, options = rng.choice(ACTING), dict[str, Any]()
    if rng.random() < 0.4:
        options["delay"] = rng.choice(_DELAYS)
        options |= {"expires": "365d"} if task == "patient" else {}
    if rng.random() < 0.2:
        options["tenant"] = "acme"
    if rng.random() < 0.2:
        options["track"] = "start"
    steps = rng.choices(list(_STEPS), list(_STEPS.values()), k=rng.randint(1, 3))
    size = LARGE_PAYLOAD if rng.random() < 0.4 else 0
    payload = {"name": rng.choice("abcdef").ljust(size), "steps": steps}
    return Operation(_at(rng, horizon), "enqueue", {"task": task, "payload": payload, "options": options})


def _draw_line(rng: random.Random, horizon: float) -> Operation:
    """Draw jobs that wait for their rate limit, some of them for hours."""
    payloads = [{"name": str(n), "steps": [rng.choice(["ok", "ok", "fail"])]} for n in range(rng.randint(3, 12))]
    details = {"task": "rare", "payloads": payloads, "options": {}, "keyed": False, "prefix": None}
    return Operation(_at(rng, horizon), "many", details)


def _draw_late(rng: random.Random, horizon: float) -> list[Operation]:
    """Draw a delayed job that expires because nothing is received when it is due."""
    task, at = rng.choice(ACTING), _at(rng, horizon)
    work = {"task": task, "payload": {"name": "late", "steps": ["ok"]}, "options": {"delay": "3h", "expires": "10810s"}}
    stall = Operation(at + 3 * _HOURS - 60, "stall", {"task": task, "seconds": 600})
    return [Operation(at, "enqueue", work), stall]


def _draw_killers(rng: random.Random, horizon: float) -> Operation:
    """Draw jobs that are received together, and of which some end their worker's process again and again."""
    steps = [["kill"], ["kill", "ok"], ["ok"], ["ok"], ["fail", "ok"]]
    payloads = [{"name": str(n), "steps": rng.choice(steps)} for n in range(rng.randint(4, 10))]
    details = {"task": rng.choice(["urgent", "once"]), "payloads": payloads, "options": {}}
    return Operation(_at(rng, horizon), "many", {**details, "keyed": False, "prefix": None})


def _at(rng: random.Random, horizon: float) -> float:
    return round(rng.uniform(0, rng.choice([60, horizon])), 3)
