"""When a pipeline runs by itself: a cron expression, its zone and its jitter.

cronsim reads the expression and steps over daylight saving as Debian's cron does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from dsrun.common.messages import nearest, show
from dsrun.common.models import Json
from dsrun.common.pointer import KeyPath
from dsrun.common.units import parse_duration

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FIELDS = 5
SOME_DAY = datetime(2026, 1, 1, tzinfo=UTC)
_DAY_S = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """`cron` has five fields. `timezone` None is the machine's own; jitter is in seconds."""

    cron: str
    timezone: str | None = None
    jitter_s: float = 0.0

    def times(self, after: datetime, *, local: ZoneInfo) -> Iterator[datetime]:
        """The times of runs after `after`, in the schedule's zone or else in `local`."""
        yield from CronSim(self.cron, after.astimezone(self.zone(local)))

    def days_before(self, day: date) -> Iterator[date]:
        """The days before `day` on which it starts a run, the newest first."""
        midnight = datetime.combine(day, time(), tzinfo=UTC)  # of the calendar: no zone counts
        daily = " ".join(["0", "0", *self.cron.split()[2:]])
        return (moment.date() for moment in CronSim(daily, midnight, reverse=True))

    def zone(self, local: ZoneInfo) -> ZoneInfo:
        return ZoneInfo(self.timezone) if self.timezone else local


def read_schedule(section: Json) -> Schedule | None:
    """Read a section in which `schedule_faults` finds nothing."""
    if section is None:
        return None
    parts = section if isinstance(section, dict) else {"cron": section}
    jitter = parts.get("jitter")
    return Schedule(
        cron=_five_fields(parts["cron"]),
        timezone=parts.get("timezone"),
        jitter_s=parse_duration(jitter) if jitter else 0.0,
    )


def schedule_faults(section: Json) -> Iterator[tuple[KeyPath, str]]:
    """What is wrong with a section that the manifest schema has accepted, each with its place."""
    if section is None:
        return
    is_mapping = isinstance(section, dict)
    parts: Mapping[str, Json] = section if is_mapping else {"cron": section}
    fault = _cron_fault(parts["cron"])
    if fault:
        yield ("schedule", "cron") if is_mapping else ("schedule",), fault
    if words := zone_fault(parts.get("timezone")):
        yield ("schedule", "timezone"), words
    if parts.get("jitter") and parse_duration(parts["jitter"]) > _DAY_S:
        yield ("schedule", "jitter"), f"found {show(parts['jitter'])}; allowed: at most 24h"


def zone_fault(zone: str | None) -> str:
    """What is wrong with the name of a time zone; an empty text where nothing is."""
    if not zone or zone in (known := available_timezones()):
        return ""
    words = f"found {show(zone)}{nearest(zone, sorted(known))}; allowed: a zone such as"
    return f"{words} Asia/Shanghai or UTC"


def _five_fields(text: str) -> str:
    return NICKNAMES.get(text.strip().lower(), " ".join(text.split()))


def _cron_fault(text: str) -> str | None:
    """What in an expression no cron understands, or not every cron understands alike."""
    allowed = 'allowed: five fields such as "0 3 * * *", or @daily, @weekly and the like'
    fields = _five_fields(text).split()
    if len(fields) != _FIELDS:
        hint = "" if text.strip().startswith("@") else f", which has {len(fields)} fields"
        return f"found {show(text)}{hint}; {allowed}"
    try:
        parsed = CronSim(" ".join(fields), SOME_DAY)
        next(parsed)
    except (CronSimError, StopIteration) as error:
        reason = str(error)[:1].lower() + str(error)[1:] if str(error) else "it never comes"
        return f"found {show(text)}: {reason}; {allowed}"
    special = {parsed.LAST, parsed.LAST_WEEKDAY} & parsed.days
    if special or any(isinstance(day, tuple) for day in parsed.weekdays):
        return f"found {show(text)}: cron itself does not know L, W and #; {allowed}"
    for field in fields:
        for term in field.split(","):
            head, slash, step = term.partition("/")
            if slash and head != "*" and "-" not in head:
                return f"found {show(term)}; write the range out, such as {head}-59/{step}"
    return None
