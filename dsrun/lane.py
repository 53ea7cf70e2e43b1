"""What the jobs of one operation share: its window, its rate, and how long its tasks take."""

import asyncio
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
        self._under_way = 0
        self._quiet = asyncio.Event()  # no create is under way
        self._quiet.set()
        self._doubts = 0
        self._clear = asyncio.Event()  # no create is in doubt
        self._clear.set()
        self._looking = asyncio.Lock()

    @asynccontextmanager
    async def turn(self, control: RunControl) -> AsyncIterator["Turn"]:
        """Wait for the right to send one create, and hold it.

        Raises Left when the run stops or the operation is closed.
        """
        async with control.interruptible():
            await self._window.take()
            try:
                control.check(self.operation.name)  # first: who leaves must not wait for the rate
                await self._take_place()
            except BaseException:
                self._window.give_back()
                raise
        turn = Turn(self)
        try:
            yield turn
        finally:
            turn.end()
            self._window.give_back()

    @asynccontextmanager
    async def alone(self, control: RunControl, turn: "Turn | None" = None) -> AsyncIterator[None]:
        """No other create of the operation is under way in here, so that a lost one can be told.

        `turn` is the lost create's own, and over. Raises Left when the run stops.
        """
        self._doubts += 1
        self._clear.clear()
        try:
            if turn is not None:
                turn.end()
            async with control.interruptible():
                await self._quiet.wait()
                await self._looking.acquire()
            try:
                yield
            finally:
                self._looking.release()
        finally:
            self._doubts -= 1
            if not self._doubts:
                self._clear.set()

    def learn(self, verdict: Verdict, control: RunControl) -> None:
        """Adapt rate and window to an answer; close the operation when it refuses for too long."""
        if verdict.decision in (Decision.AMBIGUOUS, Decision.MODEL, Decision.STOP):
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

    def _begin(self) -> None:
        self._under_way += 1
        self._quiet.clear()

    async def _take_place(self) -> None:
        await self.limiter.take()
        try:
            while self._doubts:
                await self._clear.wait()
        except BaseException:
            self.limiter.give_back()
            raise

    def _end(self) -> None:
        self.limiter.give_back()
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()


class Turn:
    """One create's place in the window and the rate; it ends when the answer is there or lost."""

    __slots__ = ("_is_over", "_lane")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._is_over = False
        lane._begin()  # noqa: SLF001  # two halves of one thing

    def end(self) -> None:
        if not self._is_over:
            self._is_over = True
            self._lane._end()  # noqa: SLF001
