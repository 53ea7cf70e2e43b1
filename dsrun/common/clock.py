"""The door to time: UTC for stamps, monotonic seconds for durations."""

import asyncio
import time
from datetime import UTC, date, datetime
from datetime import time as datetime_time
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from dsrun.common.errors import SetupError


class Clock(Protocol):
    """What waits and measures is given a clock, so that a test can move it."""

    def now(self) -> datetime: ...
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        """The current time in UTC."""
        return datetime.now(UTC)

    def local_now(self) -> datetime:
        """The current time in the machine's zone, for dates that people read, as in prompts."""
        return datetime.now(UTC).astimezone()

    def local_midnight(self, day: date) -> datetime:
        """The first moment of a day in the machine's zone."""
        return datetime.combine(day, datetime_time()).astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def local_zone() -> ZoneInfo:
    """The machine's zone, by name where the system knows it. Raises SetupError."""
    from tzlocal import get_localzone  # noqa: PLC0415  # start-up: only schedules want it

    try:
        return get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise SetupError(
            f"the machine's time zone cannot be told ({error}); set TZ, or give the schedule a "
            "timezone"
        ) from error


def zone_of_cron() -> ZoneInfo | None:
    """The machine's own zone, whatever TZ of this shell says; None where it is unknown."""
    try:
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file, key="/etc/localtime")
    except (OSError, ValueError):
        return None


def stamp(moment: datetime) -> str:
    """UTC ISO 8601 with milliseconds, as in the ledger."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
