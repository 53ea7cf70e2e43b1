"""The door to time: UTC for stamps, monotonic seconds for durations."""

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from datetime import time as datetime_time
from io import BytesIO
from pathlib import Path
from struct import pack
from threading import get_native_id
from typing import Protocol
from zoneinfo import ZoneInfo, available_timezones

from dsrun.common.errors import SetupError
from dsrun.common.messages import nearest
from dsrun.common.settings import time_rule

_USUAL_SUMMER = ",M3.2.0,M11.1.0"  # of PST8PDT and its like, which name no days


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
        import asyncio  # noqa: PLC0415  # start-up: who only plans never sleeps

        await asyncio.sleep(max(0.0, seconds))


def pause(seconds: float) -> None:
    """Wait, and all of this thread with it."""
    time.sleep(seconds)


def demand_of_this_thread() -> Callable[[], float]:
    """Asks for the seconds in which this thread has run so far, or waited for a processor.

    Where the system does not tell the latter: in which all threads but the one that asks have run.
    """
    path = Path(f"/proc/self/task/{get_native_id()}/schedstat")

    def demand_s() -> float:
        try:
            ran_ns, waited_ns, _ = path.read_text(encoding="ascii").split()
            return (int(ran_ns) + int(waited_ns)) / 1e9
        except (OSError, ValueError):
            return time.process_time() - time.thread_time()

    return demand_s


def local_zone() -> ZoneInfo:
    """The machine's zone, by name where the system knows it. Raises SetupError."""
    from tzlocal import get_localzone  # noqa: PLC0415  # start-up: only schedules want it

    try:
        return get_localzone()
    except (LookupError, ValueError, OSError) as error:
        rule = time_rule()
        if zone := zone_of_rule(rule):
            return zone
        what = (
            f"TZ is {rule!r}, which is no time zone{nearest(rule, available_timezones())}; set it "
            "to a name such as Asia/Shanghai"
            if rule
            else f"the machine's time zone cannot be told ({error}); set TZ"
        )
        raise SetupError(f"{what}, or give the schedule a timezone") from error


def zone_of_rule(rule: str) -> ZoneInfo | None:
    """The zone of a rule of POSIX, such as CST-8, as TZ may hold one; None where it is none."""
    for text in (rule, f"{rule}{_USUAL_SUMMER}") if rule else ():
        try:
            zone = ZoneInfo.from_file(BytesIO(_tzif(text)), key=rule)
            datetime.now(UTC).astimezone(zone)  # an offset of a day or more is refused here
        except (ValueError, UnicodeEncodeError):
            continue
        return zone
    return None


def _tzif(rule: str) -> bytes:
    """A file of a zone that has this rule from the first day on (RFC 8536)."""
    kind = pack(">lBB", 0, 0, 0) + b"UTC\0"  # is asked of no moment
    head = b"TZif2" + bytes(15) + pack(">6l", 0, 0, 0, 0, 1, 4)
    return head + kind + head + kind + b"\n" + rule.encode("ascii") + b"\n"


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
