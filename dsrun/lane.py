"""What the jobs of one operation share: its window, its rate, and how long its tasks take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dsrun.backoff import PollEstimate
from dsrun.control import RunControl
from dsrun.limits import RateLimiter
from dsrun.records import Operation


class Lane:
    """Creates of one operation go through here: so many at once, so many a second."""

    def __init__(
        self,
        operation: Operation,
        *,
        limiter: RateLimiter,
        submit_window: int,
        estimate: PollEstimate,
        max_poll_s: float,
    ) -> None:
        self.operation = operation
        self.limiter = limiter
        self.estimate = estimate
        self.max_poll_s = max_poll_s
        self._window = asyncio.Semaphore(submit_window)

    @asynccontextmanager
    async def turn(self, control: RunControl) -> AsyncIterator[None]:
        """Wait for the right to send one create, and hold it. Raises Left when the run stops."""
        async with control.interruptible():
            await self._window.acquire()
        try:
            async with control.interruptible():
                await self.limiter.take()
            try:
                yield
            finally:
                self.limiter.give_back()
        finally:
            self._window.release()
