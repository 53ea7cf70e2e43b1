"""The places of a run: a job holds one while it goes on, and none while it waits for its lane.

Every source of jobs has an even share of the places. What the lane of one cannot use goes to the
others, but for one place, so that a slow lane finds it as soon as its next create may be sent.
"""

import asyncio
from contextvars import ContextVar
from typing import NamedTuple

_held: ContextVar["Place | None"] = ContextVar("place", default=None)


class _Wait(NamedTuple):
    """Who waits for a place: a new job, or one that comes back to where it held one."""

    source: int
    is_back: bool
    granted: asyncio.Future[None]


class Places:
    """Gives places to the jobs of several sources, so that none holds up another."""

    def __init__(self, most: int, *, sources: int, ahead: int) -> None:
        """`ahead`: jobs of a source that may wait for their lane before a further one is let in."""
        self._most = most
        self._ahead = ahead
        self._held = [0] * sources
        self._aside = [0] * sources
        self._open = set(range(sources))
        self._waiting: list[_Wait] = []

    def change(self, most: int) -> None:
        """Have another number of places; whoever holds one keeps it."""
        self._most = most
        self._let_in()

    async def enter(self, source: int) -> "Place":
        """Wait until a further job of a source may begin."""
        await self._take(source, is_back=False)
        return Place(self, source)

    def close(self, source: int) -> None:
        """The source has no more jobs; the others get its share."""
        self._open.discard(source)
        self._let_in()

    async def take_again(self, source: int) -> None:
        await self._take(source, is_back=True)
        self._aside[source] -= 1
        self._let_in()

    def step_aside(self, source: int) -> None:
        self._aside[source] += 1
        self.give_back(source)

    def give_back(self, source: int) -> None:
        self._held[source] -= 1
        self._let_in()

    def forget(self, source: int) -> None:
        """A job that stepped aside has ended there."""
        self._aside[source] -= 1
        self._let_in()

    async def _take(self, source: int, *, is_back: bool) -> None:
        free = self._most - sum(self._held)
        if not self._waiting and free > 0 and self._may_have(source, free, is_back=is_back):
            self._held[source] += 1
            return
        wait = _Wait(source, is_back, asyncio.get_running_loop().create_future())
        self._waiting.append(wait)
        self._let_in()
        try:
            await wait.granted
        except BaseException:
            if wait in self._waiting:
                self._waiting.remove(wait)
            else:
                self.give_back(source)
            raise

    def _let_in(self) -> None:
        while (wait := self._next()) is not None:
            self._waiting.remove(wait)
            self._held[wait.source] += 1
            wait.granted.set_result(None)

    def _next(self) -> _Wait | None:
        """Of those that may have a place, the one whose source has the fewest; the oldest first."""
        if not self._waiting or (free := self._most - sum(self._held)) <= 0:
            return None
        able = (
            wait
            for wait in self._waiting
            # One that is done has given up, and will know in a moment.
            if not wait.granted.done() and self._may_have(wait.source, free, is_back=wait.is_back)
        )
        return min(able, key=lambda wait: (self._held[wait.source], not wait.is_back), default=None)

    def _may_have(self, source: int, free: int, *, is_back: bool) -> bool:
        if not is_back and self._aside[source] >= self._ahead:
            return False
        if self._held[source] < self._share:
            return True
        others = (other for other in range(len(self._held)) if other != source)
        return free > sum(map(self._kept_for, others))

    def _kept_for(self, source: int) -> int:
        """How many places of its share a source keeps free: all, or one where its lane is busy."""
        unused = max(0, self._share - self._held[source])
        if source in self._open and self._aside[source] < self._ahead:
            return unused
        return min(1, unused) if self._aside[source] else 0

    @property
    def _share(self) -> int:
        sources = range(len(self._held))
        wanting = sum(each in self._open or self._aside[each] > 0 for each in sources)
        return max(1, self._most // max(1, wanting))


class Place:
    """The place of one job."""

    def __init__(self, places: Places, source: int) -> None:
        self._places = places
        self._source = source
        self._is_held = True
        self._is_aside = False

    def hold(self) -> None:
        """The job that runs in this task holds the place from now on."""
        _held.set(self)

    def leave(self) -> None:
        if self._is_held:
            self._places.give_back(self._source)
        elif self._is_aside:
            self._places.forget(self._source)
        self._is_held = self._is_aside = False

    def step_aside(self) -> None:
        if self._is_held:
            self._is_held, self._is_aside = False, True
            self._places.step_aside(self._source)

    async def come_back(self) -> None:
        if self._is_aside:
            await self._places.take_again(self._source)
            self._is_held, self._is_aside = True, False


def leave_place() -> None:
    """Give the place of the job that runs here to another one, since it waits for others.

    When it goes on it takes no place again: those that it waited for may have taken all of them,
    and wait for it.
    """
    if (place := _held.get()) is not None:
        place.leave()


def step_aside() -> None:
    """Give the place up while the job that runs here waits for its lane."""
    if (place := _held.get()) is not None:
        place.step_aside()


async def come_back() -> None:
    """Wait for a place again, after `step_aside`."""
    if (place := _held.get()) is not None:
        await place.come_back()
