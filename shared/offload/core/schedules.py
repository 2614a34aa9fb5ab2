"""Schedules: five-field cron and fixed rates, and their EventBridge spelling.

EventBridge's cron differs from everybody's: six fields (a year), `?` must stand in one of day-of-month and day-of-week,
days of the week count from SUN=1. Users write ordinary cron, and an expression that EventBridge cannot express is
refused with the reason.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from offload.core.durations import Duration, seconds
from offload.core.errors import DefinitionError

_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_DAY_TOKEN = re.compile(r"[0-7]|SUN|MON|TUE|WED|THU|FRI|SAT")


@dataclass(frozen=True, slots=True)
class Cron:
    """Run at the minutes a five-field cron expression names.

    Attributes:
        expression: `minute hour day-of-month month day-of-week`, or `@daily` and its kin.
        timezone: IANA zone such as `Europe/Oslo`. Local times that a spring-forward skips do not run that day.
        payload: Arguments of the job, by name.
        enabled: False deploys the schedule switched off.
    """

    expression: str
    timezone: str = "UTC"
    payload: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def __post_init__(self) -> None:
        """Refuse what cron or EventBridge cannot express."""
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, TypeError, OSError) as error:
            msg = f"schedules: timezone={self.timezone!r} is not an IANA time zone, such as 'Europe/Oslo'"
            raise DefinitionError(msg) from error
        try:
            CronSim(self._five(), datetime(2024, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            msg = f"schedules: Cron({self.expression!r}): {error}. Give five fields: minute hour day month weekday"
            raise DefinitionError(msg) from error
        self.aws_expression()
        _check(f"Cron({self.expression!r})", self.payload, enabled=self.enabled)

    def _five(self) -> str:
        return (
            _ALIASES.get(self.expression.strip().lower(), self.expression) if isinstance(self.expression, str) else ""
        )

    def aws_expression(self) -> str:
        """Return the EventBridge spelling, such as `cron(0 2 * * ? *)`.

        Raises:
            DefinitionError: The expression has no EventBridge equivalent.
        """
        fields = self._five().upper().split()
        if len(fields) != 5:  # noqa: PLR2004 - the five fields of cron
            self._refuse("give exactly five fields (no seconds)")
        minute, hour, day, month = (_plain(part) for part in fields[:4])
        weekday = fields[4]
        if "*" not in (day, weekday):
            # Cron runs at either of two such days, or at both together when one begins with a star.
            self._refuse("day-of-month and day-of-week are both set, which EventBridge cannot express")
        if "L" in weekday and "#" not in weekday:
            weekday = self._last_weekday(weekday)
        elif "#" in weekday and "," in weekday:
            self._refuse("EventBridge takes one '#' and nothing beside it: use two schedules")
        elif weekday != "*":
            weekday = ",".join(self._weekday_part(part) for part in weekday.split(","))
        if weekday == "*":
            return f"cron({minute} {hour} {day} {month} ? *)"
        return f"cron({minute} {hour} ? {month} {weekday} *)"

    def describe(self) -> str:
        """Return the EventBridge spelling with the time zone, such as `cron(0 2 * * ? *) Europe/Oslo`."""
        return f"{self.aws_expression()} {self.timezone}"

    def _weekday_part(self, part: str) -> str:
        if "/" in part:
            self._refuse("a step over day-of-week has no EventBridge equivalent: list the days")
        nth = ""
        if "#" in part:
            part, _, number = part.partition("#")
            nth = f"#{number}"
        ends = part.split("-")
        if not all(_DAY_TOKEN.fullmatch(end) for end in ends):
            self._refuse(f"day-of-week {part!r} is not 0-7 or SUN-SAT")
        names = [_DAYS[int(end) % 7] if end.isdigit() else end for end in ends]
        if len(names) == 2 and ends[1] == "7":  # noqa: PLR2004 - a range has two ends
            # EventBridge's week starts on SUN, so a range that ends there is written out.
            first = 7 if ends[0] == "7" else _DAYS.index(names[0])
            return ",".join(dict.fromkeys(_DAYS[n % 7] for n in range(first, 8)))
        return (f"{_DAYS.index(names[0]) + 1}" if nth else "-".join(names)) + nth

    def _last_weekday(self, weekday: str) -> str:
        if re.fullmatch(r"[0-7]L", weekday) is None:
            self._refuse(
                f"day-of-week {weekday!r} is not understood: write 5L for the last Friday, and nothing beside it"
            )
        return f"{int(weekday[0]) % 7 + 1}L"

    def _refuse(self, why: str) -> NoReturn:
        msg = f"schedules: Cron({self.expression!r}): {why}"
        raise DefinitionError(msg)

    def next_runs(self, after: datetime, count: int = 1) -> list[datetime]:
        """Return the next `count` run times after an aware moment, as EventBridge runs them.

        The zone's local time counts: a time that is skipped in spring does not run that day, and a time that comes
        twice in autumn runs the first time.
        """
        zone = ZoneInfo(self.timezone)
        start = after.astimezone(UTC)
        walls = CronSim(self._five(), after.astimezone(zone).replace(tzinfo=UTC))
        runs: list[datetime] = []
        while len(runs) < count:
            wall = next(walls)
            run = wall.replace(tzinfo=zone)
            moment = run.astimezone(UTC)
            if moment > start and moment.astimezone(zone).replace(tzinfo=UTC) == wall:
                runs.append(run)
        return runs


def _check(schedule: str, payload: object, *, enabled: object) -> None:
    if not isinstance(enabled, bool):
        msg = f"schedules: {schedule}: enabled={enabled!r} must be True or False"
        raise DefinitionError(msg)
    if not isinstance(payload, dict) or not all(isinstance(name, str) for name in payload):
        msg = f"schedules: {schedule}: payload={payload!r} must be a dict of the task's arguments by name"
        raise DefinitionError(msg)


def _plain(field_text: str) -> str:
    """Write steps over a range out as a list: AWS documents steps from a start only, such as `5/15`."""
    return ",".join(_listed(part) for part in field_text.split(","))


def _listed(part: str) -> str:
    match = re.fullmatch(r"(\w+)-(\w+)/(\d+)", part)
    if match is None:
        return part
    first, last = (_MONTHS.index(end) + 1 if end in _MONTHS else int(end) for end in match.groups()[:2])
    if first == last:
        return f"{first}/{match[3]}"  # so does cronsim read it
    return ",".join(str(n) for n in range(first, last + 1, int(match[3])))


@dataclass(frozen=True, slots=True)
class Every:
    """Run at a fixed rate, counted from the deploy.

    Attributes:
        interval: Whole minutes, at least one: `"5m"`, `"2h"`, `"1d"`.
        payload: Arguments of the job, by name.
        enabled: False deploys the schedule switched off.
    """

    interval: Duration
    payload: dict[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def __post_init__(self) -> None:
        """Refuse what EventBridge cannot express."""
        total = seconds(self.interval, field="schedules: Every", least=60)
        if total % 60:
            msg = f"schedules: Every({self.interval!r}) must be whole minutes, at least '1m'"
            raise DefinitionError(msg)
        _check(f"Every({self.interval!r})", self.payload, enabled=self.enabled)

    def aws_expression(self) -> str:
        """Return the EventBridge spelling, such as `rate(5 minutes)`."""
        minutes = int(seconds(self.interval, field="schedules: Every") // 60)
        for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
            if minutes % size == 0:
                count = minutes // size
                return f"rate({count} {unit}{'' if count == 1 else 's'})"
        raise AssertionError(minutes)  # every whole number divides by 1

    def describe(self) -> str:
        """Return the EventBridge spelling; a rate has no time zone."""
        return self.aws_expression()


Schedule = Cron | Every
