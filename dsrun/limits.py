"""Request rates as the service counts them: so many in any window of time.

A plain token bucket lets a burst through at a window's edge. Here a request takes its place
until one window after its *answer*: the service received it before that, so however the
network delays requests, no window on the service's clock ever holds more than allowed.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from dsrun.records import Rate

_SLOWEST = 64.0
_RECOVERY = 0.9


class Clock(Protocol):
    def monotonic(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class RateLimiter:
    """At most `rate.requests` a window; slower after a refusal, and back again by and by."""

    def __init__(self, rate: Rate, *, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._answered: deque[float] = deque()
        self._under_way = 0
        self._stretch = 1.0
        self._paused_until = 0.0
        self._turn = asyncio.Lock()  # waiting requests keep their order
        self._changed = asyncio.Event()

    @property
    def is_throttled(self) -> bool:
        return self._stretch > 1.0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a place for one request, from before it is sent until it is answered."""
        await self.take()
        try:
            yield
        finally:
            self.give_back()

    async def take(self) -> None:
        """Wait for a place; `give_back` it when the request is answered."""
        async with self._turn:
            await self._wait_for_room()
            self._under_way += 1

    def give_back(self) -> None:
        self._under_way -= 1
        self._answered.append(self._clock.monotonic())
        self._changed.set()

    def slow_down(self, retry_after_s: float | None) -> None:
        """The service refused a request for its rate: halve the rate and pause."""
        self._stretch = min(_SLOWEST, self._stretch * 2)
        pause = max(retry_after_s or 0.0, self._rate.per_s * self._stretch / 2)
        self._paused_until = max(self._paused_until, self._clock.monotonic() + pause)

    def speed_up(self) -> None:
        """The service took a request: recover a little."""
        self._stretch = max(1.0, self._stretch * _RECOVERY)

    async def _wait_for_room(self) -> None:
        while (wait := self._wait_s()) != 0:
            if wait is not None:
                await self._clock.sleep(wait)
            else:
                self._changed.clear()
                await self._changed.wait()

    def _wait_s(self) -> float | None:
        """Seconds until there may be room; 0 now, None when an answer must come first."""
        now = self._clock.monotonic()
        if now < self._paused_until:
            return self._paused_until - now
        window = self._rate.per_s * self._stretch
        while self._answered and self._answered[0] <= now - window:
            self._answered.popleft()
        if self._under_way + len(self._answered) < self._rate.requests:
            return 0
        return self._answered[0] + window - now if self._answered else None
