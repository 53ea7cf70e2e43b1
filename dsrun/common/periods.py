"""The days, weeks and months for which a budget holds, by the calendar of one zone."""

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from dsrun.common.clock import SystemClock

PERIODS = ("day", "week", "month", "total")
_MONTHS = 12


class Period(NamedTuple):
    """From one moment to another, in the zone in which it counts; None: it has no bound there."""

    since: datetime | None
    until: datetime | None


def period_at(moment: datetime, per: str, *, timezone: str | None) -> Period:
    """The period that a moment is in. `timezone` None is the machine's own."""
    if per == "total":
        return Period(None, None)
    zone = None if timezone is None else ZoneInfo(timezone)
    first, after = _days(moment.astimezone(zone).date(), per)
    return Period(_midnight(first, zone), _midnight(after, zone))


def _days(day: date, per: str) -> tuple[date, date]:
    """The first day of a period, and the first of the next. A week begins on Monday."""
    if per == "day":
        return day, day + timedelta(days=1)
    if per == "week":
        first = day - timedelta(days=day.weekday())
        return first, first + timedelta(days=7)
    first = day.replace(day=1)
    years, months = divmod(first.month, _MONTHS)
    return first, first.replace(year=first.year + years, month=months + 1)


def _midnight(day: date, zone: ZoneInfo | None) -> datetime:
    if zone is None:
        return SystemClock().local_midnight(day)
    return datetime.combine(day, time(), tzinfo=zone)
