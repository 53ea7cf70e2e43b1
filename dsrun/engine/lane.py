"""What the jobs of one operation share: its window, its rate, and how long its tasks take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dsrun.common.errors import ExitCode
from dsrun.engine.backoff import PollEstimate
from dsrun.engine.control import RunControl
from dsrun.engine.limits import RateLimiter, SubmitWindow
from dsrun.service.classify import Decision, Verdict
from dsrun.service.operation import Operation

_MORE_DOUBTS = 3  # than creates at once: those sent later show whether a lost one was accepted
_APART_S = 0.5  # between a lost create and the next
_MOST_FOREIGN = 4  # creates that something else than the API has answered


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
        self._waiting = 0  # creates that want a turn
        self._looks = 0
        self._clear = asyncio.Event()  # nobody looks for a lost create
        self._clear.set()
        self._looking = asyncio.Lock()
        self._doubts = 0
        self._settled = asyncio.Event()
        self._most_doubts = submit_window + _MORE_DOUBTS
        self._foreign_answers = 0  # one upon the other

    @property
    def expects_creates(self) -> bool:
        """Whether a create is under way, or may be soon."""
        is_held_up = self._doubts >= self._most_doubts
        return self._under_way > 0 or (self._waiting > 0 and not is_held_up)

    def begin_doubt(self) -> None:
        """A create is lost. Where too many are, no other is sent until one is settled.

        The next one waits a little, so that the two can be told apart by their times.
        """
        self._doubts += 1
        self.limiter.pause(_APART_S)

    def end_doubt(self) -> None:
        self._doubts -= 1
        self._settled.set()

    @asynccontextmanager
    async def turn(self, control: RunControl) -> AsyncIterator[None]:
        """Wait for the right to send one create, and hold it.

        Raises Left when the run stops or the operation is closed.
        """
        async with control.interruptible():
            self._waiting += 1
            try:
                await self._take_turn(control)
            finally:
                self._waiting -= 1
        self._begin()
        try:
            yield
        finally:
            self._end()
            self._window.give_back()

    @asynccontextmanager
    async def alone(self, control: RunControl) -> AsyncIterator[None]:
        """No create of the operation is under way in here, so that a lost one can be told.

        Raises Left when the run stops.
        """
        self._looks += 1
        self._clear.clear()
        try:
            async with control.interruptible():
                await self._quiet.wait()
                await self._looking.acquire()
            try:
                yield
            finally:
                self._looking.release()
        finally:
            self._looks -= 1
            if not self._looks:
                self._clear.set()

    def learn(self, verdict: Verdict, control: RunControl) -> None:
        """Adapt rate and window to an answer; close the operation when it refuses for too long."""
        self._foreign_answers = self._foreign_answers + 1 if verdict.is_foreign else 0
        if self._foreign_answers >= _MOST_FOREIGN:
            words = f"{self._foreign_answers} creates in a row: {verdict.code}: {verdict.message}"
            hint = "is the base URL right, or does a proxy or firewall stand before the API?"
            control.stop(f"{words}; {hint}", ExitCode.INCOMPLETE)
        if verdict.is_foreign and verdict.is_crowded:
            self.limiter.slow_down(verdict.retry_after_s)
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

    async def _take_turn(self, control: RunControl) -> None:
        await self._window.take()
        try:
            control.check(self.operation.name)  # first: who leaves must not wait for the rate
            await self._take_place()
        except BaseException:
            self._window.give_back()
            raise

    async def _take_place(self) -> None:
        while self._doubts >= self._most_doubts:
            self._settled.clear()
            await self._settled.wait()
        await self.limiter.take()
        try:
            while self._looks:
                await self._clear.wait()
        except BaseException:
            self.limiter.give_back()
            raise

    def _end(self) -> None:
        self.limiter.give_back()
        self._under_way -= 1
        if not self._under_way:
            self._quiet.set()
