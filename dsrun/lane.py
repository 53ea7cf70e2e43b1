"""What the jobs of one operation share: its window, its rate, and how long its tasks take."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dsrun.backoff import PollEstimate
from dsrun.control import RunControl
from dsrun.limits import RateLimiter, SubmitWindow
from dsrun.records import Operation
from dsrun.verdict import Decision, Verdict


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
        self._window = SubmitWindow(submit_window)

    @asynccontextmanager
    async def turn(self, control: RunControl) -> AsyncIterator[None]:
        """Wait for the right to send one create, and hold it.

        Raises Left when the run stops or the operation is closed.
        """
        async with control.interruptible():
            await self._window.take()
        try:
            control.check(self.operation.name)  # before the rate: who leaves must not wait for it
            async with control.interruptible():
                await self.limiter.take()
            try:
                yield
            finally:
                self.limiter.give_back()
        finally:
            self._window.give_back()

    def learn(self, verdict: Verdict, control: RunControl) -> None:
        """Adapt rate and window to an answer; close the operation when it refuses for too long."""
        if verdict.decision is Decision.AMBIGUOUS:
            return
        if verdict.decision is not Decision.THROTTLE:
            self.limiter.speed_up()
            self._window.grow()
            return
        self.limiter.slow_down(verdict.retry_after_s)
        self._window.shrink()
        if reason := self.limiter.hopeless():
            words = f"{verdict.code}: {verdict.message} The service is throttling: {reason}"
            control.close_operation(self.operation.name, f"{words}; run again later")
