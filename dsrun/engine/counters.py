"""What bounds the creates of a lane beside its rate: its open tasks and its tokens."""

import asyncio
from collections import deque
from collections.abc import Callable

from dsrun.common.clock import Clock
from dsrun.common.units import Rate

_LOOK_S = 60.0  # between two looks at what other runs have open: each opens their ledgers
_SMALL = 8  # a run with less than this part of the limit open does not look: so many fit in
_LOOK_AGAIN_S = 5.0  # where it leaves no room
_MARGIN = 1 / 64  # as of a rate


def _none() -> int:
    return 0


class OpenTasks:
    """At most so many tasks open, waiting or running at the service; each is known by its job."""

    def __init__(
        self, most: int | None, *, clock: Clock, elsewhere: Callable[[], int] = _none
    ) -> None:
        """`most`: None where no limit is known. `elsewhere`: how many other runs have open now."""
        self._most = most
        self._clock = clock
        self._elsewhere = elsewhere
        self._others = 0  # as of the last look
        self._looked_at: float | None = None
        self._jobs: set[str] = set()
        self._turn = asyncio.Lock()  # waiting creates keep their order
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def is_full_of(self, doubts: int) -> bool:
        """Whether so many lost creates, which may be open tasks, leave no room for another."""
        return self._most is not None and self._most <= len(self._jobs) <= doubts

    async def take(self, job_id: str) -> None:
        """Wait until one more may be open; `close` it when the task has ended, or never was."""
        if job_id in self._jobs:
            return
        async with self._turn:
            await self._wait_for_room()
            self._jobs.add(job_id)

    def add(self, job_id: str) -> None:
        """Count a task that an earlier run has made."""
        self._jobs.add(job_id)

    def close(self, job_id: str) -> None:
        self._jobs.discard(job_id)
        self._changed.set()

    async def _wait_for_room(self) -> None:
        if self._most is None:
            return
        while len(self._jobs) >= self._most:
            self._changed.clear()
            await self._changed.wait()
        # Nobody tells us when a task of another run ends; one of ours may always be open.
        if len(self._jobs) < self._most // _SMALL:
            return
        self._look(every_s=_LOOK_S)
        while self._jobs and len(self._jobs) + self._others >= self._most:
            await self._clock.sleep(_LOOK_AGAIN_S)
            self._look(every_s=_LOOK_AGAIN_S)

    def _look(self, *, every_s: float) -> None:
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= every_s:
            self._others, self._looked_at = self._elsewhere(), now


class TokenWindow:
    """At most so many tokens in any window of time, counted as a `RateLimiter` counts requests."""

    def __init__(self, rate: Rate, *, clock: Clock) -> None:
        self._most = rate.requests
        self._window_s = rate.per_s + min(1.0, rate.per_s) * _MARGIN
        self._clock = clock
        self._answered: deque[tuple[float, int]] = deque()
        self._under_way = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def take(self, tokens: int) -> None:
        """Wait until a request with at most so many tokens may be sent.

        One with more than a window holds goes alone: the number is an upper bound.
        """
        tokens = min(tokens, self._most)
        async with self._turn:
            while (wait := self._wait_s(tokens)) != 0:
                if wait is not None:
                    await self._clock.sleep(wait)
                else:
                    self._changed.clear()
                    await self._changed.wait()
            self._under_way += tokens

    def give_back(self, tokens: int) -> None:
        """The request is answered."""
        self._answered.append((self._clock.monotonic(), min(tokens, self._most)))
        self.take_back(tokens)

    def take_back(self, tokens: int) -> None:
        """The request was not sent after all."""
        self._under_way -= min(tokens, self._most)
        self._changed.set()

    def _wait_s(self, tokens: int) -> float | None:
        """Seconds until there may be room: 0 is now; None means that an answer must come first."""
        now = self._clock.monotonic()
        while self._answered and self._answered[0][0] <= now - self._window_s:
            self._answered.popleft()
        excess = self._under_way + sum(each for _, each in self._answered) + tokens - self._most
        if excess <= 0:
            return 0
        for at, each in self._answered:
            excess -= each
            if excess <= 0:
                return at + self._window_s - now
        return None
