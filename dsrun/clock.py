"""The door to time: UTC for stamps, monotonic seconds for durations."""

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def local_now(self) -> datetime:
        """The time in the machine's zone, for what people read: dates in prompts."""
        return datetime.now(UTC).astimezone()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def stamp(moment: datetime) -> str:
    """UTC ISO 8601 with milliseconds, as in the ledger."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"
